package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"sbx/internal/text"

	"sbx/ns"
	"sbx/policy"
)

// hideAll covers what the policy hides and the sockets that it does not name.
func (v *view) hideAll(p *policy.Policy) error {
	var hidden []Hidden
	var own, absent []string
	var proc []ns.Hide
	for _, s := range p.Files.Hide {
		name := strings.TrimPrefix(s, "?")
		if !strings.HasPrefix(name, "/") {
			continue // a pattern, of which h.Hidden is what it matches
		}
		if name == "/" {
			return errors.New("hide /: then nothing could run")
		}
		if h, ok := v.ownProc(p, name); ok {
			proc = append(proc, h)
			continue
		}
		own = append(own, name)
		sources := [2]string{name}
		if len(p.Files.Paths) > 0 {
			// The path is one of the inside, and another of the outside is there.
			sources[1] = v.host.origin(p, name, true)
		}
		for i, source := range sources {
			f := v.host.Files[source]
			switch {
			case i > 0 && (source == "" || source == name):
			case f.Err != nil:
				return fmt.Errorf("look at %s, which is to be hidden: %w", text.Quote(source), f.Err)
			case f.Mode != 0:
				hidden = append(hidden, Hidden{f.Real, f.Dir(), f.id()})
			case s == name && len(v.places(cmp.Or(f.Real, source))) > 0:
				return &NeedError{What: fmt.Sprintf("hide %s: it is not there, and would be shown once somebody makes it", text.Quote(name)),
					Hint: `put a ? in front to hide it only if it is there: "?` + name + `"`}
			}
		}
		if s == name {
			absent = append(absent, name)
		}
	}
	slices.Sort(absent)
	for _, name := range absent {
		if err := v.absent(name); err != nil {
			return err
		}
	}
	for _, x := range v.host.Hidden {
		// A pattern does not hide what the policy or a flag shows by name.
		is := func(s string) bool { return strings.TrimPrefix(s, "?") == x.Path }
		if !slices.ContainsFunc(p.Files.Read, is) && !slices.ContainsFunc(p.Files.Write, is) && !isSource(p, x.Path) {
			hidden = append(hidden, x)
		}
	}
	v.hide(append(hidden, v.unnamed()...), own)
	slices.SortStableFunc(proc, func(a, b ns.Hide) int { return cmp.Compare(depth(a.Path), depth(b.Path)) })
	for _, h := range proc {
		masked := func(m Hidden) bool { return policy.Within(h.Path, m.Path) && !isTrue(p.Process.Nest) }
		if !v.isCovered(h.Path) && !slices.ContainsFunc(v.host.Masks, masked) {
			v.covered[h.Path] = true
			v.steps = append(v.steps, h)
		}
	}
	return nil
}

// ownProc is the cover of the sandbox's own /proc or a path in it: its files
// have other numbers than the host's.
func (v *view) ownProc(p *policy.Policy, name string) (ns.Hide, bool) {
	f := v.host.Files[name]
	if !policy.Within(name, "/proc") || !notFalse(p.Files.Proc) || f.Mode == 0 || f.Real != name {
		return ns.Hide{}, false
	}
	return ns.Hide{Path: name, Dir: f.Dir(), Below: true, Cover: v.cover()}, true
}

// isSource says whether the policy names the path as what is shown somewhere.
func isSource(p *policy.Policy, real string) bool {
	for _, o := range p.Files.Paths {
		if o.From == real {
			return true
		}
	}
	return false
}

// absent makes a place for a hidden path in a private tmpfs, where the target
// could make it itself. On the root there is nothing and will be nothing.
func (v *view) absent(name string) error {
	k, ok := v.made[name]
	if _, policys := v.policy.Files.Symlinks[name]; ok && k == linkKind && policys {
		return &NeedError{What: fmt.Sprintf("hide %s: it is a symbolic link of the policy's own", text.Quote(name)), Hint: "hide what it leads to"}
	}
	up, upKind := v.above(name)
	if ok || upKind.shown() {
		return nil
	}
	tmp := v.tmpfsOver(up)
	if tmp == "" {
		return nil
	}
	if err := v.parents(name); err != nil {
		return err
	}
	v.pin(name, tmp)
	v.made[name] = fileKind
	v.steps = append(v.steps, ns.File{Path: name})
	return nil
}

// hide covers what is really at these paths, under each name that it has
// inside, and what is our own by its name; what lies in a covered directory is
// covered with it.
func (v *view) hide(hidden []Hidden, own []string) {
	var list []ns.Hide
	for _, x := range hidden {
		for _, e := range v.places(x.Path) {
			h := ns.Hide{Path: e.path, Dir: x.Dir, Below: true, ID: x.ID, Cover: v.cover()}
			if e.kind == overlayKind {
				// Files have other numbers there; and what is kept of earlier
				// changes may say that it is gone.
				h.ID, h.Maybe = ns.ID{}, e.layers != nil
			}
			list = append(list, h)
		}
	}
	for _, name := range own {
		if k, ok := v.made[name]; ok && (k == dirKind || k == tmpfsKind || k == fileKind || k == emptyKind) {
			list = append(list, ns.Hide{Path: name, Dir: k != fileKind, Below: v.outside(path.Dir(name)), Cover: v.cover()})
		}
	}
	slices.SortStableFunc(list, func(a, b ns.Hide) int {
		return cmp.Or(cmp.Compare(depth(a.Path), depth(b.Path)), cmp.Compare(a.Path, b.Path))
	})
	v.covered = make(map[string]bool)
	for _, x := range list {
		if !v.isCovered(x.Path) {
			v.covered[x.Path] = true
			v.steps = append(v.steps, x)
		}
	}
}

// isCovered says whether the path, or a directory over it, is hidden.
func (v *view) isCovered(p string) bool {
	for ; p != "/"; p = path.Dir(p) {
		if v.covered[p] {
			return true
		}
	}
	return false
}

// places are the paths inside by which the outside's real path is reached: one
// for each mount that shows it, which is the rest of the entry.
func (v *view) places(real string) []entry {
	var list []entry
	for _, e := range v.placed {
		if !e.kind.shown() || e.device || !policy.Within(real, e.src.Real) {
			continue
		}
		inside := path.Join(e.path, strings.TrimPrefix(real, e.src.Real))
		_, other := v.made[inside] // something else is there
		if up, _ := v.above(inside); inside == e.path || up == e.path && !other {
			e.path = inside
			list = append(list, e)
		}
	}
	return list
}
