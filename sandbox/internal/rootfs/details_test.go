package rootfs_test

import (
	"slices"
	"testing"

	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/rootfs"
)

// TestDetails: what the target's details say of a path is in the steps, and nothing of it
// is where they say nothing.
func TestDetails(t *testing.T) {
	p := &policy.Policy{Files: policy.Files{Read: []string{"/usr"}, Tmpfs: []string{"/t", "/u"},
		Inline: map[string]string{"/f": "one", "/g": "two"}, Overlay: []string{"/o"}}}
	h := machine(p, "/usr", "/o", "/lower")
	for _, name := range []string{"/o", "/lower"} {
		f := h.Files[name]
		f.FD = 9
		h.Files[name] = f
	}
	details := map[string]host.Detail{"/t": {ReadOnly: true}, "/f": {Own: true, Writable: true, Mode: 0o640},
		"/o": {Under: []string{"/lower"}, ReadOnly: true}}
	for _, has := range []bool{true, false} {
		target := host.Target{Dir: "/"}
		if has {
			target.Details = details
		}
		tree, err := rootfs.New(p, target, h, rootfs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(tree.ReadOnly(), "/t"); got != has || slices.Contains(tree.ReadOnly(), "/u") {
			t.Errorf("details %v: read-only are %q", has, tree.ReadOnly())
		}
		steps, err := tree.Steps()
		if err != nil {
			t.Fatal(err)
		}
		files, overlays := 0, 0
		for _, s := range steps {
			switch s := s.(type) {
			case ns.FileOver:
				files++
				if s.Path != "/f" || !s.Own || !s.Writable || s.Mode != 0o640 {
					t.Errorf("%+v", s)
				}
			case ns.Overlay:
				overlays++
				if lower := s.Under != nil && len(*s.Under) == 1 && (*s.Under)[0].Path == "/lower"; s.ReadOnly != has ||
					lower != has {
					t.Errorf("details %v: %s, read-only %v, over /lower %v", has, s, s.ReadOnly, lower)
				}
			}
		}
		if files != map[bool]int{true: 1}[has] || overlays != 1 {
			t.Errorf("details %v: %d files with a mode, %d overlays", has, files, overlays)
		}
	}
}
