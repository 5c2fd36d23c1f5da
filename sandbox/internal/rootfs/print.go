package rootfs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"sbx/internal/text"
	"sbx/policy"
)

// Line is one path of the tree as it is printed.
type Line struct {
	Path string `json:"path"`
	// Is is the kind in words: read-only, writable, overlay, tmpfs, hidden, directory,
	// empty directory, file, link, device, proc or devpts.
	Is string `json:"is"`
	// Source is the path of the host that is shown, if it is not Path.
	Source string `json:"source,omitempty"`
	// To is what a link leads to.
	To string `json:"to,omitempty"`
	// Size is the size limit of a tmpfs.
	Size string `json:"size,omitempty"`
	// NoExec says that nothing can be executed there. Pinned says that the directory
	// cannot be renamed.
	NoExec bool `json:"no_exec,omitempty"`
	Pinned bool `json:"pinned,omitempty"`
}

// Lines are the paths of the tree in order, with what each is. Every other path is what
// the deepest of these over it is.
func (t *Tree) Lines() []Line {
	if t.bare {
		return t.bareLines()
	}
	pins := t.pins()
	byPath := make(map[string]Line)
	add := func(l Line) {
		l.Pinned = pins[l.Path]
		byPath[l.Path] = l
	}
	add(Line{Path: "/", Is: Directory.String()})
	if policy.NotFalse(t.policy.Files.Proc) {
		add(Line{Path: "/proc", Is: "proc"})
		for _, m := range t.facts.Masks {
			if !policy.IsTrue(t.policy.Process.Nest) {
				add(Line{Path: m.Path, Is: Hidden.String()})
			}
		}
	}
	if policy.NotFalse(t.policy.Files.Dev) {
		add(Line{Path: "/dev", Is: Directory.String()})
		add(Line{Path: "/dev/pts", Is: "devpts"})
	}
	for p := range pins {
		n, _ := t.deepest(p)
		l := Line{Path: p, Is: n.Kind.String(), NoExec: n.NoExec}
		if real := n.HostPath(p); n.Kind.FromHost() && real != p {
			l.Source = real
		}
		add(l)
	}
	for _, n := range t.nodes {
		l := Line{Path: n.Path, Is: n.Kind.String(), NoExec: n.NoExec, Size: n.Size}
		switch {
		case n.Device:
			l.Is = "device"
		case n.Kind.FromHost() && n.Source.Real != n.Path:
			l.Source = n.Source.Real
		case n.Kind == Link:
			l.To = n.Text
		}
		add(l)
	}
	for _, m := range t.masks {
		add(Line{Path: m.path, Is: Hidden.String()})
	}
	lines := make([]Line, 0, len(byPath))
	for _, l := range byPath {
		if l.Is == Hidden.String() || t.maskOver(l.Path) == "" {
			lines = append(lines, l)
		}
	}
	slices.SortFunc(lines, func(a, b Line) int { return strings.Compare(key(a.Path), key(b.Path)) })
	return lines
}

// key makes a path sort right before the paths below it.
func key(p string) string { return strings.ReplaceAll(p, "/", "\x00") }

// pins are the directories that are kept from being renamed.
func (t *Tree) pins() map[string]bool {
	l := &layout{Tree: t, made: make(map[string]bool), pins: make(map[string]bool)}
	for _, n := range t.nodes {
		if n.Path != "/" {
			l.place(n)
		}
	}
	for _, m := range t.masks {
		l.prepareMask(m)
	}
	return l.pins
}

// MarshalJSON is the tree for programs: the list of its lines.
func (t *Tree) MarshalJSON() ([]byte, error) { return json.Marshal(t.Lines()) }

// String is the tree for people, one path per line, as --dry-run --tree prints it.
func (t *Tree) String() string {
	var b strings.Builder
	for _, l := range t.Lines() {
		fmt.Fprintf(&b, "%-15s %s", l.Is, text.Quote(l.Path))
		if l.Source != "" {
			fmt.Fprintf(&b, ", the host's %s", text.Quote(l.Source))
		}
		if l.To != "" {
			fmt.Fprintf(&b, " to %s", text.Quote(l.To))
		}
		if l.Size != "" {
			fmt.Fprintf(&b, ", size %s", l.Size)
		}
		if l.NoExec {
			b.WriteString(", no exec")
		}
		if l.Pinned {
			b.WriteString(", cannot be renamed")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
