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

// mask is a path to be masked.
type mask struct {
	path string
	dir  bool
	// below says that it lies in a directory of the host.
	below bool
	// id is the file that was found there. The zero value matches any file.
	id ns.ID
	// maybe says that it may be missing.
	maybe bool
	// pinned says that the directories over it are kept from being renamed.
	pinned bool
	// why is why a search found it.
	why string
	// searched says that it was found by a search, and looks that it looks like a secret.
	searched, looks bool
}

// hide masks what the policy hides and the sockets that it does not name, under each name
// that they have inside.
func (t *Tree) hide() error {
	var list []mask
	var unread, unsearched []string
	for _, x := range t.entries.Hidden {
		found, err := t.hiddenPath(x)
		if err != nil {
			return err
		}
		list = append(list, found...)
	}
	for _, x := range t.facts.Found {
		shown := false
		for _, m := range t.masksOf(x, false) {
			if !t.isNamed(m.path, x.Path) && !(x.Unread && t.isWork(x.Path)) {
				// A program that moved it could take it where the next search does not look.
				m.pinned, m.why, m.searched, m.looks = !m.maybe, x.Why, true, !x.Unread && !x.Unsearched
				list = append(list, m)
				shown = true
			}
		}
		switch {
		case !shown:
		case x.Unread:
			unread = append(unread, x.Path)
		case x.Unsearched:
			unsearched = append(unsearched, x.Path)
		}
	}
	t.noteHidden(unread, "it cannot be searched for secrets; chmod u+rx shows it",
		"they cannot be searched for secrets; chmod u+rx shows them")
	t.noteHidden(unsearched, "the project has too many files to search it for secrets; --show shows it all the same",
		"the project has too many files to search them for secrets; --show shows one all the same")
	for _, x := range t.unnamedSockets() {
		for _, m := range t.masksOf(x, false) {
			m.searched = true
			list = append(list, m)
		}
	}
	list = append(list, t.machineDirs()...)
	receipt, err := t.receiptMasks()
	if err != nil {
		return err
	}
	list = append(list, receipt...)
	slices.SortStableFunc(list, func(a, b mask) int { return byDepth(a.path, b.path) })
	t.masked = make(map[string]bool, len(list))
	at := make(map[string]int, len(list))
	for _, m := range list {
		if i, have := at[m.path]; have {
			t.masks[i].pinned = t.masks[i].pinned || m.pinned
		} else if t.maskOver(m.path) == "" { // a mask over it hides it already
			at[m.path] = len(t.masks)
			t.masked[m.path] = true
			t.masks = append(t.masks, m)
		}
	}
	return t.checkShown()
}

// Secrets is how many files look like secrets and are hidden for that.
func (t *Tree) Secrets() (n int) {
	for _, m := range t.masks {
		if m.looks {
			n++
		}
	}
	return n
}

// Searched says whether what a search found, and no entry of the policy, is at the path or
// below it.
func (t *Tree) Searched(name string) bool {
	for _, m := range t.masks {
		if m.searched && policy.Within(m.path, name) {
			return true
		}
	}
	for _, n := range t.nodes {
		if n.searched && policy.Within(n.Path, name) {
			return true
		}
	}
	return false
}

// checkShown refuses a path to show that is hidden all the same.
func (t *Tree) checkShown() error {
	for _, s := range t.policy.Files.Unhide {
		x := policy.ParsePath(s)
		if !path.IsAbs(x.Name) {
			continue
		}
		f := t.facts.Files[x.Name]
		if f.Err != nil {
			return fmt.Errorf("look at %s, which is to be shown: %w", text.Quote(x.Name), f.Err)
		}
		if f.Mode == 0 {
			if x.Optional {
				continue
			}
			return &host.MissingError{Path: x.Name}
		}
		for _, n := range t.places(f.Real) {
			if over := t.maskOver(n.insidePath(f.Real)); over != "" {
				return &host.NeedError{
					Reason: host.Conflict,
					What:   fmt.Sprintf("show %s: %s is hidden", text.Quote(x.Name), text.Quote(over)),
					Fix:    "show that as a whole, or take out what hides it; sbx --dry-run says why it is hidden",
				}
			}
		}
	}
	return nil
}

// isWork says whether the path lies in an overlay's work directory, which has one
// without read permission, which the kernel makes anew with each mount.
func (t *Tree) isWork(real string) bool {
	return slices.ContainsFunc(t.nodes, func(n Node) bool {
		return n.Layers != nil && policy.Within(real, n.Layers[1].Real)
	})
}

// noteHidden says which directories are hidden, and what to do about one or several.
func (t *Tree) noteHidden(dirs []string, one, several string) {
	switch len(dirs) {
	case 0:
	case 1:
		t.Notes = append(t.Notes, fmt.Sprintf("%s is hidden: %s", text.Quote(dirs[0]), one))
	default:
		t.Notes = append(t.Notes, fmt.Sprintf("%d directories are hidden, %s for one: %s", len(dirs), text.Quote(dirs[0]),
			several))
	}
}

