package sandbox

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"sbx/policy"
)

// TestPatterns holds the short comparison to path.Match.
func TestPatterns(t *testing.T) {
	names := []string{"", "a", ".env", ".env.local", "x.pem", ".pem", "pem", "id_rsa", "id_rsa.pub", "a*b", "ab", "axb", "*", "[a]", `a\b`}
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
	for _, f := range []string{".env", "a.pem", "sub/.env", "sub/b.pem", "sub/deep/.env.x", ".ssh/id", "node/.env/x", "plain"} {
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
	p := &policy.Policy{Files: policy.Files{Read: []string{dir}, Hide: []string{"*.pem", ".ssh", "?**/.env*"}}}
	var h Host
	if err := h.findHidden(p, dir); err != nil {
		t.Fatal(err)
	}
	want := []Hidden{{".env", false}, {".ssh", true}, {"a.pem", false}, {"node/.env", true}, {"sub/.env", false}, {"sub/deep/.env.x", false}}
	for i := range want {
		want[i].Path = filepath.Join(dir, want[i].Path)
	}
	slices.SortFunc(h.Hidden, func(a, b Hidden) int {
		if a.Path < b.Path {
			return -1
		}
		return 1
	})
	if !slices.Equal(h.Hidden, want) {
		t.Errorf("found %v, want %v", h.Hidden, want)
	}
	if h.Hidden = nil; h.findHidden(&policy.Policy{Files: policy.Files{Hide: p.Files.Hide}}, dir) != nil || h.Hidden != nil {
		t.Errorf("looked where nothing is shown: %v", h.Hidden)
	}
	if err := h.findHidden(p, dir+"/none"); err == nil {
		t.Error("no error for a directory that is not there")
	}
}

func TestShows(t *testing.T) {
	p := &policy.Policy{Files: policy.Files{Read: []string{"/", "?/tmp/p"}, Tmpfs: []string{"/tmp", "/home/u"}, Write: []string{"/home/u/w"}}}
	for dir, want := range map[string]bool{"/": true, "/usr": true, "/tmp": false, "/tmp/x": false, "/tmp/p": true, "/tmp/p/q": true,
		"/tmp/px": false, "/home": true, "/home/u": false, "/home/u/w/x": true} {
		if got := Shows(p, dir); got != want {
			t.Errorf("Shows(%s) = %v", dir, got)
		}
	}
}
