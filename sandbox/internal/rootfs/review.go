package rootfs

import (
	"fmt"
	"path"
	"strings"

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
		if t.over(t.masks[i].path).Review {
			t.masks[i].id = ns.ID{}
		}
	}
	return nil
}

func (t *Tree) reviewNode(n *Node) error {
	name := text.Quote(n.Path)
	switch {
	case !n.Source.Dir():
		return &host.NeedError{
			Reason: host.WrongFile,
			What:   fmt.Sprintf("review %s: it is no directory, and an overlay is made of directories", name),
			Fix:    "let the program write to the directory that it is in, or take it out of what is written",
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

// Reviewed is a directory of the host whose changes are kept apart.
type Reviewed struct {
	// Path is its path inside.
	Path string
	// Source is what is there.
	Source host.File
	// Held are the paths below it that the program cannot change.
	Held []string
}

// Reviewed are all such directories. A nil tree has none.
func (t *Tree) Reviewed() (list []Reviewed) {
	if t == nil {
		return nil
	}
	for _, n := range t.nodes {
		if !n.Review {
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
