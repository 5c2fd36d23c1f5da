package main

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/sandbox"
)

// names are the names in a directory.
func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	holds := func(name, want string, mode os.FileMode) {
		t.Helper()
		data, err := os.ReadFile(name)
		st, serr := os.Lstat(name)
		if err != nil || serr != nil || string(data) != want || st.Mode() != mode {
			t.Errorf("%s: %v, %v, %q, %v", name, err, serr, data, st)
		}
	}
	old := unix.Umask(0o027)
	defer unix.Umask(old)
	if err := writeFile("new", []byte("one")); err != nil {
		t.Fatal(err)
	}
	holds("new", "one", 0o640)
	if err := os.Chmod("new", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link("new", "before"); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(dir+"/new", []byte("two")); err != nil {
		t.Fatal(err)
	}
	holds("new", "two", 0o600)
	holds("before", "one", 0o600) // a file of its own came in its place

	if err := os.Symlink("new", "link"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", "null"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", "dangling"); err != nil {
		t.Fatal(err)
	}
	err := writeFile("link", []byte("three"))
	if hint := sandbox.Hint(err); err == nil || err.Error() != "write link: it is a symbolic link to a file" ||
		hint != "name the file that it leads to" {
		t.Errorf("a link: %v, hint %q", err, hint)
	}
	holds("new", "two", 0o600)
	if err := writeFile("null", []byte("x")); err != nil {
		t.Errorf("a link to a device: %v", err)
	}
	for name, want := range map[string]error{
		"dangling": unix.ENOENT, "none/x": unix.ENOENT, "new/x": unix.ENOTDIR, ".": unix.EISDIR, "..": unix.EISDIR,
		"./": unix.EISDIR, "/": unix.EISDIR,
		"": unix.EISDIR, "/dev/full": unix.ENOSPC,
	} {
		if err := writeFile(name, []byte("x")); !errors.Is(err, want) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := os.Lstat("nowhere"); err == nil {
		t.Error("a dangling link was followed")
	}
	if got := len(names(t, dir)); got != 5 {
		t.Errorf("left are %q", names(t, dir))
	}
}

// TestWriteFileWhole: whoever reads while it is written sees one text or the other.
func TestWriteFileWhole(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	texts := [][]byte{bytes.Repeat([]byte("a"), 1<<18), bytes.Repeat([]byte("b"), 1<<17)}
	if err := writeFile(name, texts[0]); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		var err error
		for i := 0; i < 40 && err == nil; i++ {
			err = writeFile(name, texts[i%2])
		}
		done <- err
	}()
	for {
		data, err := os.ReadFile(name)
		if err != nil || !bytes.Equal(data, texts[0]) && !bytes.Equal(data, texts[1]) {
			t.Fatalf("%v, %d bytes", err, len(data))
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			if got := names(t, dir); len(got) != 1 {
				t.Errorf("left are %q", got)
			}
			return
		default:
		}
	}
}

// TestWriteFileFails: when the file cannot be written, the old one stays and
// nothing else does.
func TestWriteFileFails(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	if err := writeFile(name, []byte("old")); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 4096, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	err := writeFile(name, make([]byte, 8192))
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, unix.EFBIG) || err.Error() != "write "+name+": file too large" {
		t.Errorf("%v", err)
	}
	if data, err := os.ReadFile(name); err != nil || string(data) != "old" || len(names(t, dir)) != 1 {
		t.Errorf("%v, %q, left are %q", err, data, names(t, dir))
	}
}
