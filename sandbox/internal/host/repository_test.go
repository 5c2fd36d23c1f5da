package host

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWithoutCredentials(t *testing.T) {
	for _, c := range []struct{ config, want string }{
		{"[core]\n\tbare = false\n", ""},
		{"[remote \"origin\"]\n\turl = git@host:x.git\n\tpushurl = ssh://git@host/x\n", ""},
		{"[remote \"o\"]\n\turl = https://me:t0ken@host/x\n\tfetch = +refs/*:refs/*\n",
			"[remote \"o\"]\n\turl = \"https://host/x\"\n\tfetch = \"+refs/*:refs/*\"\n"},
		{"[remote \"o\"]\n\turl = https://t0ken@host/x\n", "[remote \"o\"]\n\turl = \"https://host/x\"\n"},
		{"[url \"https://t0ken@host/\"]\n\tinsteadOf = https://host/\n",
			"[url \"https://host/\"]\n\tinsteadof = \"https://host/\"\n"},
		{"[http \"https://host/\"]\n\textraHeader = Authorization: t0ken\n[user]\n\tname = \"a \\\"b\\\"\"\n",
			"[user]\n\tname = \"a \\\"b\\\"\"\n"},
		{"[sendemail]\nsmtpPass = t0ken\n", "-"},
		{"[credential]\nhelper = \"!f() { echo password=t0ken; }; f\"\n", "-"},
		{"[credential]\nhelper = store\n", ""},
	} {
		got, changed := withoutCredentials(c.config)
		if changed != (c.want != "") || changed && got != strings.TrimPrefix(c.want, "-") {
			t.Errorf("%q: %q, %v, want %q", c.config, got, changed, c.want)
		}
	}
}

// TestFindRepository: what is outside counts only if it says itself that it belongs to
// the project, and what could not be looked at is not shown.
func TestFindRepository(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		links map[string]string
		want  []string // below the directory
		clean []string // settings without credentials
	}{
		"own":    {files: map[string]string{"p/.git/HEAD": "x"}},
		"none":   {files: map[string]string{"p/x": ""}},
		"around": {files: map[string]string{".git/HEAD": "x", ".git/config": "", "p/x": ""}, want: []string{".git"}},
		"work tree": {files: map[string]string{"r/.git/HEAD": "x", "r/.git/worktrees/p/HEAD": "x",
			"r/.git/worktrees/p/commondir": "../..\n", "r/.git/worktrees/p/gitdir": "DIR/p/.git\n",
			"p/.git": "gitdir: DIR/r/.git/worktrees/p\n"}, want: []string{"r/.git"}},
		"another's work tree": {files: map[string]string{"r/.git/HEAD": "x", "r/.git/worktrees/p/HEAD": "x",
			"r/.git/worktrees/p/commondir": "../..\n", "r/.git/worktrees/p/gitdir": "DIR/q/.git\n", "q/.git": "x",
			"p/.git": "gitdir: DIR/r/.git/worktrees/p\n"}},
		"common elsewhere": {files: map[string]string{"s/x": "", "r/.git/worktrees/p/HEAD": "x",
			"r/.git/worktrees/p/commondir": "DIR/s\n", "r/.git/worktrees/p/gitdir": "DIR/p/.git\n",
			"p/.git": "gitdir: DIR/r/.git/worktrees/p\n"}},
		"submodule": {files: map[string]string{"r/modules/p/HEAD": "x",
			"r/modules/p/config": "[core]\nworktree = ../../../p\n",
			"p/.git":             "gitdir: ../r/modules/p\n"}, want: []string{"r/modules/p"}},
		"another's submodule": {files: map[string]string{"r/modules/p/HEAD": "x",
			"r/modules/p/config": "[core]\nworktree = ../../../q\n", "q/x": "",
			"p/.git": "gitdir: ../r/modules/p\n"}},
		"a directory": {files: map[string]string{"s/HEAD": "x", "s/config": "", "p/.git": "gitdir: ../s\n"}},
		"a link": {files: map[string]string{"s/HEAD": "x",
			"p/x": ""}, links: map[string]string{"p/.git": "../s"}},
		"credentials": {files: map[string]string{".git/HEAD": "x",
			".git/config": "[a]\nb = https://u:p@h/\n[include]\npath = more\n",
			".git/more":   "[a]\ntoken = x\n", ".git/modules/a/b/HEAD": "x",
			".git/modules/a/b/config": "[a]\ntoken = x\n",
			".git/worktrees/w/HEAD":   "x", ".git/worktrees/w/config.worktree": "[a]\ntoken = x\n", "p/x": ""},
			want: []string{".git"},
			clean: []string{".git/config", ".git/modules/a/b/config", ".git/more",
				".git/worktrees/w/config.worktree"}},
		"linked settings": {files: map[string]string{".git/HEAD": "x", ".git/own": "[a]\ntoken = x\n", "p/x": ""},
			links: map[string]string{".git/config": "own"}},
		"large settings": {files: map[string]string{".git/HEAD": "x",
			".git/config": strings.Repeat("#\n", configSize), "p/x": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			for name, text := range c.files {
				at := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(at, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for name, to := range c.links {
				if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			r := FindRepository(filepath.Join(dir, "p"), "/nowhere")
			var got, clean []string
			for _, s := range r.Show {
				got = append(got, strings.TrimPrefix(s, dir+"/"))
			}
			for name := range r.Settings {
				clean = append(clean, strings.TrimPrefix(name, dir+"/"))
			}
			slices.Sort(clean)
			if !slices.Equal(got, c.want) || !slices.Equal(clean, c.clean) {
				t.Errorf("shows %q, want %q; settings %q, want %q", got, c.want, clean, c.clean)
			}
		})
	}
}
