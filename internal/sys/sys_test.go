package sys

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReadFile: files are read whole, also those longer than one read.
func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	for _, want := range []string{"", "x", strings.Repeat("abc", 5000)} {
		name := filepath.Join(dir, "f")
		if err := os.WriteFile(name, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadFile(name); err != nil || got != want {
			t.Errorf("%d bytes, %v, want %d", len(got), err, len(want))
		}
	}
	if s, err := ReadFile("/proc/self/comm"); err != nil || s == "" {
		t.Errorf("comm: %q, %v", s, err)
	}
	if _, err := ReadFile(dir + "/none"); err != unix.ENOENT {
		t.Errorf("no file: %v", err)
	}
	if _, err := ReadFile(dir); err != unix.EISDIR {
		t.Errorf("a directory: %v", err)
	}
	if err := os.Symlink("f", dir+"/l"); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if s, err := ReadFileAt(fd, "f", unix.O_NOFOLLOW); err != nil || len(s) != 15000 {
		t.Errorf("f: %d bytes, %v", len(s), err)
	}
	if _, err := ReadFileAt(fd, "l", unix.O_NOFOLLOW); err != unix.ELOOP {
		t.Errorf("a link: %v, want ELOOP", err)
	}
}
