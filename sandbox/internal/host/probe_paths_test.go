package host

import (
	"os"
	"path/filepath"
	"testing"

	"sbx/policy"
)

// TestLooked: sbx looks at what may be missing and is shown anyway if something
// can be written, for it may be a link to that; and at the place of a tmpfs.
func TestLooked(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"read", "write/ci", "write/tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link, to, place := filepath.Join(dir, "read/ci"), filepath.Join(dir, "write/ci"), filepath.Join(dir, "write/tmp")
	if err := os.Symlink(to, link); err != nil {
		t.Fatal(err)
	}
	p := &policy.Policy{Files: policy.Files{
		Read: []string{filepath.Join(dir, "read"), "?" + link}, Write: []string{filepath.Join(dir, "write")},
		Tmpfs: []string{place},
	}}
	h := &Facts{Files: map[string]File{}}
	defer h.Close()
	if err := h.probePaths(p, p.Tree(), Target{}); err != nil {
		t.Fatal(err)
	}
	if f := h.Files[link]; f.Real != to {
		t.Errorf("%s leads to %q, want %q", link, f.Real, to)
	}
	if f := h.Files[place]; !f.Dir() {
		t.Errorf("no look at %s: %+v", place, f)
	}
}
