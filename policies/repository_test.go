package policies

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// sourceOf is a file as it was read.
func sourceOf(t *testing.T, name string) policy.Source {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		t.Fatal(err)
	}
	return policy.Source{Path: name, Dev: st.Dev, Ino: st.Ino}
}

// TestRepository: where the mark of a repository lies says whether a file is in one.
func TestRepository(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", "/nowhere")
	for _, mark := range append(slices.Collect(policy.RepositoryMarks()), "bare", "worktree", "none", "home", "above",
		ProjectFile, "own") {
		t.Run(mark, func(t *testing.T) {
			top, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			dir, file, want := filepath.Join(top, "home/a/b"), "x.toml", filepath.Join(top, "home/a")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			marks := []string{"home/a/" + mark}
			switch mark {
			case "bare":
				marks = []string{"home/a/HEAD", "home/a/objects", "home/a/refs"}
			case "worktree":
				marks = []string{"home/a/HEAD", "home/a/commondir"}
			case "none":
				marks, want = []string{"home/a/HEAD", "home/a/objects"}, ""
			case "home":
				marks, want = []string{"home/.git"}, ""
			case "above":
				marks, want = []string{".git"}, ""
			case ProjectFile:
				marks, file, want = nil, ProjectFile, dir
			case "own":
				marks, want = []string{"home/a/.git", "home/a/sbx"}, ""
				t.Setenv("XDG_CONFIG_HOME", filepath.Join(top, "config"))
				if err := os.MkdirAll(filepath.Join(top, "config/sbx"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(dir, filepath.Join(top, "config/sbx/policies")); err != nil {
					t.Fatal(err)
				}
			}
			for i, name := range marks { // a file, a directory or a link to nowhere
				name = filepath.Join(top, name)
				if err := [...]func() error{
					func() error { return os.WriteFile(name, nil, 0o644) },
					func() error { return os.Mkdir(name, 0o755) },
					func() error { return os.Symlink("nowhere", name) },
				}[(len(mark)+i)%3](); err != nil {
					t.Fatal(err)
				}
			}
			name := filepath.Join(dir, file)
			if err := os.WriteFile(name, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if got, err := Repository(sourceOf(t, name), filepath.Join(top, "home"), "/"); err != nil || got != want {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
			// By a link, too, and only if it is still the file that was read.
			if err := os.Symlink(dir, filepath.Join(top, "link")); err != nil {
				t.Fatal(err)
			}
			s := sourceOf(t, name)
			s.Path = filepath.Join(top, "link", file)
			if got, err := Repository(s, filepath.Join(top, "home")); err != nil || got != want {
				t.Errorf("by a link: %q, %v, want %q", got, err, want)
			}
			s.Ino++
			if _, err := Repository(s); !errors.Is(err, unix.ESTALE) {
				t.Errorf("of another file: %v", err)
			}
		})
	}
}

// TestRepositoryOfSystem: a directory of the system's that is kept in a repository, as
// etckeeper does it, is no project.
func TestRepositoryOfSystem(t *testing.T) {
	for dir, want := range map[string]bool{"/etc/nginx": true, "/": true, "/srv/shop": false, "/home/u/etc": false} {
		if got := systemTop(dir); got != want {
			t.Errorf("%s: %v, want %v", dir, got, want)
		}
	}
}

// TestMarksGuarded: what marks a repository, project keeps from changes at any depth, and db
// at the top.
func TestMarksGuarded(t *testing.T) {
	for name, depth := range map[string]string{"project": "**/", "db": ""} {
		p, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		for mark := range policy.RepositoryMarks() {
			if !slices.Contains(p.Files.Guard, depth+mark) {
				t.Errorf("%s: %s is not guarded", name, mark)
			}
		}
	}
}
