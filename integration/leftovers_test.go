package integration

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// How often in the suite that everybody runs; `make soak` has the long forms.
const (
	launchesInARow   = 300
	launchesTogether = 50
	kills            = 500
)

// traces is what runs of sbx in a directory could leave, beyond the host's
// state: processes, descriptors of this process, files where the runs were.
type traces struct {
	host
	dir         string
	files       []string
	descriptors []string
}

func anyEntry(fs.DirEntry) bool { return true }

// descriptors are this process's open ones, the poller's and the runtime's
// included.
func descriptors(t testing.TB) (list []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		link, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && link != "/proc/self/fd" && !strings.HasPrefix(link, "anon_inode:[pidfd]") {
			list = append(list, e.Name()+" "+link)
		}
	}
	return list
}

func tracesIn(t testing.TB, dir string) traces {
	t.Helper()
	return traces{hostState(t), dir, below(t, dir, anyEntry), descriptors(t)}
}

// none fails unless all is as before: what the targets made themselves, by the
// names in made, is theirs.
func (before traces) none(t testing.TB, made ...string) {
	t.Helper()
	noStrays(t)
	before.compare(t, hostState(t))
	for _, path := range below(t, before.dir, anyEntry) {
		if !slices.Contains(before.files, path) && !slices.Contains(made, filepath.Base(path)) {
			t.Errorf("left behind: %s", path)
		}
	}
	for _, fd := range descriptors(t) {
		if !slices.Contains(before.descriptors, fd) {
			t.Errorf("left open: descriptor %s", fd)
		}
	}
}

// inARow launches n times, one after the other. It is done in a user namespace
// that allows few namespaces of each kind at a time: one that stays behind
// each time, which no list of the host's shows, uses them up.
func inARow(t *testing.T, n int) {
	before := tracesIn(t, t.TempDir())
	const script = `for kind in user mnt pid net ipc uts cgroup; do
  echo 40 >/proc/sys/user/max_${kind}_namespaces || exit
done
n=0; full=0
while [ $n -lt $1 ]; do
  if "$2" -- true 2>err && ! [ -s err ]; then n=$((n+1)); full=0; continue; fi
  # Namespaces are taken down in the background: for ten seconds it may be that.
  grep -q 'no space left on device' err && [ $full -lt 200 ] || { cat err; echo "launch $n failed"; exit 1; }
  full=$((full+1)); sleep 0.05
done
rm err; echo "launches: $n"`
	r := run(t, call{args: []string{"unshare", "--user", "--map-root-user", "/bin/sh", "-c", script, "sh",
		fmt.Sprint(n), binary("sbx")},
		dir: before.dir, limit: time.Minute + time.Duration(n)*200*time.Millisecond})
	r.want(t, 0, fmt.Sprintf("launches: %d", n))
	before.none(t)
}

// plainly launches n times as everybody does: root without a user namespace.
func plainly(t *testing.T, n int) {
	before := tracesIn(t, t.TempDir())
	for i := range n {
		r := run(t, call{args: []string{binary("sbx"), "--", "true"}, dir: before.dir, limit: time.Minute})
		if r.status != 0 || r.stderr != "" {
			t.Fatalf("launch %d: %v", i, r)
		}
	}
	before.none(t)
}

// together has n sandboxes at one time, then ends them, each in another way.
func together(t *testing.T, n int) {
	before := tracesIn(t, t.TempDir())
	cmds := make([]*exec.Cmd, n)
	for i := range cmds {
		cmd := exec.Command(binary("sbx"), "--policy", "project", "--", "/bin/sh", "-c",
			`trap 'exit 7' TERM; echo >alive$0; while :; do sleep 0.2; done`, fmt.Sprint(i))
		cmd.Dir, cmd.Env = before.dir, userEnv()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds[i] = cmd
	}
	var made []string
	for i := range cmds {
		made = append(made, fmt.Sprintf("alive%d", i))
		eventually(t, "sandbox "+fmt.Sprint(i), func() bool {
			_, err := os.Stat(filepath.Join(before.dir, made[i]))
			return err == nil
		})
	}
	if inside := len(descendants(t, os.Getpid())); inside < 3*n {
		t.Errorf("%d sandboxes are only %d processes", n, inside)
	}
	for i, cmd := range cmds {
		how := []unix.Signal{unix.SIGTERM, unix.SIGKILL, unix.SIGINT}[i%3]
		if err := cmd.Process.Signal(how); err != nil {
			t.Fatal(err)
		}
	}
	for i, cmd := range cmds {
		got, err := exitStatus(cmd.Wait())
		if want := []int{7, 137, 130}[i%3]; err != nil || got != want {
			t.Errorf("sandbox %d: status %d (%v), want %d", i, got, err, want)
		}
	}
	before.none(t, made...)
}

