package rootfs

import (
	"cmp"
	"fmt"
	"path"
	"slices"

	"sbx/internal/text"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// mask is a path that is covered.
type mask struct {
	path string
	dir  bool
	// below says that it lies in what is shown of the host.
	below bool
	// id is what was found there; the zero value: whatever is.
	id ns.ID
	// maybe says that nothing may be there.
	maybe bool
	// pinned says that the directories over it are kept from being renamed.
	pinned bool
}

// hide covers what the policy hides and the sockets that it does not name, under
// each name that it has inside, and sbx's own by its name.
func (t *Tree) hide() error {
	var list []mask
	var unread []string
	for _, x := range t.entries.Hidden {
		found, err := t.hiddenPath(x)
		if err != nil {
			return err
		}
		list = append(list, found...)
	}
	for _, x := range t.facts.Found {
		// A pattern does not hide what the policy or a flag shows by name.
		e, named := t.entries.Get(x.Path)
		named = named && (e.Kind == policy.KindRead || e.Kind == policy.KindWrite)
		if named || t.isSource(x.Path) || x.Unread && t.isWork(x.Path) {
			continue
		}
		masks := t.masksOf(x, false)
		if x.Unread && len(masks) > 0 {
			unread = append(unread, x.Path)
		}
		list = append(list, masks...)
	}
	t.noteUnread(unread)
	for _, x := range t.unnamedSockets() {
		list = append(list, t.masksOf(x, false)...)
	}
	list = append(list, t.machineDirs()...)
	receipt, err := t.receiptMasks()
	if err != nil {
		return err
	}
	list = append(list, receipt...)
	slices.SortStableFunc(list, func(a, b mask) int { return byDepth(a.path, b.path) })
	t.masked = make(map[string]bool, len(list))
	for _, m := range list {
		switch i := slices.IndexFunc(t.masks, func(x mask) bool { return x.path == m.path }); {
		case i >= 0:
			t.masks[i].pinned = t.masks[i].pinned || m.pinned
		case t.maskOver(m.path) == "": // what lies in a covered directory is covered with it
			t.masked[m.path] = true
			t.masks = append(t.masks, m)
		}
	}
	return nil
}

// isWork says whether the path lies in an overlay's work directory, which has one
// that nobody may read, and which the kernel makes anew with each mount.
func (t *Tree) isWork(real string) bool {
	return slices.ContainsFunc(t.nodes, func(n Node) bool {
		return n.Layers != nil && policy.Within(real, n.Layers[1].Real)
	})
}

// noteUnread says which directories are hidden because nobody could look for
// secrets in them.
func (t *Tree) noteUnread(dirs []string) {
	switch len(dirs) {
	case 0:
	case 1:
		t.Notes = append(t.Notes, fmt.Sprintf("%s is hidden: it cannot be searched for secrets; chmod u+rx shows it",
			text.Quote(dirs[0])))
	default:
		t.Notes = append(t.Notes, fmt.Sprintf(
			"%d directories are hidden, %s for one: they cannot be searched for secrets; chmod u+rx shows them",
			len(dirs), text.Quote(dirs[0])))
	}
}

// hiddenPath is what to cover for a path of hide.
func (t *Tree) hiddenPath(x policy.Path) (list []mask, err error) {
	if x.Name == "/" {
		return nil, host.Refuse(host.NothingRuns, "hide /: then nothing could run")
	}
	if m, ok, err := t.hideSystem(x); ok || err != nil {
		return m, err
	}
	sources := []string{x.Name}
	if len(t.policy.Files.Paths) > 0 {
		// The path is one of the inside, and another of the host is there.
		if other := t.facts.Origin(t.entries, x.Name, true); other != "" && other != x.Name {
			sources = append(sources, other)
		}
	}
	for _, source := range sources {
		f := t.facts.Files[source]
		if e, ok := f.Err.(*host.LinkError); ok && x.Optional {
			f = e.File // to hide more does no harm
		}
		switch {
		case f.Err != nil:
			return nil, fmt.Errorf("look at %s, which is to be hidden: %w", text.Quote(source), f.Err)
		case f.Mode != 0:
			list = append(list, t.masksOf(host.Found{Path: f.Real, Dir: f.Dir(), ID: f.ID()}, true)...)
		case !x.Optional && len(t.places(cmp.Or(f.Real, source))) > 0:
			return nil, &host.NeedError{
				Reason: host.Absent,
				What:   fmt.Sprintf("hide %s: it is not there, and would be shown once somebody makes it", text.Quote(x.Name)),
				Fix:    `put a ? in front to hide it only if it is there: "?` + x.Name + `"`,
			}
		}
	}
	n, _ := t.deepest(x.Name)
	switch {
	case n.Path == x.Name && n.Kind == Link && n.Source.Mode == 0 && !x.Optional:
		return nil, &host.NeedError{
			Reason: host.BehindLink,
			What:   fmt.Sprintf("hide %s: it is a symbolic link of the policy's own", text.Quote(x.Name)), Fix: "hide what it leads to",
		}
	case n.Path == x.Name && (n.Kind < Tmpfs && n.Kind != Link || n.Kind == Tmpfs):
		list = append(list, mask{path: x.Name, dir: n.Kind != File, below: t.over(x.Name).Kind.FromHost(), pinned: true})
	case !x.Optional && n.Path != x.Name && t.inTmpfs(n) && !t.isParent(x.Name):
		// The target could make it itself. On the root there is nothing and
		// will be nothing.
		if t.absent == nil {
			t.absent = make(map[string]bool)
		}
		t.absent[x.Name] = true
		list = append(list, mask{path: x.Name, pinned: true})
	case n.Path != x.Name && t.isParent(x.Name) && !n.Kind.FromHost():
		list = append(list, mask{path: x.Name, dir: true, pinned: true})
	}
	return list, nil
}

// hideSystem is what to cover for a path that every sandbox has of its own: in
// its /proc, whose files have other numbers than the host's, or its /dev/pts.
func (t *Tree) hideSystem(x policy.Path) (list []mask, ours bool, err error) {
	f := &t.policy.Files
	switch {
	case policy.NotFalse(f.Dev) && x.Name == "/dev/pts", policy.NotFalse(f.Proc) && x.Name == "/proc":
		return []mask{{path: x.Name, dir: true}}, true, nil
	case !policy.NotFalse(f.Proc) || !policy.Within(x.Name, "/proc"):
		return nil, false, nil
	}
	src := t.facts.Files[x.Name]
	switch {
	case src.Err != nil:
		return nil, true, fmt.Errorf("look at %s, which is to be hidden: %w", text.Quote(x.Name), src.Err)
	case src.Mode == 0 && x.Optional:
		return nil, true, nil
	case src.Mode == 0 || src.Real != x.Name || x.Name[len("/proc/")] >= '0' && x.Name[len("/proc/")] <= '9':
		return nil, true, &host.NeedError{
			Reason: host.Impossible,
			What:   fmt.Sprintf("hide %s: each process has another there, or none", text.Quote(x.Name)),
			Fix:    `hide files of the kernel's, such as "/proc/kallsyms", or say proc = false in the policy's [files]`,
		}
	case slices.ContainsFunc(t.facts.Masks, func(m host.Found) bool { return policy.Within(x.Name, m.Path) }) &&
		!policy.IsTrue(t.policy.Process.Nest):
		return nil, true, nil // covered in any case
	}
	return []mask{{path: x.Name, dir: src.Dir(), below: true}}, true, nil
}

// inTmpfs says whether what is made below the node lies in a private tmpfs.
func (t *Tree) inTmpfs(n Node) bool {
	for n.Kind == Directory && n.Path != "/" {
		n = t.over(n.Path)
	}
	return n.Kind == Tmpfs
}

// isParent says whether the path is a directory of sbx's own on the way to a
// node.
func (t *Tree) isParent(name string) bool {
	return slices.ContainsFunc(t.nodes, func(n Node) bool { return n.Path != name && policy.Within(n.Path, name) })
}

// isSource says whether the policy names the path as what is shown somewhere.
func (t *Tree) isSource(real string) bool {
	return slices.ContainsFunc(t.entries.Entries, func(e policy.Entry) bool { return e.Options.From == real })
}

// machineDirs covers the machine's own /proc and /dev where the policy wants
// none and shows the directory that they lie in.
func (t *Tree) machineDirs() (list []mask) {
	for _, x := range [...]struct {
		want *bool
		path string
	}{{t.policy.Files.Proc, "/proc"}, {t.policy.Files.Dev, "/dev"}} {
		within := func(n Node) bool { return policy.Within(n.Path, x.path) }
		if !policy.NotFalse(x.want) && t.over(x.path).Kind.FromHost() && !slices.ContainsFunc(t.nodes, within) {
			list = append(list, mask{path: x.path, dir: true, below: true})
		}
	}
	return list
}

// masksOf covers what was found on the host under each name that it has inside.
func (t *Tree) masksOf(x host.Found, pinned bool) (list []mask) {
	for _, n := range t.places(x.Path) {
		m := mask{path: n.place(x.Path), dir: x.Dir, below: true, id: x.ID, pinned: pinned}
		if n.Kind == Overlay {
			// Files have other numbers there; and what is kept of earlier
			// changes may say that it is gone, with the directories over it.
			m.id, m.maybe = ns.ID{}, n.Layers != nil
			m.pinned = pinned && !m.maybe
		}
		list = append(list, m)
	}
	return list
}

// places are the nodes by which the host's real path is reached inside: one for
// each that shows a directory over it, or the file itself, with nothing else in
// between.
func (t *Tree) places(real string) (list []Node) {
	for _, n := range t.nodes {
		if !n.Kind.FromHost() || n.Device || !policy.Within(real, n.Source.Real) {
			continue
		}
		if at, _ := t.deepest(n.place(real)); at.Path == n.Path {
			list = append(list, n)
		}
	}
	return list
}

// maskOver is the covered path at or over the path, "" without one.
func (t *Tree) maskOver(p string) string {
	for len(t.masked) > 0 {
		if t.masked[p] {
			return p
		}
		if p == "/" || p == "." {
			break
		}
		p = path.Dir(p)
	}
	return ""
}
