package host

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// project makes a directory with these files: "name" is a file, "name/" a
// directory, "name -> to" a link, "name = text" a file with that text.
func project(t *testing.T, files ...string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, files...)
	return dir
}

func put(t *testing.T, dir string, files ...string) {
	t.Helper()
	for _, f := range files {
		name, to, link := strings.Cut(f, " -> ")
		name, content, _ := strings.Cut(name, " = ")
		isDir := strings.HasSuffix(name, "/")
		name = filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(name), 0o755)
		switch {
		case err != nil:
		case link:
			err = os.Symlink(to, name)
		case isDir:
			err = os.MkdirAll(name, 0o755)
		default:
			err = os.WriteFile(name, []byte(content+"\n"), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// searchGuards searches the project and names what is guarded in it.
func searchGuards(t *testing.T, dir, home string) (*Facts, []string) {
	t.Helper()
	p := &policy.Policy{Files: policy.Files{
		Write: []string{dir}, Guard: []string{".*", "**/.git", "**/.hg", "AGENTS.md", ".config/"}, Unguard: []string{".venv",
			".*.sw?", ".config"},
	}}
	h := &Facts{home: home}
	if err := h.findHidden(p, dir, true); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, g := range h.Guarded {
		list = append(list, strings.TrimPrefix(g.Path, dir+"/"))
	}
	slices.Sort(list)
	return h, list
}

// TestGuards: names by shape, repositories, and all that they point to inside
// the project; nothing else, and nothing elsewhere.
func TestGuards(t *testing.T) {
	elsewhere := project(t, "hooks/", "settings = [core]\nhooksPath = fromhome",
		"main/.git/config = [filter \"w\"]\nclean = worktree-tools/w.sh")
	for _, c := range []struct {
		name  string
		files []string
		want  string
	}{
		{"shape", []string{".editorconfig", ".zed/settings.json", ".venv/x", ".a.swp", "AGENTS.md", "sub/.x",
			"sub/AGENTS.md", "Makefile"},
			".editorconfig .zed AGENTS.md"},
		{"a file and a directory of one name", []string{".config"}, ""},
		{"the directory", []string{".config/mise.toml"}, ".config"},
		{"repositories", []string{".git/", "a/b/.git/", "sub/.git = gitdir: ../.git/modules/sub", ".git/modules/sub/"},
			".git a/b/.git sub/.git"},
		{"one without a work tree", []string{"x/HEAD", "x/objects/", "x/refs/", "x/hooks/post-update", "y/HEAD",
			"y/objects/"}, "x"},
		{"one with its parts elsewhere", []string{"x/HEAD", "x/commondir = ../st", "st/config", "y/commondir"}, "st x"},
		{"core.hooksPath", []string{".git/config = [core]\n\thooksPath = ci/hooks", "ci/hooks/pre-commit", "ci/x"},
			".git ci/hooks"},
		{"in other words", []string{".git/config = [CORE]HooksPath=\"ci/\\\nhooks\" ; x", "ci/hooks/pre-commit"},
			".git ci/hooks"},
		{"in config.worktree", []string{".git/config.worktree = [core] hookspath = hk", "hk/x"}, ".git hk"},
		{"hooks that are links", []string{".git/hooks/pre-push -> ../../tools/push", "tools/push -> real", "tools/real"},
			".git tools/real"},
		{"a directory of hooks that is a link, with links", []string{".git/hooks -> ../hk", "hk/a",
			"hk/sub/b -> ../../tools/b", "tools/b"}, ".git hk tools/b"},
		{"settings that are a link", []string{".git/config -> ../cfg", "cfg = [core]\nfsmonitor = ./watch", "watch"},
			".git cfg watch"},
		{"included files", []string{".git/config = [include]\npath = ../inc/a\n" +
			"[includeIf \"gitdir:~/x\"]\npath = ../inc/b", "inc/a = [include] path = c",
			"inc/b = [core] hooksPath = hk", "inc/c = [alias] x = !tools/run --now", "hk/h", "tools/run"},
			".git hk inc/a inc/b inc/c tools/run"},
		{"that include themselves", []string{".git/config = [include] path = config\n[include] path = ../a",
			"a = [include] path = a"}, ".git a"},
		{"commands", []string{".git/config = [filter \"f\"]\n clean = python3 'tools/clean.py' %f\n" +
			"[diff \"d\"] textconv=tools/text\n[merge \"m\"]\n\tdriver = sh -c \"tools/merge %A\"\n" +
			"[core]\nsshCommand = FOO=1 tools/ssh;true\n[credential] helper = !tools/cred", "tools/clean.py", "tools/text",
			"tools/merge", "tools/ssh", "tools/cred", "tools/other"},
			".git tools/clean.py tools/cred tools/merge tools/ssh tools/text"},
		{"what is no command", []string{".git/config = [branch \"main\"]\n" +
			"description = src\n[remote \"origin\"]\nurl = ./src\n" +
			"[core]\nworktree = ../src\n[user] name = src", "src"}, ".git"},
		{"directories are no commands", []string{".git/config = [x]\ny = src", "src/a"}, ".git"},
		{"a repository elsewhere in the project", []string{".git = gitdir: store/x",
			"store/x/config = [core] hooksPath = hk", "hk/h"}, ".git hk store/x"},
		{"a further work tree", []string{".git = gitdir: " + elsewhere + "/main/.git/worktrees/w",
			"worktree-tools/w.sh"}, ".git"},
		{"the caller's own settings", []string{".git/", "fromhome/pre-commit"}, ".git fromhome"},
		{"out of the project", []string{".git/config = [core]\nhooksPath = " + elsewhere + "/hooks", ".git/hooks/x -> " +
			elsewhere + "/hooks", ".zed -> " + elsewhere}, ".git"},
		{"links by guarded names", []string{"AGENTS.md -> docs/agents.md", "docs/agents.md", ".vscode -> editor",
			"editor/tasks.json -> ../t.json", "t.json"},
			"docs/agents.md editor t.json"},
		{"mercurial", []string{".hg/hgrc = [hooks]\ncommit = python:tools/hook.py:run", "tools/hook.py"},
			".hg tools/hook.py"},
		{"mercurial, deeper", []string{"a/b/.hg/hgrc = [hooks]\ncommit = python:tools/hook.py:run", "tools/hook.py",
			"a/b/tools/hook.py"}, "a/b/.hg a/b/tools/hook.py"},
		{"mercurial, in other files", []string{".hg/hgrc = %include ../inc", "inc = [hooks]\n%include more\n" +
			"commit = tools/a", "more = [hooks]\n update.x =\n  tools/b", "tools/a", "tools/b"},
			".hg inc more tools/a tools/b"},
		{"no settings at all", []string{".git/config = [core\nx [[[ = \"\\", ".git/hooks = no directory"}, ".git"},
	} {
		t.Run(c.name, func(t *testing.T) {
			home := project(t, ".gitconfig -> "+elsewhere+"/none")
			if c.name == "the caller's own settings" {
				home = project(t, ".gitconfig = [core]\nhooksPath = fromhome")
			}
			if _, got := searchGuards(t, project(t, c.files...), home); strings.Join(got, " ") != c.want {
				t.Errorf("guarded: %s\nwant:    %s", strings.Join(got, " "), c.want)
			}
		})
	}
}

// TestGuardMarks: a repository of whatever program is guarded at any depth, with what its
// settings name, and so is what those of the repository around the project name in it.
func TestGuardMarks(t *testing.T) {
	for mark := range policy.RepositoryMarks() {
		t.Run(mark, func(t *testing.T) {
			p := &policy.Policy{Files: policy.Files{Guard: []string{"**/" + mark}}}
			files, _ := policy.RepositoryMark(mark)
			if mark == ".git" {
				files = []string{"config"}
			}
			if len(files) == 0 {
				files = []string{"x"}
			}
			for _, file := range files {
				const names = " = [hooks]\nupdate = sh tools/run"
				top := project(t, "a/b/"+mark+"/"+file+names, "a/b/tools/run", "a/b/tools/other",
					"out/"+mark+"/"+file+" = [hooks]\nupdate = p/tools/run", "out/p/tools/run")
				for dir, want := range map[string]string{"/a": "b/" + mark + " b/tools/run", "/out/p": "tools/run"} {
					if file == "x" {
						want = strings.Trim(strings.ReplaceAll(want, "b/tools/run", ""), " ")
						want = strings.ReplaceAll(want, "tools/run", "")
					}
					h := &Facts{home: "/nowhere"}
					p.Files.Write = []string{top + dir}
					if err := h.findHidden(p, top+dir, true); err != nil {
						t.Fatal(err)
					}
					var list []string
					for _, g := range h.Guarded {
						list = append(list, strings.TrimPrefix(g.Path, top+dir+"/"))
					}
					slices.Sort(list)
					if got := strings.Join(list, " "); got != want {
						t.Errorf("%s in %s: guarded: %s, want: %s", file, dir, got, want)
					}
				}
			}
		})
	}
}

// TestGuardBounds: too much to look at is an error that names it.
func TestGuardBounds(t *testing.T) {
	dir := project(t, "x/.git/config = "+strings.Repeat("#", configSize))
	p := &policy.Policy{Files: policy.Files{Write: []string{dir}, Guard: []string{"**/.git"}}}
	err := new(Facts).findHidden(p, dir, true)
	if err == nil || !strings.Contains(err.Error(), dir+"/x/.git/config") {
		t.Errorf("settings that are too large: %v", err)
	}
}

// TestLookAgain: what came to be under guarded names is found, what was there
// or is nobody's business is not.
func TestLookAgain(t *testing.T) {
	for _, c := range []struct {
		name        string
		files, then []string
		gone        string
		want        string
	}{
		{"nothing", []string{".git/", ".x", "a/b/c"}, nil, "", ""},
		{"ordinary work", []string{".git/", "a/b"}, []string{"a/c", "d/e/f", ".venv/bin/python", "d/.hidden", ".a.swp"},
			"", ""},
		{"names", []string{"a"}, []string{".idea/x", "AGENTS.md", ".config/x", "sub/AGENTS.md"}, "",
			".config .idea AGENTS.md"},
		{"repositories", []string{"a/b/"}, []string{"a/b/.git/config", "new/deep/.git = gitdir: x", "r/HEAD",
			"r/objects/", "r/refs/"}, "", "a/b/.git new/deep/.git r"},
		{"one with its parts elsewhere", []string{"a/b"}, []string{"a/HEAD", "a/commondir = st", "a/st/config"}, "", "a"},
		{"the project itself", []string{"a"}, []string{"HEAD", "objects/", "refs/", "config"}, "", "HEAD"},
		{"the project itself, with its parts elsewhere", []string{"a"}, []string{"HEAD", "commondir"}, "", "HEAD"},
		{"the project itself was one", []string{"HEAD", "objects/", "refs/"}, []string{"config"}, "", ""},
		{"one that an old directory becomes", []string{"r/HEAD", "r/objects/"}, []string{"r/refs/"}, "", "r"},
		{"a link that is another now", []string{".x -> a", "a"}, []string{".x -> b"}, ".x", ".x"},
		{"a link that is a file now", []string{".x -> a", "a"}, []string{".x"}, ".x", ".x"},
		{"what settings point to", []string{".git/config = [core]\nhooksPath = hk\n[include] path = ../inc"},
			[]string{"hk/pre-commit", "inc"}, "", "hk inc"},
		{"what a link points to", []string{".x -> later"}, []string{"later"}, "", "later"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := project(t, c.files...)
			h, _ := searchGuards(t, dir, "")
			if c.gone != "" {
				if err := os.Remove(filepath.Join(dir, c.gone)); err != nil {
					t.Fatal(err)
				}
			}
			put(t, dir, c.then...)
			var got []string
			for _, name := range h.LookAgain() {
				got = append(got, strings.TrimPrefix(name, dir+"/"))
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("found %s\nwant  %s", strings.Join(got, " "), c.want)
			}
		})
	}
}

// TestLookAgainMoved: what is new is found in a directory that has taken the place of
// one that was there at the start, and a project that was closed is no silence.
func TestLookAgainMoved(t *testing.T) {
	rename := func(dir, from, to string) error { return os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)) }
	for _, c := range []struct {
		name  string
		files []string
		do    func(dir string) error
		want  string
	}{
		{"another directory", []string{"src/deep/a"}, func(dir string) error {
			err := rename(dir, "src", "old")
			put(t, dir, "src/deep/.git/config", "old/.git/")
			return err
		}, "old/.git src/deep/.git"},
		{"one that was made elsewhere", []string{"src/a"}, func(dir string) error {
			put(t, dir, "b/c/x/.git/config")
			return cmp.Or(rename(dir, "src", "old"), rename(dir, "b/c", "src"))
		}, "src/x/.git"},
		{"two that are exchanged", []string{"a/src/x", "b/src/y"}, func(dir string) error {
			put(t, dir, "b/src/.git/")
			return cmp.Or(rename(dir, "a/src", "c"), rename(dir, "b/src", "a/src"), rename(dir, "c", "b/src"))
		}, "a/src/.git"},
		{"one that is moved and a link in its place", []string{"a/src/x"}, func(dir string) error {
			put(t, dir, "a/src/.git/")
			return cmp.Or(rename(dir, "a", "b"), os.Symlink("b", filepath.Join(dir, "a")))
		}, "a/src: cannot be looked at: too many levels of symbolic links b/src/.git"},
		{"cannot be read", []string{"a"}, func(dir string) error {
			put(t, dir, ".x")
			return os.Chmod(dir, 0o300)
		}, "*: cannot be looked at: permission denied"},
		{"cannot be entered", []string{"a/b"}, func(dir string) error {
			put(t, dir, "a/.git/")
			return os.Chmod(dir, 0)
		}, "*: cannot be looked at: permission denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := project(t, c.files...)
			h, _ := searchGuards(t, dir, "")
			if err := c.do(dir); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := os.Chmod(dir, 0o700); err != nil {
					t.Error(err)
				}
			})
			found := withoutPowers(t, h.LookAgain)
			for i := range found {
				found[i] = strings.TrimPrefix(strings.Replace(found[i], dir+":", "*:", 1), dir+"/")
			}
			if got := strings.Join(found, " "); got != c.want {
				t.Errorf("found %s\nwant  %s", got, c.want)
			}
		})
	}
}

