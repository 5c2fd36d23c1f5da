package cgroup

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLimitMissing: a kernel without the file of an optional limit does without it, and
// without that of another the limit cannot be verified.
func TestLimitMissing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "memory.max"), []byte("4096\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, c := range []struct {
		limit         Limit
		missing, held bool
	}{
		{Limit{File: "memory.max", Text: "4096"}, false, true},
		{Limit{File: "memory.max", Text: "8192", Optional: true}, false, false},
		{Limit{File: "memory.swap.max", Text: "0", Optional: true}, true, false},
		{Limit{File: "memory.swap.max", Text: "0"}, false, false},
	} {
		if got := c.limit.Missing(int(d.Fd())); got != c.missing {
			t.Errorf("%+v: missing: %v", c.limit, got)
		}
		if err := c.limit.Verify(int(d.Fd())); (err == nil) != c.held {
			t.Errorf("%+v: %v", c.limit, err)
		}
	}
}