// hiddenPath are the masks for a path of files.hide.
func (t *Tree) hiddenPath(x policy.Path) (list []mask, err error) {
	if x.Name == "/" {
		return nil, host.Refuse(host.NothingRuns, "hide /: then nothing could run")
	}
	if m, ok, err := t.hideSystem(x); ok || err != nil {
		return m, err
	}
	sources := []string{x.Name}
	if len(t.policy.Files.Paths) > 0 {
		// At this path inside, another path of the host may be shown, unless the entry for it was
		// left out, since there is no place for it.
		other := t.facts.Origin(t.entries, x.Name, true)
		if n, _ := t.deepest(x.Name); other != "" && other != x.Name && n.Kind.FromHost() && n.HostPath(x.Name) == other {
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
		case f.Covered: // by an outer sandbox, for good
		case f.Mode != 0:
			list = append(list, t.masksOf(host.Found{Path: f.Real, Dir: f.Dir(), ID: f.ID()}, true)...)
		case !x.Optional && len(t.places(cmp.Or(f.Real, source))) > 0:
			return nil, &host.NeedError{
				Reason: host.Absent,
				What: fmt.Sprintf("hide %s: it does not exist, and would be visible as soon as it is made",
					text.Quote(x.Name)),
				Fix: `put a ? in front to hide it only if it exists: "?` + x.Name + `"`,
			}
		}
	}
	n, _ := t.deepest(x.Name)
	switch {
	case n.Path == x.Name && n.Kind == Link && n.Source.Mode == 0 && !x.Optional:
		return nil, &host.NeedError{
			Reason: host.BehindLink,
			What:   fmt.Sprintf("hide %s: it is a symbolic link of the policy's own", text.Quote(x.Name)),
			Fix:    "hide the path that it leads to",
		}
	case n.Path == x.Name && (n.Kind < Tmpfs && n.Kind != Link || n.Kind == Tmpfs):
		list = append(list, mask{path: x.Name, dir: n.Kind != File, below: t.over(x.Name).Kind.FromHost(), pinned: true})
	case !x.Optional && n.Path != x.Name && t.inTmpfs(n) && !t.isParent(x.Name):
		// In a tmpfs the target could make the path itself. On the root tmpfs, which is
		// read-only, it cannot.
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

// hideSystem are the masks for a path in the sandbox's own /proc, whose files have other
// inode numbers than the host's, or for its /dev/pts.
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
			What:   fmt.Sprintf("hide %s: each process has another file there, or none", text.Quote(x.Name)),
			Fix:    `hide files of the kernel's, such as "/proc/kallsyms", or say proc = false in the policy's [files]`,
		}
	case slices.ContainsFunc(t.facts.Masks, func(m host.Found) bool { return policy.Within(x.Name, m.Path) }) &&
		!policy.IsTrue(t.policy.Process.Nest):
		return nil, true, nil // it is masked in any case
	}
	return []mask{{path: x.Name, dir: src.Dir(), below: true}}, true, nil
}

// inTmpfs says whether the node lies in a private tmpfs.
func (t *Tree) inTmpfs(n Node) bool {
	for n.Kind == Directory && n.Path != "/" {
		n = t.over(n.Path)
	}
	return n.Kind == Tmpfs
}

// isParent says whether sbx makes the path as a directory over a node.
func (t *Tree) isParent(name string) bool {
	return slices.ContainsFunc(t.nodes, func(n Node) bool { return n.Path != name && policy.Within(n.Path, name) })
}

// isNamed says whether the policy or a flag names the host's path for the place:
// there, and under no other name, a pattern does not hide it.
func (t *Tree) isNamed(place, real string) bool {
	e, ok := t.entries.Get(place)
	return ok && e.Source() == real && (e.Kind == policy.KindRead || e.Kind == policy.KindWrite || e.Options.From != "")
}

// machineDirs masks the host's /proc and /dev where the policy wants neither but shows the
// directory over them.
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

// masksOf masks what was found on the host under each name that it has inside,
// and each part of it that an entry shows elsewhere. What a pattern found is
// shown where the policy names the part itself.
func (t *Tree) masksOf(x host.Found, pinned bool) (list []mask) {
	for _, n := range t.nodes {
		if !n.Kind.FromHost() || n.Device || n.alias || n.Source.Real == x.Path || !policy.Within(n.Source.Real, x.Path) {
			continue
		}
		if !pinned && policy.Within(cmp.Or(n.From, n.Path), x.Path) {
			continue
		}
		m := mask{path: n.Path, dir: n.Source.Dir(), below: true, id: n.Source.ID(), pinned: pinned}
		if n.Kind == Overlay {
			m.id = ns.ID{} // files have other numbers there
		}
		list = append(list, m)
	}
	for _, n := range t.places(x.Path) {
		m := mask{path: n.insidePath(x.Path), dir: x.Dir, below: true, id: x.ID, pinned: pinned}
		if n.Kind == Overlay {
			// Its inode number is another one in an overlay. It may also be missing there,
			// with the directories over it, because of earlier changes in the upper directory.
			m.id, m.maybe = ns.ID{}, n.Layers != nil
			m.pinned = pinned && !m.maybe
		}
		list = append(list, m)
	}
	return list
}

// places are the nodes through which the host's real path is reached inside: those that
// show the file itself, or a directory over it with no other node in between.
func (t *Tree) places(real string) (list []Node) {
	for _, n := range t.nodes {
		if !n.Kind.FromHost() || n.Device || !policy.Within(real, n.Source.Real) {
			continue
		}
		if at, _ := t.deepest(n.insidePath(real)); at.Path == n.Path {
			list = append(list, n)
		}
	}
	return list
}

// maskOver is the masked path at or over the path, or "".
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
