package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestChooser: of a name's programs in PATH, which are sbx itself, and who else can have put
// the others there.
func TestChooser(t *testing.T) {
	top := t.TempDir()
	home := filepath.Join(top, "home")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"fine", "pr/bin", "pr/sub/deep", "repo/.git", "repo/bin", "home/.nvm/.git",
		"home/.nvm/bin", "kept", "wide", "groups", "file", "links", "itself", "copy", "second", "directory/tool", "plain",
		"foreign", "planted"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := func(name string, mode os.FileMode) {
		t.Helper()
		name = filepath.Join(top, name)
		if err := os.WriteFile(name, []byte("#!/bin/sh\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"fine", "pr/bin", "pr/sub/deep", "repo/bin", "home/.nvm/bin", "kept", "wide", "groups",
		"foreign"} {
		program(dir+"/tool", 0o755)
	}
	program("file/tool", 0o757)
	program("plain/tool", 0o644)
	for dir, mode := range map[string]os.FileMode{"wide": 0o777, "groups": 0o775} {
		if err := os.Chmod(filepath.Join(top, dir), mode); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		"links/tool": "../fine/tool", "itself/tool": exe, "second/tool": "../itself/tool", "pr/away": "../fine",
		"planted/tool": "../pr/away/tool",
	} {
		if err := os.Symlink(to, filepath.Join(top, link)); err != nil {
			t.Fatal(err)
		}
	}
	own, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(top, "copy/tool"), own, 0o755); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		dir, why string // "own": it is sbx itself; "-": it is none
	}{
		{"fine", ""}, {"home/.nvm/bin", ""}, {"links", ""}, {"itself", "own"}, {"second", "own"}, {"copy", "own"},
		{"directory", "-"}, {"plain", "-"}, {"none", "-"},
		{"pr/bin", "it lies in the project"}, {"pr/sub/deep", "it lies in the project"},
		{"pr/away", "leads through the symbolic link"}, {"planted", "leads through the symbolic link"},
		{"repo/bin", "it lies in the repository"}, {"kept", "where the program may write"},
		{"wide", "others can write to"}, {"file", "others can write to it"},
	}
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		if err := os.Chown(filepath.Join(top, "foreign"), 61043, 61043); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, struct{ dir, why string }{"foreign", "belongs to user 61043"},
			struct{ dir, why string }{"groups", ""})
	} else {
		gid = uid + 1 // a group that others are in
		cases = append(cases, struct{ dir, why string }{"groups", "others can write to"})
	}
	c := Chooser{UID: uid, GID: gid, Home: home, Project: filepath.Join(top, "pr"),
		Writes: []string{"?" + filepath.Join(top, "kept"), "?/nowhere", "/"}}
	for _, x := range cases {
		list := c.Programs("tool", "::.:relative:"+filepath.Join(top, x.dir))
		got := "-"
		if len(list) == 1 {
			if got = list[0].Why; list[0].Own {
				got = "own"
			}
		}
		if x.why == "" && got != "" || !strings.Contains(got, x.why) || len(list) > 1 {
			t.Errorf("%s: %q, not %q", x.dir, got, x.why)
		}
	}
	for _, x := range cases {
		if dir := filepath.Join(top, x.dir); x.why != "own" && x.why != "-" && x.dir != "file" && x.dir != "planted" {
			if why := c.Dir(dir); (why == "") != (x.why == "") {
				t.Errorf("links in %s: %q", x.dir, why)
			}
		}
	}
}
