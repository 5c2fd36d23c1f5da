package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func key(s string) [32]byte { return sha256.Sum256([]byte(s)) }

func TestKeep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d := At(path)
	if d.Get(key("x")) != nil {
		t.Error("an empty cache has something")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("looking made a directory")
	}
	d.Put(key("x"), []byte("one"))
	d.Put(key("x"), []byte("two"))
	if got := At(path).Get(key("x")); string(got) != "two" {
		t.Errorf("got %q", got)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v", st.Mode(), err)
	}
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestRefuse gives the cache what it must not take.
func TestRefuse(t *testing.T) {
	name := func(s string) string { k := key(s); return hex.EncodeToString(k[:]) }
	for what, spoil := range map[string]func(t *testing.T, dir string) error{
		"directory others may read":  func(_ *testing.T, dir string) error { return os.Chmod(dir, 0o755) },
		"directory others may write": func(_ *testing.T, dir string) error { return os.Chmod(dir, 0o1777) },
		"file others may write":      func(_ *testing.T, dir string) error { return os.Chmod(dir+"/"+name("x"), 0o606) },
		"torn file":                  func(_ *testing.T, dir string) error { return os.Truncate(dir+"/"+name("x"), 33) },
		"empty file":                 func(_ *testing.T, dir string) error { return os.Truncate(dir+"/"+name("x"), 0) },
		"huge file":                  func(_ *testing.T, dir string) error { return os.Truncate(dir+"/"+name("x"), 1<<30) },
		"symbolic link": func(_ *testing.T, dir string) error {
			if err := os.Rename(dir+"/"+name("x"), dir+"/y"); err != nil {
				return err
			}
			return os.Symlink("y", dir+"/"+name("x"))
		},
		"fifo": func(_ *testing.T, dir string) error {
			if err := os.Remove(dir + "/" + name("x")); err != nil {
				return err
			}
			return unix.Mkfifo(dir+"/"+name("x"), 0o600)
		},
		"directory by a symbolic link": func(_ *testing.T, dir string) error {
			if err := os.Rename(dir, dir+"2"); err != nil {
				return err
			}
			return os.Symlink(dir+"2", dir)
		},
		"another user's directory": func(t *testing.T, dir string) error {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a directory away")
			}
			return os.Chown(dir, 12345, 12345)
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "c")
			At(dir).Put(key("x"), []byte("filter"))
			if At(dir).Get(key("x")) == nil {
				t.Fatal("nothing kept")
			}
			if err := spoil(t, dir); err != nil {
				t.Fatal(err)
			}
			if got := At(dir).Get(key("x")); got != nil {
				t.Errorf("took %q", got)
			}
			At(dir).Put(key("x"), []byte("again")) // harmless
		})
	}
}

func TestNowhere(t *testing.T) {
	for _, d := range []*Dir{{}, At("/proc/no/such"), At("/dev/null/x")} {
		d.Put(key("x"), []byte("filter"))
		if d.Get(key("x")) != nil {
			t.Error("kept without a place")
		}
	}
}

func TestUser(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/x")
	if got := User().path; got != "/x/sbx/filters" {
		t.Error(got)
	}
	t.Setenv("XDG_CACHE_HOME", "relative")
	t.Setenv("HOME", "/h")
	if got := User().path; got != "/h/.cache/sbx/filters" {
		t.Error(got)
	}
	t.Setenv("HOME", "")
	if got := User().path; got != "" {
		t.Error(got)
	}
}

// TestTogether has many launches meet an empty cache at once.
func TestTogether(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	want := bytes.Repeat([]byte("filter"), 1000)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			d := At(dir)
			defer d.Close()
			for range 20 {
				if got := d.Get(key("x")); got != nil && !bytes.Equal(got, want) {
					t.Errorf("got %d bytes", len(got))
				}
				d.Put(key("x"), want)
			}
		})
	}
	wg.Wait()
	if got := At(dir).Get(key("x")); !bytes.Equal(got, want) {
		t.Errorf("got %d bytes", len(got))
	}
}

func TestPrune(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	d := At(dir)
	for i := range maxEntries + 10 {
		d.Put(key(string(rune(i))), []byte("filter"))
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > maxEntries {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}
