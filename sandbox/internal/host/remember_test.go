package host

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/many"
	"sbx/policy"
)

// soon is in the place of settled: more than a tick of any kernel.
const soon = 2 * tick

// steadyDir is a new directory on a file system on which searches are remembered.
func steadyDir(t *testing.T) string {
	t.Helper()
	for _, in := range []string{os.TempDir(), "/dev/shm", "/var/tmp"} {
		dir, err := os.MkdirTemp(in, "sbx-remember-")
		if err != nil {
			continue
		}
		t.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		})
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		ok := steady(fd)
		if err := unix.Close(fd); err != nil {
			t.Fatal(err)
		}
		if ok {
			return dir
		}
	}
	t.Fatal("no directory for temporary files is on a file system whose times can be relied upon")
	return ""
}

// rememberedIn is a search of the project, and what it says; with an account's home it
// looks for what is remembered there.
func rememberedIn(t *testing.T, dir, home string, files *policy.Files) (string, *Facts, *scan) {
	t.Helper()
	h := &Facts{UID: os.Geteuid(), account: home}
	s := &scan{dir: dir, limit: 10000, look: forSecrets | forGuarded | forSockets, deep: true,
		rules: h.newRules(files), guarding: newGuarding(files, dir)}
	if home != "" {
		s.memory = &memory{facts: h, files: files, scan: s, settled: soon}
		root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		s.root = root
		s.memory.recall()
		if err := unix.Close(root); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintln(&b, s.seen)
	for _, d := range s.all() {
		fmt.Fprintln(&b, d.rel, d.look, d.state, d.id, d.ctim, d.entries, d.found, d.live, d.links, d.shape)
		for _, m := range d.marks {
			fmt.Fprintln(&b, " ", m.name, m.st.Ino, m.st.Ctim, m.hidden)
		}
	}
	return b.String(), h, s
}

// keep writes down what the search has found.
func keep(h *Facts, s *scan) {
	h.unremembered = []*scan{s}
	h.Remember()
}

var rememberFiles = policy.Files{Hide: []string{"**/.env*", "**/*.pem", "top*"}, Inspect: []string{"conf*"},
	Unhide: []string{"node_modules/", "*.pub.pem"}, Guard: []string{"**/.git", "**/hooks/", ".rc"},
	Unguard: []string{"vendor/"}}

// TestRemember: whatever changes between two searches, and however, the second finds
// what one finds that knows nothing of the first.
func TestRemember(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	names := []string{".env", "a.pem", "x.pub.pem", "HEAD", "refs", "objects", ".git", "conf.ini", "hooks", ".rc", "topaz",
		"main.go", "sub", "node_modules", "vendor", "src"}
	for range many.Times(2) {
		dir, home := steadyDir(t), steadyDir(t)
		var paths []string // that may be there
		anywhere := func() string {
			in := dir
			if len(paths) > 0 && rng.IntN(4) > 0 {
				in = paths[rng.IntN(len(paths))]
			}
			return filepath.Join(in, names[rng.IntN(len(names))])
		}
		some := func() string { return paths[rng.IntN(len(paths))] }
		// Most of them fail at times, since what they name is of another kind, or gone.
		changes := []func() error{
			func() error { return os.WriteFile(some(), []byte("password = hunter2hunter2\n"), 0o600) },
			func() error { return os.WriteFile(anywhere(), nil, 0o600) },
			func() error { return os.Mkdir(anywhere(), 0o755) },
			func() error { return os.Rename(some(), anywhere()) },
			func() error { return unix.Renameat2(-1, some(), -1, some(), unix.RENAME_EXCHANGE) },
			func() error { return os.Link(some(), anywhere()) },
			func() error { return os.Symlink("../.env", anywhere()) },
			func() error { return os.Remove(some()) },
			func() error { return os.RemoveAll(some()) },
			func() error { return unix.Mkfifo(anywhere(), 0o600) },
			func() error { return unix.Mknod(anywhere(), unix.S_IFSOCK|0o600, 0) },
			func() error { return os.Chmod(some(), os.FileMode(0o700|rng.IntN(0o100))) },
			func() error { // the times that a program can choose
				return os.Chtimes(some(), time.Unix(1, 0), time.Unix(1, 0))
			},
		}
		for range 60 {
			paths = append(paths, anywhere())
			if rng.IntN(2) > 0 {
				_ = os.MkdirAll(paths[len(paths)-1], 0o755)
			}
			_ = changes[1]()
		}
		last, used := "", 0
		for round := range 12 {
			time.Sleep(soon + tick)
			_, h, s := rememberedIn(t, dir, home, &rememberFiles)
			keep(h, s)
			for range rng.IntN(6) {
				paths = append(paths, anywhere())
				last = fmt.Sprint(last, "; ", changes[rng.IntN(len(changes))]())
			}
			want, _, _ := rememberedIn(t, dir, "", &rememberFiles)
			got, _, s := rememberedIn(t, dir, home, &rememberFiles)
			if got != want {
				t.Fatalf("round %d: after %s\n%s\nwant\n%s", round, last, got, want)
			}
			used += len(s.memory.dirs)
		}
		if used == 0 {
			t.Error("nothing was ever remembered")
		}
	}
}

// TestRememberReads: only what has changed is read again, and files are looked at all the
// same.
func TestRememberReads(t *testing.T) {
	dir, home := steadyDir(t), steadyDir(t)
	for i := range 200 {
		put(t, dir, fmt.Sprintf("d%d/file", i))
	}
	put(t, dir, "d7/.env")
	put(t, dir, "d8/conf.ini")
	time.Sleep(soon + tick)
	_, h, s := rememberedIn(t, dir, home, &rememberFiles)
	if s.memory.fresh != 402 || len(s.memory.dirs) != 0 {
		t.Fatalf("the first search read %d names, and remembers %d", s.memory.fresh, len(s.memory.dirs))
	}
	keep(h, s)
	if _, h, s = rememberedIn(t, dir, home, &rememberFiles); s.memory.fresh != 0 || len(s.memory.dirs) != 201 {
		t.Errorf("the second search read %d names, and remembers %d", s.memory.fresh, len(s.memory.dirs))
	}
	h.CloseFiles()
	if list := openBelow(t, home); len(list) > 0 {
		t.Errorf("the search leaves %v open", list)
	}
	put(t, dir, "d9/.env")
	if err := os.WriteFile(filepath.Join(dir, "d8/conf.ini"), []byte("-----BEGIN PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got string
	got, h, s = rememberedIn(t, dir, home, &rememberFiles)
	if s.memory.fresh != 2 || !strings.Contains(got, "d9/.env") || !strings.Contains(got, "d8/conf.ini") {
		t.Errorf("with two changes it read %d names:\n%s", s.memory.fresh, got)
	}
	// What changed just now is read the next time, too.
	keep(h, s)
	if _, _, s = rememberedIn(t, dir, home, &rememberFiles); s.memory.fresh != 2 {
		t.Errorf("right after a change it read %d names", s.memory.fresh)
	}
	time.Sleep(soon + tick)
	_, h, s = rememberedIn(t, dir, home, &rememberFiles)
	keep(h, s)
	if _, _, s = rememberedIn(t, dir, home, &rememberFiles); s.memory.fresh != 0 {
		t.Errorf("after what was kept anew it read %d names", s.memory.fresh)
	}
	for what, files := range map[string]policy.Files{
		"hides more":   {Hide: append([]string{"**/file"}, rememberFiles.Hide...), Guard: rememberFiles.Guard},
		"inspects":     {Hide: rememberFiles.Hide, Inspect: []string{"file"}, Guard: rememberFiles.Guard},
		"guards more":  {Hide: rememberFiles.Hide, Guard: append([]string{"**/file"}, rememberFiles.Guard...)},
		"excepts less": {Hide: rememberFiles.Hide, Inspect: rememberFiles.Inspect, Guard: rememberFiles.Guard},
	} {
		if _, _, s := rememberedIn(t, dir, home, &files); len(s.memory.dirs) != 0 {
			t.Errorf("a policy that %s takes what another remembers", what)
		}
	}
}

// TestRememberNothing: what others could have written, or was damaged, is not used, and
// nothing is remembered where times cannot be relied upon.
func TestRememberNothing(t *testing.T) {
	dir := steadyDir(t)
	put(t, dir, "sub/.env")
	time.Sleep(soon + tick)
	for what, spoil := range map[string]func(home, file string) error{
		"nothing": func(string, string) error { return nil },
		"a byte is another one": func(_, file string) error {
			b, err := os.ReadFile(file)
			if err == nil {
				b[len(b)-3] ^= 1
				err = os.WriteFile(file, b, 0o600)
			}
			return err
		},
		"it is short":        func(_, file string) error { return os.Truncate(file, 50) },
		"it is huge":         func(_, file string) error { return os.Truncate(file, 1<<40) },
		"others can read it": func(_, file string) error { return os.Chmod(file, 0o644) },
		"it is a link": func(home, file string) error {
			if err := os.Rename(file, filepath.Join(home, "x")); err != nil {
				return err
			}
			return os.Symlink(filepath.Join(home, "x"), file)
		},
		"its directory is a link": func(home, file string) error {
			if err := os.Rename(filepath.Dir(file), filepath.Join(home, "x")); err != nil {
				return err
			}
			return os.Symlink(filepath.Join(home, "x"), filepath.Dir(file))
		},
		"others can write to its directory": func(_, file string) error { return os.Chmod(filepath.Dir(file), 0o777) },
		"others can write beside it": func(home, _ string) error {
			return os.Chmod(filepath.Join(home, ".config/sbx"), 0o770)
		},
		"the settings are a link of another directory": func(home, _ string) error {
			if err := os.Rename(filepath.Join(home, ".config/sbx"), filepath.Join(home, "x")); err != nil {
				return err
			}
			return os.Symlink("/nonexistent", filepath.Join(home, ".config/sbx"))
		},
	} {
		home := steadyDir(t)
		_, h, s := rememberedIn(t, dir, home, &rememberFiles)
		keep(h, s)
		list, err := filepath.Glob(filepath.Join(home, ".config/sbx/searches/*"))
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %v, %v", what, list, err)
		}
		if err := spoil(home, list[0]); err != nil {
			t.Fatal(err)
		}
		got, _, s := rememberedIn(t, dir, home, &rememberFiles)
		if used := len(s.memory.dirs) > 0; used != (what == "nothing") || !strings.Contains(got, "sub/.env") {
			t.Errorf("%s: used: %v\n%s", what, used, got)
		}
	}
	// The home of others, none at all, and a file system that makes up its times.
	open := steadyDir(t)
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, home := range []string{open, "/", "/nonexistent"} {
		if _, _, s := rememberedIn(t, dir, home, &rememberFiles); s.memory.kept != nil {
			t.Errorf("it is remembered in %s", home)
		}
	}
	proc, err := os.Open("/proc")
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Close()
	if steady(int(proc.Fd())) {
		t.Error("the times in /proc are relied upon")
	}
}
