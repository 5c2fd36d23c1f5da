package private

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func parent(t *testing.T) (dir string, fd int) {
	t.Helper()
	dir = t.TempDir()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return dir, fd
}

// TestMake: the directory is the caller's alone, whatever the umask is, and new: a name that
// is taken, by a directory, a file or a link, is an error and stays as it is.
func TestMake(t *testing.T) {
	dir, fd := parent(t)
	for _, umask := range []int{0, 0o777} {
		name, err := Name()
		if err != nil || len(name) != len("sbx-")+32 {
			t.Fatal(name, err)
		}
		old := unix.Umask(umask)
		links := [][2]string{{"p", "/x"}, {"go/pkg/mod", "/y"}, {"go/bin", "/z"}}
		d, err := Make(fd, dir, name, []string{"home", "tmp"}, links)
		unix.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range []string{"", "home", "tmp", "home/go", "home/go/pkg"} {
			fi, err := os.Stat(filepath.Join(d.Path, in))
			if err != nil || fi.Mode().Perm() != 0o700 {
				t.Errorf("umask %#o: %q: %v, %v", umask, in, fi, err)
			}
		}
		for link, to := range map[string]string{"home/p": "/x", "home/go/pkg/mod": "/y", "home/go/bin": "/z"} {
			if got, err := os.Readlink(filepath.Join(d.Path, link)); got != to {
				t.Errorf("%s: %q, %v", link, got, err)
			}
		}
		unix.Close(d.FD)
		if err := Remove(fd, name); err != nil {
			t.Error(err)
		}
	}
	for i, make := range []func(string) error{
		func(p string) error { return os.Mkdir(p, 0o777) },
		func(p string) error { return os.Symlink("/", p) },
		func(p string) error { return os.WriteFile(p, nil, 0o666) },
	} {
		name := fmt.Sprint("sbx-", i)
		if err := make(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := Make(fd, dir, name, []string{"home"}, nil); err == nil || !strings.Contains(err.Error(), "file exists") {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// TestRemove: whatever a program leaves is removed, and what its links lead to is not: deep
// trees, directories without rights, odd names, special files.
func TestRemove(t *testing.T) {
	dir, fd := parent(t)
	outside := filepath.Join(dir, "outside")
	if err := os.MkdirAll(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	top := filepath.Join(dir, "sbx-x")
	if err := os.MkdirAll(filepath.Join(top, "home/many"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 4500 {
		if err := os.WriteFile(filepath.Join(top, "home/many", fmt.Sprintf("%d\n-rf *", i)), nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range []string{"home/link", "moved-1", "moved-2"} {
		if err := os.Symlink(outside, filepath.Join(top, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(top, "home/fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	// Deeper than a path can say, each directory with a brother, and without rights.
	at, err := unix.Open(top, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 400 {
		if err := unix.Mkdirat(at, "d", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mkdirat(at, "e", 0); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(at, "d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Fchmod(next, 0o700); err != nil {
			t.Fatal(err)
		}
		unix.Close(at)
		at = next
	}
	unix.Close(at)
	if err := os.Chmod(filepath.Join(top, "home"), 0); err != nil {
		t.Fatal(err)
	}
	if err := Remove(fd, "sbx-x"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(top); !os.IsNotExist(err) {
		t.Errorf("it is there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(outside, "file")); err != nil {
		t.Errorf("what a link led to: %v", err)
	}
	if err := Remove(fd, "sbx-x"); err != nil {
		t.Errorf("once more: %v", err)
	}
}

// TestArguments: the janitor's arguments are checked.
func TestArguments(t *testing.T) {
	for _, args := range [][]string{{"sbx-janitor", "private", "x", "sbx-1"}, {"sbx-janitor", "private", "3", "../x"},
		{"sbx-janitor", "private", "3", "sbx-/../x"}, {"sbx-janitor", "private", "-1", "sbx-1"}} {
		if !Janitor(args) || Main(args) == nil {
			t.Errorf("%q: taken", args)
		}
	}
	if Janitor([]string{"sbx-janitor", "7", "8", "9"}) || Janitor([]string{"sbx", "private", "3", "sbx-1"}) {
		t.Error("other arguments are taken")
	}
}