// killPolicies are what the randomised kills are thrown at.
var killPolicies = [][]string{
	{"--policy", "project"}, {"--policy", "default"}, {"--policy", "open"}, {"--policy", "web"},
	{"--policy", "./everything.toml"},
}

// everything is a policy with a step of each kind.
const everything = `version = 1
summary = "a step of each kind"
extends = ["project"]
[namespaces]
hostname = "box"
time = "new"
boottime = "1h"
[files]
read = ["./guarded"]
tmpfs = ["/scratch"]
hide = ["hidden"]
overlay = ["./layered"]
directories = ["/own/dir"]
file."/own/file" = "x"
symlink."/own/link" = "/own/file"
path."/scratch" = { size = "1M", exec = false, mode = "1770" }
[process]
env = ["SET=x"]
terminal = "pty"
[limits]
open_files = 500
file_size = "100M"
time = "1h"
[seccomp]
deny = ["sysinfo"]
[expect]
deny = ["syscall sysinfo"]
`

// everythingIn lays out a directory in which everything.toml can run.
func everythingIn(t *testing.T, dir string) {
	t.Helper()
	mkdir(t, dir, "guarded")
	mkdir(t, dir, "layered")
	for name, text := range map[string]string{"everything.toml": everything, "hidden": "", "layered/file": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// killed kills the launcher n times, four at a time, each after a random time
// between its fork and well after the target's start.
func killed(t *testing.T, n int) {
	dir := t.TempDir()
	everythingIn(t, dir)
	before := tracesIn(t, dir)
	var ran, early, late int
	var lock sync.Mutex
	for done := 0; done < n && !t.Failed(); {
		var batch sync.WaitGroup
		for worker := range 4 {
			policy := killPolicies[(done+worker)%len(killPolicies)]
			batch.Go(func() {
				// The target leaves a daemon behind, and only then ends.
				args := append(slices.Clone(policy), "--read", binary("probe"), "--", binary("probe"), "daemon",
					fmt.Sprintf("/tmp/alive%d", worker))
				cmd := exec.Command(binary("sbx"), args...)
				cmd.Dir, cmd.Env = dir, userEnv()
				if err := cmd.Start(); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Duration(rand.IntN(30_000)) * time.Microsecond)
				if err := cmd.Process.Kill(); err != nil && err != os.ErrProcessDone {
					t.Error(err)
				}
				status, err := exitStatus(cmd.Wait())
				if err != nil || status != 0 && status != 137 {
					t.Errorf("%q: status %d (%v), want 137, or 0 if it had ended", args, status, err)
				}
				lock.Lock()
				defer lock.Unlock()
				ran++
				if status == 0 {
					late++
				} else {
					early++
				}
			})
		}
		batch.Wait()
		done += 4
		noStrays(t)
	}
	before.none(t)
	if early < n/4 {
		t.Errorf("only %d of %d were killed before their end", early, ran)
	}
	t.Logf("%d launches, %d killed, %d ended before", ran, early, late)
}

// TestManyLaunches starts the same thing over and over: what goes wrong once
// in a hundred times, a race between launcher, init and target, shows here,
// and so does what is left a little of each time.
func TestManyLaunches(t *testing.T) {
	t.Run("in few namespaces", func(t *testing.T) { inARow(t, launchesInARow) })
	t.Run("plainly", func(t *testing.T) { plainly(t, launchesInARow) })
}

// TestManyTogether has many sandboxes at one time.
func TestManyTogether(t *testing.T) { together(t, launchesTogether) }

// TestKilledAtAnyInstant kills the launcher by SIGKILL, again and again.
func TestKilledAtAnyInstant(t *testing.T) { killed(t, kills) }
