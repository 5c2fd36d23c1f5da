package host

import (
	"os"
	"path/filepath"
	"slices"
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
	for _, dir := range []string{"home/.t/fine", "pr/bin", "pr/sub/deep", "repo/.git", "repo/bin", "home/.nvm/.git",
		"home/.nvm/bin", "home/.t/kept", "home/.t/wide", "home/.t/groups", "home/.t/file", "home/.t/links",
		"home/.t/itself", "home/.t/copy", "home/.t/second", "home/.t/directory/tool", "home/.t/plain",
		"home/.t/foreign", "home/.t/planted", "work/tools/bin", "work/alone", "home/go/bin", "home/go/src/x/bin",
		"home/scripts", "store"} {
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
	for _, dir := range []string{"home/.t/fine", "pr/bin", "pr/sub/deep", "repo/bin", "home/.nvm/bin",
		"home/.t/kept", "home/.t/wide", "home/.t/groups",
		"home/.t/foreign", "work/tools/bin", "work/alone", "home/go/bin", "home/go/src/x/bin", "home/scripts"} {
		program(dir+"/tool", 0o755)
	}
	program("home/.t/file/tool", 0o757)
	program("home/.t/plain/tool", 0o644)
	for dir, mode := range map[string]os.FileMode{"home/.t/wide": 0o777, "home/.t/groups": 0o775} {
		if err := os.Chmod(filepath.Join(top, dir), mode); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		"home/.t/links/tool": "../fine/tool", "home/.t/itself/tool": exe,
		"home/.t/second/tool": "../itself/tool", "pr/away": "../home/.t/fine",
		"home/.t/planted/tool": "../../../pr/away/tool", "store/tool": "../work/alone/tool",
	} {
		if err := os.Symlink(to, filepath.Join(top, link)); err != nil {
			t.Fatal(err)
		}
	}
	own, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(top, "home/.t/copy/tool"), own, 0o755); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		dir, why string // "own": it is sbx itself; "-": it is none
	}{
		{"home/.t/fine", ""}, {"home/.nvm/bin", ""}, {"home/.t/links", ""}, {"home/.t/itself", "own"},
		{"home/.t/second", "own"}, {"home/.t/copy", "own"},
		{"home/.t/directory", "-"}, {"home/.t/plain", "-"}, {"home/.t/none", "-"},
		{"pr/bin", "it lies in the project"}, {"pr/sub/deep", "it lies in the project"},
		{"pr/away", "leads through the symbolic link"}, {"home/.t/planted", "leads through the symbolic link"},
		{"repo/bin", "it lies in the repository"}, {"work/tools/bin", "/work/tools, which can be a project"},
		{"work/alone", "/work, which can be a project"}, {"store", "which can be a project"},
		{"home/go/bin", ""}, {"home/go/src/x/bin", "which can be a project"}, {"home/scripts", ""},
		{"home/.t/kept", "where the program may write"},
		{"home/.t/wide", "others can write to"}, {"home/.t/file", "others can write to it"},
	}
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		if err := os.Chown(filepath.Join(top, "home/.t/foreign"), 61043, 61043); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, struct{ dir, why string }{"home/.t/foreign", "belongs to user 61043"},
			struct{ dir, why string }{"home/.t/groups", ""})
	} else {
		gid = uid + 1 // a group that others are in
		cases = append(cases, struct{ dir, why string }{"home/.t/groups", "others can write to"})
	}
	c := Chooser{UID: uid, GID: gid, Home: home, Project: filepath.Join(top, "pr"),
		Writes: []string{"?" + filepath.Join(top, "home/.t/kept"), "?/nowhere", "/"}}
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
		if dir := filepath.Join(top, x.dir); x.why != "own" && x.why != "-" && !slices.Contains(
			[]string{"home/.t/file", "home/.t/planted", "store"}, x.dir) {
			if why := c.Dir(dir, dir); (why == "") != (x.why == "") {
				t.Errorf("links in %s: %q", x.dir, why)
			}
		}
	}
}
