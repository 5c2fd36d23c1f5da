package rootfs

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// review makes an overlay of each directory of the host that can be written, if changes are
// to be kept apart. It comes last: all that is guarded, hidden or read-only in what the
// policy lets be written stays so.
func (t *Tree) review() error {
	if t.target.Review == nil {
		return nil
	}
	seen := make(map[string]string)
	for i := range t.nodes {
		n := &t.nodes[i]
		if n.Kind != Write || n.Device || t.maskOver(n.Path) != "" {
			continue
		}
		if other, ok := seen[n.Source.Real]; ok {
			return host.Refuse(host.Conflict, "review %s: it is writable at %s too, and overlays cannot share their changes",
				text.Quote(n.Path), text.Quote(other))
		}
		seen[n.Source.Real] = n.Path
		if err := t.reviewNode(n); err != nil {
			return err
		}
	}
	// The inode numbers in an overlay are others than the host's.
	for i := range t.masks {
		if n := t.over(t.masks[i].path); n.Review && n.Kind == Overlay {
			t.masks[i].id = ns.ID{}
		}
	}
	return nil
}

func (t *Tree) reviewNode(n *Node) error {
	name := text.Quote(n.Path)
	switch {
	case n.Source.Mode == unix.S_IFIFO || n.Source.Mode == unix.S_IFSOCK:
		n.Review = true // it keeps nothing; its mode and times cannot be changed
		return nil
	case n.Source.Mode == unix.S_IFREG:
		return t.reviewFile(n)
	case !n.Source.Dir():
		return &host.NeedError{
			Reason: host.WrongFile,
			What:   fmt.Sprintf("review %s: it is a device, whose changes cannot be kept apart", name),
			Fix:    "take it out of what is written",
		}
	case n.Path == "/":
		return &host.NeedError{
			Reason: host.Impossible,
			What:   "review /: the root cannot be an overlay",
			Fix:    "let the program write to directories in it",
		}
	case n.Source.Mounted != "":
		return &host.NeedError{
			Reason: host.Impossible,
			What: fmt.Sprintf("review %s: %s is mounted in it, which an overlay cannot include", name,
				text.Quote(n.Source.Mounted)),
			Fix: "let the program write to directories beside it",
		}
	}
	n.Kind, n.Review = Overlay, true
	if layers, ok := t.target.Review.Layers[n.Source.Real]; ok {
		return t.layers(n, policy.PathOptions{Upper: layers[0], Work: layers[1]})
	}
	if t.target.Review.Layers != nil { // the plan was made anew, and the host is another by now
		return host.Refuse(host.Absent, "review %s: it was not there when the review began", name)
	}
	return nil
}

// reviewFile gives the program a copy of a file.
func (t *Tree) reviewFile(n *Node) error {
	n.Review = true
	copied, ok := t.target.Review.Layers[n.Source.Real]
	switch {
	case t.target.Review.Layers == nil:
		return nil
	case !ok:
		return host.Refuse(host.Absent, "review %s: it was not there when the review began", text.Quote(n.Path))
	}
	f := t.facts.Files[copied[0]]
	if f.Err != nil || f.Mode != unix.S_IFREG {
		return host.Refuse(host.Absent, "review %s: its copy is not there", text.Quote(n.Path))
	}
	n.Source, n.From = f, ""
	return nil
}

// Reviewed is a directory or a regular file of the host whose changes are kept apart.
type Reviewed struct {
	// Path is its path inside.
	Path string
	// Source is what is there.
	Source host.File
	// Held are the paths below it that the program cannot change.
	Held []string
}

// Reviewed are all of them. A nil tree has none.
func (t *Tree) Reviewed() (list []Reviewed) {
	if t == nil {
		return nil
	}
	for _, n := range t.nodes {
		if !n.Review || !n.Source.Dir() && n.Source.Mode != unix.S_IFREG {
			continue
		}
		x := Reviewed{Path: n.Path, Source: n.Source}
		hold := func(p string) {
			if p != n.Path && policy.Within(p, n.Path) {
				x.Held = append(x.Held, strings.TrimPrefix(path.Clean(p), n.Path+"/"))
			}
		}
		for _, m := range t.masks {
			hold(m.path)
		}
		for _, other := range t.nodes {
			hold(other.Path)
		}
		list = append(list, x)
	}
	return list
}
