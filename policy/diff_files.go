package policy

import (
	"path"
	"slices"
	"strings"
)

// sight is what a policy lets the target do at a path, as far as its text tells.
type sight struct {
	access access
	// source is the path of the host that is there; empty for sbx's own.
	source string
	noExec bool
}

// sights answers for all paths by the policy's tree, to which it adds what
// belongs to every sandbox, and the sockets that are shown for being named.
type sights struct{ tree *Tree }

func newSights(f *Files) sights {
	p := &Policy{Files: *f}
	t := p.Tree()
	for _, s := range f.Sockets {
		if x := ParsePath(s); x.Name != "/" && !t.At(x.Name).Kind.FromHost() {
			t.add(Entry{Path: x, Kind: KindRead})
		}
	}
	for _, own := range [...]struct {
		want *bool
		name string
	}{{f.Proc, "/proc"}, {f.Dev, "/dev"}} {
		if NotFalse(own.want) {
			t.replace(Entry{Path: Path{Name: own.name}, Kind: KindDirectory})
		}
	}
	return sights{t}
}

func (s sights) at(name string) sight {
	e := s.tree.At(name)
	x := sight{noExec: e.NoExec()}
	switch e.Kind {
	case KindRead:
		x.access = readable
	case KindWrite:
		x.access = writable
	case KindOverlay:
		x.access = overlaid
	case KindTmpfs:
		x.access = private
	case KindDirectory, KindFile, KindSymlink:
		x.access = fixed
	}
	if e.Kind.FromHost() {
		if x.source = path.Join(e.Source(), strings.TrimPrefix(name, e.Name)); e.Source() == "/" && !path.IsAbs(name) {
			x.source = name // it begins with a variable
		}
	}
	return x
}

// around is the nearest of the paths that lies above p, or "".
func around(p string, paths []string) string {
	best := ""
	for _, q := range paths {
		if q != p && Within(p, q) && len(q) > len(best) {
			best = q
		}
	}
	return best
}

