package rootfs

// OnHost are the paths at which something is mounted over one of the host's
// files, with what they are. If that file is removed on the host, or another
// one is renamed over it, the kernel drops the mount, and what the entry over it
// says holds there. Where that allows no more, the path is left out. An overlay's
// files are not the host's, and change only inside.
func (t *Tree) OnHost() (list []Line) {
	t.eachOnHost(func(l Line) bool {
		list = append(list, l)
		return true
	})
	return list
}

// AnyOnHost says whether there is any. A nil tree has none.
func (t *Tree) AnyOnHost() (any bool) {
	if t != nil {
		t.eachOnHost(func(Line) bool {
			any = true
			return false
		})
	}
	return any
}

func (t *Tree) eachOnHost(yield func(Line) bool) {
	for _, m := range t.masks {
		up := t.over(m.path).Kind
		if m.below && (up == Read || up == Write) && !yield(Line{Path: m.path, Is: Hidden.String()}) {
			return
		}
	}
	for _, n := range t.nodes {
		if n.Path == "/" || n.Kind == Directory || n.Kind == Link || t.maskOver(n.Path) != "" {
			continue
		}
		up := t.over(n.Path)
		if up.Kind != Read && up.Kind != Write {
			continue
		}
		same := n.Kind == up.Kind || n.Kind == Write
		if same && n.From == "" && (n.NoExec == up.NoExec || !n.NoExec) {
			continue
		}
		if !yield(Line{Path: n.Path, Is: n.Kind.String()}) {
			return
		}
	}
}
