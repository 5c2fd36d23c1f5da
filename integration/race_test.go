package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// verySecret is what a file that nobody inside may read holds.
const verySecret = "very-secret-3b91"

// raceDir is a place with a project, and beside it a directory that no policy
// shows, with a secret and as the sentinel that must stay as it is.
func raceDir(t *testing.T) (project, outside string) {
	t.Helper()
	dir := t.TempDir()
	project, outside = mkdir(t, dir, "project"), mkdir(t, dir, "outside")
	for _, d := range []string{"shown", "a/b", ".git", "private", "scratch", "start"} {
		if err := os.MkdirAll(filepath.Join(project, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"project/shown/file": "plain", "project/a/b/file": "plain", "project/file": "plain", "project/.git/file": "plain",
		"project/start/file":   "plain",
		"project/private/file": verySecret, "project/.env": verySecret,
		"outside/file": verySecret, "outside/b/file": verySecret,
		"race.toml": "version = 1\nsummary = \"a tmpfs in what may be written\"\nextends = [\"project\"]\n" +
			"[files]\ntmpfs = [\"./scratch\"]\n[expect]\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return project, outside
}

// sentinel is all of a directory: names, modes, contents.
func sentinel(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	for _, path := range below(t, dir, anyEntry) {
		fi, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %v %v", path, fi.Mode(), fi.ModTime())
		if fi.Mode().IsRegular() {
			fmt.Fprintf(&b, " %q", content(t, path))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// replace puts a link to what in the place of a name, which is kept beside.
func replace(t *testing.T, name, what string) {
	t.Helper()
	if err := os.Rename(name, name+".was"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(what, name); err != nil {
		t.Fatal(err)
	}
}

// whilePlanned runs sbx and does something between its planning and its first
// mount: strace holds the fork back, and its log says when that is.
func whilePlanned(t *testing.T, dir string, args []string, something func()) result {
	t.Helper()
	log := filepath.Join(t.TempDir(), "trace")
	line := append([]string{"strace", "-f", "-b", "execve", "-o", log, "-e", "trace=socketpair,clone3", "-e",
		"inject=clone3:delay_enter=1000000:when=1", binary("sbx")}, args...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		eventually(t, "the plan", func() bool {
			data, err := os.ReadFile(log)
			return err == nil && strings.Contains(string(data), "SOCK_SEQPACKET")
		})
		something()
	}()
	r := run(t, call{args: line, dir: dir, limit: time.Minute})
	<-done
	return r
}

// TestSwappedWhilePlanned exchanges what the plan names, after it was made and
// before the first mount: for a link to something else, for another directory,
// for another file's hard link. Each time it is refused, or planned anew if a search
// found it; nothing on the host is shown or changed.
func TestSwappedWhilePlanned(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string // before "--"
		run  string
		swap func(t *testing.T, project, outside string)
		// again says that a search found it, and not the policy: then there is a new plan.
		again bool
	}{
		{"a shown directory, for a link", []string{"--policy", "pure", "--read", "shown"}, "cat $P/shown/file",
			func(t *testing.T, project, outside string) { replace(t, project+"/shown", outside) }, false},
		{"a shown directory, for another", []string{"--policy", "pure", "--read", "shown"}, "cat $P/shown/file",
			func(t *testing.T, project, outside string) {
				if err := unix.Renameat2(unix.AT_FDCWD, project+"/shown", unix.AT_FDCWD, outside,
					unix.RENAME_EXCHANGE); err != nil {
					t.Fatal(err)
				}
			}, false},
		{"a directory over it, for a link", []string{"--policy", "pure", "--read", "a/b"}, "cat $P/a/b/file",
			func(t *testing.T, project, outside string) { replace(t, project+"/a", outside) }, false},
		{"a shown file, for a link", []string{"--policy", "pure", "--read", "file"}, "cat $P/file",
			func(t *testing.T, project, outside string) { replace(t, project+"/file", outside+"/file") }, false},
		{"a shown file, for a hard link", []string{"--policy", "pure", "--read", "file"}, "cat $P/file",
			func(t *testing.T, project, outside string) {
				if err := os.Rename(project+"/file", project+"/file.was"); err != nil {
					t.Fatal(err)
				}
				if err := os.Link(outside+"/file", project+"/file"); err != nil {
					t.Fatal(err)
				}
			}, false},
		{"a guarded directory in a writable one", []string{"--policy", "project"},
			"echo evil >.git/file; echo evil >.git/new",
			func(t *testing.T, project, outside string) { replace(t, project+"/.git", outside) }, true},
		{"a tmpfs in a writable directory", []string{"--policy", "../race.toml"},
			"echo evil >scratch/file; echo evil >scratch/new",
			func(t *testing.T, project, outside string) { replace(t, project+"/scratch", outside) }, false},
		{"a hidden file", []string{"--policy", "project"}, "cat .env .env.was",
			func(t *testing.T, project, outside string) { replace(t, project+"/.env", outside+"/file") }, true},
		{"a hidden directory", []string{"--policy", "project", "--hide", "./private"}, "cat private/file private.was/file",
			func(t *testing.T, project, outside string) { replace(t, project+"/private", outside) }, false},
		{"the directory to start in", []string{"--policy", "open", "--dir", "start"}, "cat file",
			func(t *testing.T, project, outside string) { replace(t, project+"/start", outside) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // they mostly wait
			project, outside := raceDir(t)
			before := sentinel(t, outside)
			swapped := false
			args := append(c.args, "--", "/bin/sh", "-c",
				"cat /proc/self/mountinfo >/dev/null; "+strings.ReplaceAll(c.run, "$P", project))
			r := whilePlanned(t, project, args, func() { c.swap(t, project, outside); swapped = true })
			refused := r.status == 125 && strings.Contains(r.stderr, "sbx: error: ")
			if refused == c.again || !swapped {
				t.Errorf("swapped %v, want a refusal %v: %v", swapped, !c.again, r)
			}
			if strings.Contains(r.stdout+r.stderr, verySecret) {
				t.Errorf("the secret was shown: %v", r)
			}
			if c.name == "a shown directory, for another" {
				return // it is not there any more
			}
			if after := sentinel(t, outside); after != before {
				t.Errorf("the host changed\n--- before\n%s--- after\n%s", before, after)
			}
		})
	}
	t.Cleanup(func() { noStrays(t) })
}

// exchange swaps two names back and forth until told to stop, with a pause after so many.
func exchange(t *testing.T, stop <-chan struct{}, a, b string, burst int) {
	for n := 1; ; n++ {
		if burst > 0 && n%burst == 0 {
			time.Sleep(time.Duration(n%7) * time.Millisecond)
		}
		select {
		case <-stop:
			return
		default:
			if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
				t.Error(err)
				return
			}
		}
	}
}

// raced launches n times while all that the plan names in the project is
// exchanged with links to other directories of the host, with pauses of some milliseconds.
// No run shows the secret there or writes there, none hangs, and some get through.
func raced(t *testing.T, n int) {
	project, outside := raceDir(t)
	before := sentinel(t, outside)
	stop := make(chan struct{})
	var renamers sync.WaitGroup
	for name, to := range map[string]string{"shown": outside, ".git": outside, "scratch": outside, ".env": outside +
		"/file", "a": outside} {
		link := filepath.Join(project, name+".link")
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
		renamers.Go(func() { exchange(t, stop, filepath.Join(project, name), link, 20) })
	}
	seen := map[int]int{}
	flags := [][]string{{"--policy", "project"}, {"--policy", "../race.toml"},
		{"--policy", "project", "--read", "?./a/b"}, {"--policy", "default"}}
	const work = `for d in shown .git scratch a/b; do cat $d/file; echo evil >$d/file
echo evil >$d/new; mkdir $d/newdir; done
cat .env .env.link; exit 0`
	for i := 0; i < n && !t.Failed(); i++ {
		r := run(t, call{args: append(append([]string{binary("sbx")}, flags[i%len(flags)]...), "--", "/bin/sh", "-c",
			work), dir: project, limit: time.Minute})
		seen[r.status]++
		if r.status != 0 && r.status != 125 {
			t.Errorf("%q: want 0 or a refusal: %v", flags[i%len(flags)], r)
		}
		if strings.Contains(r.stdout, verySecret) {
			t.Errorf("%q: the secret was shown: %v", flags[i%len(flags)], r)
		}
	}
	close(stop)
	renamers.Wait()
	noStrays(t)
	if after := sentinel(t, outside); after != before {
		t.Errorf("the host changed\n--- before\n%s--- after\n%s", before, after)
	}
	t.Logf("exit statuses: %v", seen)
	if seen[0] == 0 || n >= 100 && seen[125] == 0 {
		t.Errorf("exit statuses %v: it was no race", seen)
	}
}

// TestRaced is a short race; make soak has the 10,000 starts.
func TestRaced(t *testing.T) { raced(t, 100) }
