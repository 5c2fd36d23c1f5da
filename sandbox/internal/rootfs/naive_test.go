package rootfs_test

import (
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/policy"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/rootfs"
)

// claim is an entry of any list, in the simplest way to say what it means.
type claim struct {
	name, source string
	kind         rootfs.Kind
	from, noexec bool
	optional     bool
}

// claims are the policy's entries that count, list by list: the first of a path
// does. What may be missing and is, is left out.
func (w *world) claims() (list []claim) {
	if w.listed != nil {
		return w.listed
	}
	defer func() { w.listed = list }()
	f := &w.policy.Files
	add := func(kind rootfs.Kind, entries []string) {
		for _, s := range entries {
			c := claim{name: strings.TrimPrefix(s, "?"), kind: kind, optional: s[0] == '?'}
			o := f.Paths[c.name]
			c.from, c.noexec = o.From != "", o.Exec != nil && !*o.Exec
			if i := slices.IndexFunc(list, func(x claim) bool { return x.name == c.name }); i >= 0 {
				if list[i].kind == kind {
					list[i].optional = list[i].optional && c.optional
				}
				continue
			}
			if kind.FromHost() {
				c.source = c.name
				if c.from {
					c.source = o.From
				}
				real, err := w.machine.real(c.source)
				if c.source = real; err != nil {
					c.source = "missing"
				}
			}
			list = append(list, c)
		}
	}
	add(rootfs.Write, f.Write)
	add(rootfs.Read, f.Read)
	add(rootfs.Overlay, f.Overlay)
	add(rootfs.Tmpfs, f.Tmpfs)
	add(rootfs.Directory, f.Directories)
	for name := range f.Inline {
		add(rootfs.File, []string{name})
	}
	for name := range f.Symlinks {
		add(rootfs.Link, []string{name})
	}
	list = slices.DeleteFunc(list, func(c claim) bool { return c.source == "missing" })
	// Upper ones first: a claim whose place is missing on the host is dropped.
	slices.SortStableFunc(list, func(a, b claim) int { return len(a.name) - len(b.name) })
	kept := list[:0:0]
	for _, c := range list {
		over, ok := deepestClaim(kept, path.Dir(c.name))
		if ok && c.name != "/" && over.kind.FromHost() {
			if _, there := w.machine[path.Join(over.source, strings.TrimPrefix(c.name, over.name))]; !there {
				continue
			}
		}
		kept = append(kept, c)
	}
	list = kept
	return list
}

func deepestClaim(list []claim, name string) (best claim, ok bool) {
	for _, c := range list {
		if policy.Within(name, c.name) && (!ok || len(c.name) >= len(best.name)) {
			best, ok = c, true
		}
	}
	return best, ok
}

// naive is what a path is on a machine without links; sure is false where the
// words of docs/files.md do not say it.
func (w *world) naive(name string) (a answer, sure bool) {
	list := w.claims()
	c, ok := deepestClaim(list, name)
	if !ok {
		c = claim{name: "/", kind: rootfs.Directory}
	}
	a = answer{kind: c.kind, noexec: c.noexec}
	switch {
	case c.kind == rootfs.Link:
		return a, false
	case c.kind == rootfs.File && c.name != name:
		return a, false
	case c.kind == rootfs.Directory:
		for c.kind == rootfs.Directory && c.name != "/" {
			if c, ok = deepestClaim(list, path.Dir(c.name)); !ok {
				c = claim{name: "/", kind: rootfs.Directory}
			}
		}
		if a = (answer{kind: rootfs.Directory}); c.kind == rootfs.Tmpfs {
			a = answer{kind: rootfs.Tmpfs, noexec: c.noexec}
		}
	case c.kind.FromHost():
		a.source = path.Join(c.source, strings.TrimPrefix(name, c.name))
	}
	if w.hides(list, name, a) {
		return answer{kind: rootfs.Hidden}, true
	}
	if c.kind == rootfs.Write {
		// A read-only entry holds for its file, whatever its name.
		var best claim
		for _, g := range w.all() {
			if g.kind != rootfs.Read || g.source == c.source || !policy.Within(g.source, c.source) ||
				!policy.Within(a.source, g.source) {
				continue
			}
			if len(g.source) > len(best.source) || g.source == best.source && g.noexec {
				best = g
			}
		}
		if best.source != "" {
			a.kind, a.noexec = rootfs.Read, a.noexec || best.noexec
		}
	}
	return a, true
}

