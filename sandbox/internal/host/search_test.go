package host

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// TestPatterns compares pattern with path.Match.
func TestPatterns(t *testing.T) {
	names := []string{
		"", "a", ".env", ".env.local", "x.pem", ".pem", "pem", "id_rsa", "id_rsa.pub", "a*b", "ab", "axb", "*", "[a]", `a\b`,
	}
	for _, text := range []string{"a", "*", ".env*", "*.pem", "id_rsa*", "a*b", "*a*", "?", "[a-x]", `a\*b`, "**", ""} {
		for _, name := range names {
			want, err := path.Match(text, name)
			if got := newPattern(text).matches(name); got != (want || err != nil) {
				t.Errorf("%q on %q: %v, path.Match says %v, %v", text, name, got, want, err)
			}
		}
	}
	if !newPattern("[").matches("anything") {
		t.Error("a pattern that is none hides nothing")
	}
}

func TestFindHidden(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{
		".env", "a.pem", "sub/.env", "sub/b.pem", "sub/deep/.env.x", ".ssh/id", "node/.env/x", "plain",
	} {
		name := filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("plain", filepath.Join(dir, ".env.link")); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"x.pem": "sub/deep/plain", "y.pem": "/etc/passwd", "z.pem": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "sub/deep/plain"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	p := &policy.Policy{Files: policy.Files{Read: []string{dir}, Hide: []string{"*.pem", ".ssh", "?**/.env*"}}}
	var h Facts
	if err := h.findHidden(p, dir, true); err != nil {
		t.Fatal(err)
	}
	var want []Found
	for _, name := range []string{
		".env", ".ssh", "a.pem", "node/.env", "plain", "sub/.env", "sub/deep/.env.x", "sub/deep/plain",
	} {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(dir, name), &st); err != nil {
			t.Fatal(err)
		}
		want = append(want, Found{
			Path: filepath.Join(dir, name),
			Dir:  st.Mode&unix.S_IFMT == unix.S_IFDIR,
			ID:   identity(&st),
		})
	}
	slices.SortFunc(h.Found, func(a, b Found) int {
		if a.Path < b.Path {
			return -1
		}
		return 1
	})
	if !slices.Equal(h.Found, want) {
		t.Errorf("found %v, want %v", h.Found, want)
	}
	nothing := (&policy.Policy{Files: policy.Files{Hide: p.Files.Hide}}).Tree()
	if list := h.projects(nothing, Target{Project: dir}); len(list) != 0 {
		t.Errorf("would look where nothing is shown: %v", list)
	}
	if err := h.findHidden(p, dir+"/none", true); err == nil {
		t.Error("no error for a directory that is not there")
	}
}

func TestShows(t *testing.T) {
	p := &policy.Policy{Files: policy.Files{
		Read:  []string{"/", "?/tmp/p"},
		Tmpfs: []string{"/tmp", "/home/u"},
		Write: []string{"/home/u/w"},
	}}
	for dir, want := range map[string]bool{
		"/": true, "/usr": true, "/tmp": false, "/tmp/x": false, "/tmp/p": true, "/tmp/p/q": true, "/tmp/px": false,
		"/home": true, "/home/u": false, "/home/u/w/x": true,
	} {
		if got := p.Files.Shows(dir); got != want {
			t.Errorf("Shows(%s) = %v", dir, got)
		}
	}
}

// TestMoving exchanges a secret with a link of such a name during the search. Each time
// the search finds it, under one name or the other, or reports that it is unreliable.
func TestMoving(t *testing.T) {
	dir := t.TempDir()
	secret, link := filepath.Join(dir, ".env"), filepath.Join(dir, ".env.link")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", link); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(secret, &st); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				if err := unix.Renameat2(unix.AT_FDCWD, secret, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	p := &policy.Policy{Files: policy.Files{Read: []string{dir}, Hide: []string{"?**/.env*"}}}
	found := 0
	for range 3000 {
		var h Facts
		err := h.findHidden(p, dir, true)
		switch {
		case err == nil && slices.ContainsFunc(h.Found, func(x Found) bool { return x.ID == identity(&st) }):
			found++
		case err == nil:
			t.Errorf("found %v without the secret", h.Found)
		case !errors.Is(err, errMoved):
			t.Error(err)
		}
	}
	close(stop)
	<-stopped
	if found == 0 {
		t.Error("never found at all")
	}
}

// TestCut checks that a tree too large to search is searched from the top, and that the
// project's top directory is searched whole.
func TestCut(t *testing.T) {
	dir := t.TempDir()
	make := func(name string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range SearchLimit + 10 {
		make(fmt.Sprintf("big/sub/f%d", i))
	}
	for i := range 3 {
		make(fmt.Sprintf("d%d/.env", i))
	}
	make(".env")
	p := &policy.Policy{Files: policy.Files{Read: []string{dir}, Hide: []string{"*.pem", "?**/.env"}}}
	var h Facts
	if err := h.findHidden(p, dir, true); err != nil || h.SearchTruncatedAt != dir || len(h.Found) != 4 {
		t.Errorf("found %v, cut %v, %v", h.Found, h.SearchTruncatedAt, err)
	}
	h = Facts{}
	p.Files.Hide = []string{"**/.env"}
	if err := h.findHidden(p, dir, true); err == nil {
		t.Error("gave up on what must be hidden")
	}
	for i := range SearchLimit + 10 {
		make(fmt.Sprintf("f%d.pem", i))
	}
	p.Files.Hide = []string{"*.pem", "?**/.env"}
	if err := h.findHidden(p, dir, true); err != nil || len(h.Found) < SearchLimit+10 {
		t.Errorf("found %d, %v", len(h.Found), err)
	}
}