// withoutPowers is what f says without root's powers over files, which modes do not stop.
func withoutPowers(t *testing.T, f func() []string) []string {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var had [2]unix.CapUserData
	if err := unix.Capget(&header, &had[0]); err != nil {
		t.Fatal(err)
	}
	none := had
	none[0].Effective, none[1].Effective = 0, 0
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Capset(&header, &had[0]); err != nil {
			panic(err)
		}
	}()
	return f()
}

// TestLookAgainExpected: what the policy would have read-only, if it were there, is told
// when it comes to be.
func TestLookAgainExpected(t *testing.T) {
	dir := project(t, "a", "here")
	p := &policy.Policy{Files: policy.Files{
		Write: []string{dir}, Guard: []string{".*"},
		Read: []string{"?" + dir + "/sub/later", "?" + dir + "/never", "?" + dir + "/here", "?/elsewhere/later"},
	}}
	h := &Facts{Files: map[string]File{}}
	for _, e := range p.Files.Read {
		h.lookOnce(policy.ParsePath(e).Name)
	}
	if err := h.findHidden(p, dir, true); err != nil {
		t.Fatal(err)
	}
	if got := h.LookAgain(); len(got) != 0 {
		t.Errorf("at once: %q", got)
	}
	put(t, dir, "sub/later")
	if got := strings.Join(h.LookAgain(), " "); got != dir+"/sub/later" {
		t.Errorf("found %s", got)
	}
}

// FuzzGitConfig: whatever the text, the reader ends, and makes nothing up.
func FuzzGitConfig(f *testing.F) {
	for _, s := range []string{"[core]\n\thooksPath = a", "[a \"b\\\"c\"]d=\"e;f\" # g", "[include]path=x\\\ny", "[",
		"=", "a", "\ufeff[x]y", "[x.y]z = \\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range parseGitConfig(text) {
			if !strings.Contains(strings.ToLower(text), s.Key) || len(s.Value) > len(text) {
				t.Errorf("%q: %+v", text, s)
			}
		}
	})
}

func TestGitConfig(t *testing.T) {
	got := fmt.Sprint(parseGitConfig("\ufeff# c\n[Core]\n bare = false\r\n Editor = \"vi # \" x ; y\n" +
		"[a \"B c\"] k\n[d.E]\nK=1\\\n 2\\t\\\"\n!\n[f]g==h"))
	want := `[{core  bare false} {core  editor vi #  x} {a B c k } {d e k 1 2	"} {f  g =h}]`
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
