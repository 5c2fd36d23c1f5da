package rootfs_test

import (
	"testing"

	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/rootfs"
)

// TestStartDir: the target starts where the caller stands if that is there inside,
// with a root file system of its own and without.
func TestStartDir(t *testing.T) {
	no := false
	for _, c := range []struct {
		dir, elsewhere, want string
	}{
		{"/w", "/", "/w"},
		{"/w/p", "/", "/w/p"},
		{"/a", "/", "/a"}, // /a/b is shown
		{"/c", "/", "/"},
		{"/", "/h", "/h"},
		{"/home", "/h", "/h"},
		{"/c", "", ""},
	} {
		p := &policy.Policy{Name: "p", Files: policy.Files{Write: []string{"/w"}, Read: []string{"/a/b"}, Proc: &no,
			Dev: &no}}
		target := host.Target{Dir: c.dir, Elsewhere: c.elsewhere, Home: "/home/u"}
		tree, err := rootfs.New(p, target, machine(p, c.dir), rootfs.Options{})
		if got := dirOf(tree); (err == nil) != (c.want != "") || got != c.want {
			t.Errorf("from %s: starts in %q, want %q: %v", c.dir, got, c.want, err)
		}
		_, dir, err := rootfs.LandlockOnly(p, target, machine(p, c.dir), false, 0)
		if (err == nil) != (c.want != "") || dir != c.want {
			t.Errorf("from %s, with the host's mounts: starts in %q, want %q: %v", c.dir, dir, c.want, err)
		}
	}
}

func dirOf(t *rootfs.Tree) string {
	if t == nil {
		return ""
	}
	return t.Dir
}
