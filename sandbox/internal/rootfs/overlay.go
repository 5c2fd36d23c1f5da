package rootfs

import (
	"cmp"
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// layers sets the directories in which an overlay keeps its changes.
func (t *Tree) layers(n *Node, o policy.PathOptions) error {
	n.Layers = new([2]host.File)
	for i, name := range [...]string{o.Upper, o.Work} {
		f := t.facts.Files[name] // the zero value for ""
		switch {
		case name == "":
			return host.Refuse(host.Incomplete, "overlay %s: files.path has only one of upper and work, which go together",
				text.Quote(n.Path))
		case f.Err != nil:
			return fmt.Errorf("look at %s: %w", text.Quote(name), f.Err)
		case f.Mode == 0:
			return fmt.Errorf("overlay %s: keep changes in %s: %w", text.Quote(n.Path), text.Quote(name), unix.ENOENT)
		case !f.Dir():
			return fmt.Errorf("overlay %s: keep changes in %s: %w", text.Quote(n.Path), text.Quote(name), unix.ENOTDIR)
		case f.NoWrite != nil:
			return fmt.Errorf("overlay %s: keep changes in %s: %w", text.Quote(n.Path), text.Quote(name), f.NoWrite)
		}
		n.Layers[i] = f
	}
	a, b := n.Layers[0], n.Layers[1]
	if a.Major != b.Major || a.Minor != b.Minor || policy.Within(a.Real, b.Real) || policy.Within(b.Real, a.Real) {
		return &host.NeedError{
			Reason: host.WrongFile,
			What: fmt.Sprintf("overlay %s: upper and work must be two directories of one file system, neither in the other",
				text.Quote(n.Path)),
			Fix: "make them side by side: mkdir upper work",
		}
	}
	return nil
}

// overlay is the step for an overlay node.
func (l *layout) overlay(n Node, below bool) ns.Overlay {
	o := ns.Overlay{
		Path: n.Path, Lower: layer(n.Source), Size: cmp.Or(n.Size, l.tmpSize), Mode: n.Source.Perm,
		NoExec: n.NoExec || n.Source.NoExec, Review: n.Review, Below: below, Scratch: l.scratch,
	}
	if n.Layers != nil {
		o.Upper, o.Work, o.Size, o.Mode = layer(n.Layers[0]), layer(n.Layers[1]), "", 0
	} else if d := l.target.Details[n.Path]; d.ReadOnly {
		o.ReadOnly, o.Size, o.Mode = true, "", 0
	} else if l.facts.UID == 0 && !l.opts.UserNS && (n.Source.UID != 0 || n.Source.GID != 0) {
		o.Own, o.UID, o.GID = true, n.Source.UID, n.Source.GID
	}
	if under := l.target.Details[n.Path].Under; len(under) > 0 {
		o.Under = new([]ns.Layer)
		for _, name := range under {
			*o.Under = append(*o.Under, layer(l.facts.Files[name]))
		}
	}
	return o
}

// under checks the directories that an overlay has below its own.
func (t *Tree) under(n Node) error {
	for _, name := range t.target.Details[n.Path].Under {
		f := t.facts.Files[name]
		if f.Err != nil {
			return fmt.Errorf("look at %s: %w", text.Quote(name), f.Err)
		}
		if f.Mode == 0 {
			return fmt.Errorf("overlay %s: look at %s: %w", text.Quote(n.Path), text.Quote(name), unix.ENOENT)
		}
		if err := checkOverlay(Node{Path: n.Path, Source: f}); err != nil {
			return err
		}
	}
	return nil
}

func layer(f host.File) ns.Layer { return ns.Layer{Path: f.Real, ID: f.ID(), FD: f.FD} }

// checkOverlay is an error if the node cannot be an overlay. Overlayfs takes a single file
// system as a layer. It would ignore mounts in it, and show the files under them.
func checkOverlay(n Node) error {
	name := text.Quote(n.Path)
	switch {
	case n.Path == "/":
		return &host.NeedError{
			Reason: host.Impossible,
			What:   "overlay /: not possible",
			Fix:    "overlay the directories in it that are to be written",
		}
	case !n.Source.Dir():
		return fmt.Errorf("overlay %s: %w", name, unix.ENOTDIR)
	case n.Source.Mounted != "":
		return &host.NeedError{
			Reason: host.Impossible,
			What: fmt.Sprintf("overlay %s: %s is mounted in it, which an overlay cannot include",
				name, text.Quote(n.Source.Mounted)),
			Fix: "overlay directories beside it",
		}
	}
	return nil
}
