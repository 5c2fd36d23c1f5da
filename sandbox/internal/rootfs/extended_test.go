package rootfs_test

import (
	"fmt"
	"maps"
	"slices"

	"sbx/policy"
	"sbx/sandbox/internal/rootfs"
)

// smallest takes out of a world what its fault does not need. A fault that only
// one more entry shows stays as it is.
func (w *world) smallest(links bool, bad []string) (*world, []string) {
	try := func(other *world) bool {
		err := other.build()
		var b []string
		switch {
		case err != nil && other.tree != nil:
			b = []string{"its own steps fail: " + err.Error()}
		case err == nil:
			b = other.check(links)
		}
		if len(b) > 0 {
			w, bad = other, b
		}
		return len(b) > 0
	}
	for again := true; again; {
		again = false
		for i := range 6 {
			for j := 0; ; j++ {
				other := w.with(func(f *policy.Files) {
					list := [...]*[]string{&f.Read, &f.Write, &f.Overlay, &f.Tmpfs, &f.Directories, &f.Hide}[i]
					if j < len(*list) {
						*list = slices.Delete(slices.Clone(*list), j, j+1)
					}
				})
				if fmt.Sprint(other.policy.Files) == fmt.Sprint(w.policy.Files) {
					break
				}
				again = try(other) || again
			}
		}
		for _, edit := range []func(*world){
			func(o *world) { o.policy.Files.Inline = nil }, func(o *world) { o.policy.Files.Symlinks = nil },
			func(o *world) { o.found = o.found[:max(0, len(o.found)-1)] },
		} {
			other := w.with(func(*policy.Files) {})
			edit(other)
			try(other)
		}
		for name := range w.policy.Files.Paths {
			again = try(w.with(func(f *policy.Files) { delete(f.Paths, name) })) || again
		}
		for _, p := range w.machine.there() {
			other := w.with(func(*policy.Files) {})
			other.machine = maps.Clone(w.machine)
			maps.DeleteFunc(other.machine, func(q string, _ inode) bool { return policy.Within(q, p) })
			other.found = slices.DeleteFunc(slices.Clone(w.found), func(q string) bool { return policy.Within(q, p) })
			if _, there := w.machine[p]; there {
				again = try(other) || again
			}
		}
	}
	return w, bad
}

// shuffled: the order of the lists is nothing.
func (w *world) shuffled(d *dice) []string {
	other := w.with(func(f *policy.Files) {
		for _, list := range [...]*[]string{&f.Read, &f.Write, &f.Overlay, &f.Tmpfs, &f.Directories, &f.Hide} {
			*list = slices.Clone(*list)
			for i := range *list {
				j := d.n(len(*list))
				(*list)[i], (*list)[j] = (*list)[j], (*list)[i]
			}
		}
	})
	if err := other.build(); err != nil {
		return []string{"in another order: " + err.Error()}
	}
	if w.String() != w.with(func(f *policy.Files) {}).like(other) {
		return []string{"in another order:\n" + other.String()}
	}
	return nil
}

// like is the world with the tree of another.
func (w *world) like(other *world) string {
	w.tree = other.tree
	return w.String()
}

// extended adds an entry to the policy. One of read or hide makes nothing
// writable; one of write does so at its own place alone. Nothing hidden is
// shown: held sees to that.
func (w *world) extended(d *dice) (bad []string, _ *world) {
	there := w.machine.there()
	entry, from, which := d.path(there), "", d.n(3)
	if which < 2 && d.n(4) == 0 {
		from = d.path(there)
	}
	same, taken := w.policy.Tree().Get(entry)
	if taken && which == 1 && same.Kind == policy.KindRead {
		return nil, w // of a path to be read and written the writing counts, under all names
	}
	other := w.with(func(f *policy.Files) {
		list := [...]*[]string{&f.Read, &f.Write, &f.Hide}[which]
		mark := [...]string{"", "?"}[d.n(2)]
		*list = append(slices.Clone(*list), mark+entry)
		if from != "" && !taken {
			f.Paths[entry] = policy.PathOptions{From: from}
		}
	})
	if err := other.build(); err != nil {
		if other.tree != nil {
			return []string{"its own steps fail: " + err.Error()}, other
		}
		return nil, w
	}
	bad = other.check(true)
	for _, p := range other.paths() {
		was, ok := w.mounts.at(p)
		is, still := other.mounts.at(p)
		if !ok || !still || !writes(is.kind) || writes(was.kind) || which == 1 && policy.Within(p, entry) {
			continue
		}
		if c, _ := deepestClaim(other.claims(), p); which == 0 && was.kind == rootfs.Hidden && c.name != entry &&
			policy.Within(c.name, entry) {
			continue // what lay over it and is hidden is not there any more
		}
		if real, err := w.machine.real(entry); which == 1 && from == "" && err == nil && policy.Within(is.source, real) {
			continue // a link: it lies where that leads to
		}
		bad = append(bad, fmt.Sprintf("with one more entry at %s (list %d, from %q), %s was %s and is %s", entry, which,
			from, p, was, is))
	}
	if len(bad) > 0 {
		bad = append(bad, "before:\n"+w.String())
	}
	return bad, other
}

func writes(k rootfs.Kind) bool { return k == rootfs.Write || k == rootfs.Overlay || k == rootfs.Tmpfs }