// hides says whether the path is hidden: by its name, if anything is there, or
// by that of the host's file that would be there.
func (w *world) hides(list []claim, name string, a answer) bool {
	for _, s := range w.policy.Files.Hide {
		x := policy.ParsePath(s)
		c, ok := deepestClaim(list, x.Name)
		if _, onHost := w.machine[x.Name]; onHost && covers(list, name, x.Name) {
			return true
		}
		if ok && c.kind.FromHost() {
			// Something else of the host has the name inside.
			other := path.Join(c.source, strings.TrimPrefix(x.Name, c.name))
			if _, there := w.machine[other]; there && covers(list, name, other) {
				return true
			}
		}
		if !policy.Within(name, x.Name) {
			continue
		}
		switch {
		case ok && c.name == x.Name, slices.ContainsFunc(list, func(c claim) bool { return policy.Within(c.name, x.Name) }):
			return true
		case ok && !c.kind.FromHost() && c.kind != rootfs.File && !x.Optional &&
			w.said(path.Dir(x.Name)).kind != rootfs.Directory:
			return true // a tmpfs, where the target could make it
		}
	}
	for _, f := range w.found {
		named := func(c claim) bool { return w.text(c) == f && (c.from || c.kind != rootfs.Overlay) }
		if shownAt(list, name, f, named) || a.source != "" && w.isFound(list, name, a.source) {
			return true
		}
	}
	return false
}

// text is the path of the host in the words of the policy.
func (w *world) text(c claim) string {
	if c.from {
		return w.policy.Files.Paths[c.name].From
	}
	return c.name
}

// covers says whether the path lies where the host's file is shown, or where an
// entry shows a part of it.
func covers(list []claim, name, file string) bool {
	part := func(c claim) bool {
		return c.kind.FromHost() && c.source != file && policy.Within(c.source, file) && policy.Within(name, c.name)
	}
	return shownAt(list, name, file, func(claim) bool { return false }) || slices.ContainsFunc(list, part)
}

// shownAt says whether the path lies in what an entry shows of the file, but for
// entries of the very file that are excepted.
func shownAt(list []claim, name, file string, except func(claim) bool) bool {
	return slices.ContainsFunc(list, func(c claim) bool {
		place := path.Join(c.name, strings.TrimPrefix(file, c.source))
		at, _ := deepestClaim(list, place)
		return c.kind.FromHost() && !(place == c.name && except(c)) && policy.Within(file, c.source) && at == c &&
			policy.Within(name, place)
	})
}

// isFound says whether a pattern matches the file or a directory over it, and
// the entry that shows it at the path does not name what is matched, or a part.
func (w *world) isFound(list []claim, name, source string) bool {
	c, _ := deepestClaim(list, name)
	return slices.ContainsFunc(w.found, func(f string) bool {
		return policy.Within(source, f) &&
			!policy.Within(w.text(c), f)
	})
}

