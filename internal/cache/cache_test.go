package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	for _, c := range []struct{ xdg, home, base, below string }{
		{"/x", "/h", "/", "x/sbx/filters"},
		{"/x/", "", "/", "x/sbx/filters"},
		{"/h/c/", "/h/", "/h/", "c/sbx/filters"},
		{"/hx/c", "/h", "/", "hx/c/sbx/filters"},
		{"relative", "/h", "/h", ".cache/sbx/filters"},
		{"", "/h", "/h", ".cache/sbx/filters"},
		{"", "relative", "", ""},
		{"", "", "", ""},
	} {
		t.Setenv("XDG_CACHE_HOME", c.xdg)
		t.Setenv("HOME", c.home)
		if d := User(); d.base != c.base || d.below != c.below {
			t.Errorf("%+v: %q in %q", c, d.below, d.base)
		}
	}
}

// TestLinks: no link below the home is followed, whoever made it; where the home
// itself is one, that is the system's affair.
func TestLinks(t *testing.T) {
	real, elsewhere := t.TempDir(), t.TempDir()
	home := filepath.Join(t.TempDir(), "home")
	if err := os.Symlink(real, home); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", home)
	User().Put(key("x"), []byte("filter"))
	if User().Get(key("x")) == nil {
		t.Error("a home by a link keeps nothing")
	}
	if err := os.RemoveAll(filepath.Join(real, ".cache")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".cache", ".cache/sbx", ".cache/sbx/filters"} {
		at := filepath.Join(real, name)
		if err := os.Symlink(elsewhere, at); err != nil {
			t.Fatal(err)
		}
		User().Put(key("x"), []byte("filter"))
		if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) > 0 {
			t.Errorf("%s is a link: %v, %v", name, entries, err)
		}
		if err := os.Remove(at); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(at, 0o700); err != nil {
			t.Fatal(err)
		}
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
	for i := range Filters.Entries + 10 {
		d.Put(key(string(rune(i))), []byte("filter"))
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > Filters.Entries {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

// TestPruneOwn: only entries go, whatever else lies there.
func TestPruneOwn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	k := key("x")
	others := []string{"letter.txt", strings.ToUpper(hex.EncodeToString(k[:])), hex.EncodeToString(k[:31]),
		hex.EncodeToString(k[:]) + "0"}
	for i := range Filters.Entries + 100 {
		others = append(others, fmt.Sprintf("file%d", i))
	}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range Filters.Entries + 10 {
		At(dir).Put(key(string(rune(i))), []byte("filter"))
	}
	for _, name := range others {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > len(others)+Filters.Entries {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}
