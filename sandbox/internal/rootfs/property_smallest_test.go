package rootfs_test

import (
	"fmt"
	"maps"
	"slices"

	"sbx/policy"
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
			if _, there := w.machine[p]; there {
				again = try(other) || again
			}
		}
	}
	return w, bad
}
