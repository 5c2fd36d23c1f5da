package host

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// TestPatterns compares pattern with path.Match.
func TestPatterns(t *testing.T) {
	names := []string{
		"", "a", ".env", ".env.local", "x.pem", ".pem", "pem", "id_rsa", "id_rsa.pub", "a*b", "ab", "axb", "*", "[a]", `a\b`,
	}
	for _, text := range []string{"a", "*", ".env*", "*.pem", "id_rsa*", "a*b", "*a*", "?", "[a-x]", `a\*b`, "**", "",
		"i*a*b", "a*[x-z]b", "[", "a[", "?b", "a?"} {
		for _, name := range names {
			want, err := path.Match(text, name)
			pattern := newPattern(text)
			if got := pattern.matches(name); got != (want || err != nil) {
				t.Errorf("%q on %q: %v, path.Match says %v, %v", text, name, got, want, err)
			}
		}
	}
	if bad := newPattern("["); !bad.matches("anything") {
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
			Path:  filepath.Join(dir, name),
			Dir:   st.Mode&unix.S_IFMT == unix.S_IFDIR,
			ID:    identity(&st),
			Links: uint64(st.Nlink),
		})
	}
	for i, f := range h.Found {
		if !strings.Contains(f.Why, "its name is like ") {
			t.Errorf("%s is hidden: %q", f.Path, f.Why)
		}
		h.Found[i].Why = ""
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