// files compares the root file systems path by path. They change only at the
// entries of either policy, so that looking there is looking everywhere.
func (d *Difference) files(a, b *Files, tmpA, tmpB string) error {
	was, is := newSights(a), newSights(b)
	var paths []string
	for _, t := range [...]*Tree{was.tree, is.tree} {
		for _, e := range t.Entries {
			paths = append(paths, e.Name)
		}
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	for _, by := range []int{1, -1} {
		more, less := is, was
		if by < 0 {
			more, less = was, is
		}
		for _, p := range paths {
			what := more.at(p).access.beyond(less.at(p).access)
			if above := around(p, paths); above != "" && more.at(p).access == more.at(above).access &&
				strings.Contains(more.at(above).access.beyond(less.at(above).access), what) {
				continue // said with the directory above
			}
			if (p == "/proc" || p == "/dev") && what == fixed.beyond(nothing) {
				continue // said below
			}
			if what != "" {
				d.step(by, "%s %s", what, p)
			}
		}
	}
	d.placesDiffer(was, is, paths)
	d.heldElsewhere(was, is, 1)
	d.heldElsewhere(is, was, -1)
	d.hidden(a, b)
	d.guarded(a, b)
	for _, x := range []struct {
		what string
		a, b *bool
	}{
		{"/proc", a.Proc, b.Proc}, {"a minimal /dev", a.Dev, b.Dev},
		{"set-id files in what can be written", a.SetID, b.SetID},
	} {
		d.truth(x.what, x.a, x.b, true)
	}
	d.sockets(a, b)
	return d.inFiles(a, b, tmpA, tmpB)
}

// placesDiffer says where both show something, and other than the same: another
// path of the host, or files that can be executed.
func (d *Difference) placesDiffer(was, is sights, paths []string) {
	for _, p := range paths {
		x, y := was.at(p), is.at(p)
		above := around(p, paths)
		if x.source != y.source && (x.source != "" && y.source != "" || y.source != "" && y.source != p) {
			if up, now := was.at(above), is.at(above); above == "" ||
				x.source != path.Join(up.source, strings.TrimPrefix(p, above)) ||
				y.source != path.Join(now.source, strings.TrimPrefix(p, above)) || up.source == now.source {
				d.other("what is shown at %s: %s instead of %s", p, shown(y.source, p), shown(x.source, p))
			}
		}
		if x.access < private || y.access < private || x.noExec == y.noExec {
			continue
		}
		if above != "" && was.at(above).noExec == x.noExec && is.at(above).noExec == y.noExec &&
			was.at(above).access >= private && is.at(above).access >= private {
			continue // said with the directory above
		}
		d.step(sign(x.noExec), "executing files of %s", p)
	}
}

// hides says whether the host's path is hidden by its own name.
func (t *Tree) hides(name string) bool {
	return slices.ContainsFunc(t.Hidden, func(h Path) bool { return Within(name, h.Name) })
}

// heldElsewhere says what entries of read have held under other names too, where
// another entry shows a directory over their files, and holds no more. What links
// of the host lead to cannot be seen here.
func (d *Difference) heldElsewhere(was, is sights, by int) {
	for _, e := range was.tree.Entries {
		// Where the file that it shows is hidden, all at its place is, and below it.
		if e.Options.From != "" && e.Kind.FromHost() && was.tree.hides(e.Source()) {
			if now, ok := is.tree.Get(e.Name); !ok || !is.tree.hides(now.Source()) {
				if slices.ContainsFunc(is.tree.Entries, func(r Entry) bool { return r.Name != e.Name && Within(r.Name, e.Name) }) {
					d.step(by, "what was hidden with %s", e.Name)
				}
			}
		}
		if e.Kind != KindRead {
			continue
		}
		for _, w := range is.tree.Entries {
			if w.Kind != KindWrite || w.Options.From == "" && e.Options.From == "" || e.Source() == w.Source() ||
				!Within(e.Source(), w.Source()) {
				continue
			}
			place := path.Join(w.Name, strings.TrimPrefix(e.Source(), w.Source()))
			if is.at(place).access != writable || is.at(place).source != e.Source() || was.at(place).access != writable {
				continue // said otherwise, or not to be written
			}
			if !slices.ContainsFunc(is.tree.Entries, func(r Entry) bool {
				return r.Kind == KindRead && Within(e.Source(), r.Source()) && Within(r.Source(), w.Source())
			}) {
				d.step(by, "write %s at %s", e.Source(), place)
			}
		}
	}
}

// shown is a source in words.
func shown(source, p string) string {
	switch source {
	case "":
		return "nothing of the host"
	case p:
		return "the path itself"
	}
	return source
}

// hidden compares what is covered. A path that is covered only if it is there
// at the start can come to be later. A pattern covers nothing that is shown by
// its name.
func (d *Difference) hidden(a, b *Files) {
	covered := func(e string, list []string) bool {
		x := ParsePath(e)
		return slices.ContainsFunc(list, func(o string) bool {
			y := ParsePath(o)
			return (x.Name == y.Name || path.IsAbs(x.Name) && path.IsAbs(y.Name) && Within(x.Name, y.Name)) &&
				(x.Optional || !y.Optional || !path.IsAbs(x.Name))
		})
	}
	for _, e := range b.Hide {
		if !covered(e, a.Hide) {
			d.step(-1, "what is hidden by %s", withoutMark(e))
		}
	}
	for _, e := range a.Hide {
		if !covered(e, b.Hide) {
			d.step(1, "what was hidden by %s", withoutMark(e))
		}
	}
	for _, x := range []struct {
		by         int
		more, less *Files
	}{{1, b, a}, {-1, a, b}} {
		for _, e := range slices.Concat(x.more.Read, x.more.Write) {
			name := withoutMark(e)
			if k := x.less.kindOf(name); k == "read" || k == "write" {
				continue
			}
			for _, pattern := range x.less.Hide {
				if pat := withoutMark(pattern); hides(pat, name) {
					d.step(x.by, "%s, by its name, which %s hides", name, pat)
					break
				}
			}
		}
	}
}

// guarded compares what is read-only by its name, and exceptions from what is hidden.
func (d *Difference) guarded(a, b *Files) {
	for _, x := range []struct {
		by       int
		key      string
		was, now []string
	}{
		{-1, "guard", a.Guard, b.Guard}, {1, "unguard", a.Unguard, b.Unguard}, {1, "unhide", a.Unhide, b.Unhide},
	} {
		if x.key == "unhide" && len(b.Hide)+len(b.Inspect) == 0 {
			continue // there is nothing to be excepted from
		}
		for _, e := range minus(x.now, x.was) {
			d.step(x.by, "what %s says of %s", x.key, e)
		}
		for _, e := range minus(x.was, x.now) {
			d.step(-x.by, "what %s said of %s", x.key, e)
		}
	}
	d.inspected(a, b)
}

// inspected compares what is hidden by its content: of names that hide has, that is
// less, else more.
func (d *Difference) inspected(a, b *Files) {
	byName := func(f *Files, e string) (all, some bool) {
		for _, h := range f.Hide {
			h = strings.TrimPrefix(withoutMark(h), "**/")
			all = all || h == e
			some = some || hides(h, e) || !path.IsAbs(h) && strings.ContainsAny(e, `*?[\`)
		}
		return all, some
	}
	for _, x := range []struct {
		by   int
		list []string
	}{{-1, minus(b.Inspect, a.Inspect)}, {1, minus(a.Inspect, b.Inspect)}} {
		for _, e := range x.list {
			inA, maybeA := byName(a, e)
			inB, maybeB := byName(b, e)
			// With inspect and hide less is hidden than with hide alone, and more than with neither.
			switch {
			case x.by < 0 && inA, x.by > 0 && inB:
				d.step(-x.by, "what is hidden by its content, of %s", e)
			case x.by < 0 && (inB || !maybeA), x.by > 0 && (inA || !maybeB):
				d.step(x.by, "what is hidden by its content, of %s", e)
			default:
				d.other("what is hidden by its content, of %s", e)
			}
		}
	}
}

// hides says whether a pattern of hide is of names such as the path's.
func hides(pattern, name string) bool {
	if path.IsAbs(pattern) || strings.HasPrefix(pattern, "$") {
		return false
	}
	ok, err := path.Match(strings.TrimPrefix(pattern, "**/"), path.Base(name))
	return ok || err != nil
}