// held: whatever the links, what is hidden is not shown, and a file of the host
// is writable only if an entry says so that no read-only one below it takes back.
func (w *world) held(name string, got answer, complain func(string, ...any)) {
	if got.source == "" || got.kind == rootfs.Hidden {
		return
	}
	for _, s := range w.policy.Files.Hide {
		x := policy.ParsePath(s)
		if real, err := w.machine.real(x.Name); err == nil && policy.Within(got.source, real) {
			complain("%s shows %s, which is hidden", name, got.source)
		}
	}
	if w.isFound(w.claims(), name, got.source) {
		complain("%s shows %s, which a pattern hides", name, got.source)
	}
	if got.kind != rootfs.Write {
		return
	}
	// The deepest of the host's directories that an entry names says it.
	var best claim
	for _, c := range w.all() {
		if (c.kind == rootfs.Read || c.kind == rootfs.Write) && policy.Within(got.source, c.source) &&
			(best.source == "" || len(c.source) > len(best.source) || len(c.source) == len(best.source) &&
				c.kind == rootfs.Write) {
			best = c
		}
	}
	if best.kind != rootfs.Write {
		complain("%s is %s, but %s says it is %s", name, got, best.name, best.kind)
	}
}

// all are the entries that count, with what they lead to on the host, wherever
// they lie.
func (w *world) all() (list []claim) {
	if w.meant != nil {
		return w.meant
	}
	defer func() { w.meant = list }()
	f := &w.policy.Files
	tree := w.policy.Tree()
	for kind, entries := range map[rootfs.Kind][]string{rootfs.Write: f.Write, rootfs.Read: f.Read,
		rootfs.Overlay: f.Overlay} {
		for _, s := range entries {
			c := claim{name: strings.TrimPrefix(s, "?"), kind: kind, optional: s[0] == '?'}
			o := f.Paths[c.name]
			c.from, c.noexec, c.source = o.From != "", o.Exec != nil && !*o.Exec, c.name
			if c.from {
				c.source = o.From
			}
			e, _ := tree.Get(c.name)
			if real, err := w.machine.real(c.source); err == nil && sameKind(e.Kind, kind) {
				c.source, c.optional = real, e.Optional
				list = append(list, c)
			}
		}
	}
	return list
}

// kept: an entry that must be there is, in its own way.
func (w *world) kept(complain func(string, ...any)) {
	for _, c := range w.all() {
		got, ok := w.mounts.at(c.name)
		if !ok || got.kind == rootfs.Hidden {
			continue
		}
		switch {
		case c.optional:
		case got.kind != c.kind || got.source != c.source:
			complain("%s is %s, but the entry says %s of %s", c.name, got, c.kind, c.source)
		case c.noexec && !got.noexec:
			complain("%s is %s, but nothing there is to be executed", c.name, got)
		}
	}
}

func sameKind(e policy.Kind, k rootfs.Kind) bool {
	return e == policy.KindWrite && k == rootfs.Write || e == policy.KindRead && k == rootfs.Read ||
		e == policy.KindOverlay && k == rootfs.Overlay
}

// rules: each rule of Landlock's that allows writing lies on what can be
// written, and all that can be written has one.
func (w *world) rules(complain func(string, ...any)) {
	var allowed []string
	for _, s := range w.tree.Rules() {
		var r landlock.Rule
		switch s := step.Step(s).(type) {
		case landlock.Rule:
			r = s
		default:
			complain("unknown rule %T", s)
		}
		if r.Allow != landlock.Write {
			continue
		}
		allowed = append(allowed, r.Path)
		if got, ok := w.mounts.at(r.Path); !ok || !writes(got.kind) {
			complain("Landlock lets %s be written, which is %s", r.Path, got)
		}
		node, rest, link := w.mounts.walk(r.Path)
		if i, _ := node.m.fs.at(node.p); rest != "" || link || r.File != (i.mode != unix.S_IFDIR) {
			complain("the rule for %s, a file %v: %q is missing, link %v", r.Path, r.File, rest, link)
		}
	}
	for _, p := range w.paths() {
		if got, ok := w.mounts.at(p); ok && writes(got.kind) && !slices.ContainsFunc(allowed,
			func(r string) bool { return policy.Within(p, r) }) {
			complain("%s is %s, and no rule of Landlock's lets it be written", p, got)
		}
	}
}
