package rootfs

import "sbx/sandbox/internal/host"

// WritableDirs are the directories of the host in which files can be made: those that
// are shown writable, and those in which overlays keep their changes.
func (t *Tree) WritableDirs() (list []host.File) {
	for _, n := range t.nodes {
		switch {
		case t.maskOver(n.Path) != "":
		case n.Kind == Write && n.Source.Dir():
			list = append(list, n.Source)
		case n.Kind == Overlay && n.Review && n.Layers == nil: // for a plan that is only printed
			list = append(list, n.Source)
		case n.Kind == Overlay && n.Layers != nil:
			list = append(list, n.Layers[0], n.Layers[1])
		}
	}
	return list
}

// ReadOnlyAll says that nothing can be made anywhere, not even in a tmpfs.
func (t *Tree) ReadOnlyAll() bool {
	for _, n := range t.nodes {
		if n.Kind == Write && n.Source.Dir() || n.Kind == Overlay || n.Kind == Tmpfs && !t.isOwnDev(n) {
			return false
		}
	}
	return true
}
