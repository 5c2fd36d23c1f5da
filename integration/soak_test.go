//go:build soak

package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// soakTime is how long a soak may take, from SBX_SOAK.
func soakTime(t *testing.T) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(os.Getenv("SBX_SOAK"))
	if err != nil {
		t.Fatalf("SBX_SOAK says how long, e.g. 20m: %v", err)
	}
	return d
}

// TestSoakKills starts sandboxes four at a time and sends each a random signal
// after a random time. Nothing may stay behind, and the host stays as it was.
func TestSoakKills(t *testing.T) {
	end := time.Now().Add(soakTime(t) / 2)
	before := hostState(t)
	signals := []unix.Signal{unix.SIGKILL, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGSTOP}
	launches := 0
	for time.Now().Before(end) {
		dir := t.TempDir()
		var batch sync.WaitGroup
		for n := range 4 {
			batch.Go(func() {
				cmd := exec.Command(binary("sbx"), "--policy", "project", "--read", binary("probe"), "--", binary("probe"),
					"daemon", fmt.Sprintf("alive%d", n))
				cmd.Dir, cmd.Env = dir, userEnv()
				if err := cmd.Start(); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Duration(rand.IntN(40_000)) * time.Microsecond)
				s := signals[rand.IntN(len(signals))]
				if err := cmd.Process.Signal(s); err != nil && err != os.ErrProcessDone {
					t.Error(err)
				}
				if s == unix.SIGSTOP {
					time.Sleep(5 * time.Millisecond)
					if err := cmd.Process.Kill(); err != nil && err != os.ErrProcessDone {
						t.Error(err)
					}
				}
				if _, err := exitStatus(cmd.Wait()); err != nil {
					t.Error(err)
				}
			})
			launches++
		}
		batch.Wait()
		noStrays(t)
		if t.Failed() {
			break
		}
	}
	before.compare(t, hostState(t))
	t.Logf("%d launches", launches)
}

// TestSoakFaults is the fault sweep over every shipped policy, as long as
// there is time: some 2,000 runs each.
func TestSoakFaults(t *testing.T) {
	end := time.Now().Add(soakTime(t) / 2)
	project := sweepProject(t)
	log := filepath.Join(t.TempDir(), "trace")
	for _, policy := range []string{"default", "project", "build", "fetch", "web", "shell", "filter", "pure"} {
		normal, trace := straced(t, project, log, "", "--policy", policy)
		normal.want(t, 0, "confined")
		want := scrub(normal.stdout)
		runs := 0
		for _, c := range setupCalls(t, trace) {
			for _, errno := range []string{"EPERM", "ENOSYS", "EINVAL", "EAGAIN", "ENOSPC", "ENOMEM", "EMFILE"} {
				if time.Now().After(end) {
					t.Logf("out of time in policy %s after %d runs", policy, runs)
					return
				}
				fault := fmt.Sprintf("%s:error=%s:when=%d", c.name, errno, c.nth)
				r, _ := straced(t, project, log, fault, "--policy", policy)
				runs++
				if complaint := judge(fault, r, want); complaint != "" {
					t.Errorf("%s: %s", policy, complaint)
				}
			}
		}
		t.Logf("%s: %d runs", policy, runs)
	}
}

// TestSoakLaunches is the long form of TestManyLaunches: 10,000 in a row.
func TestSoakLaunches(t *testing.T) {
	t.Run("in few namespaces", func(t *testing.T) { inARow(t, 10_000) })
	t.Run("plainly", func(t *testing.T) { plainly(t, 10_000) })
}

// TestSoakTogether is the long form of TestManyTogether: 200 at once, ten times.
func TestSoakTogether(t *testing.T) {
	for range 10 {
		together(t, 200)
	}
}

// TestSoakKilled is the long form of TestKilledAtAnyInstant.
func TestSoakKilled(t *testing.T) { killed(t, 10*kills) }

// TestSoakRaced is the long form of TestRaced: 10,000 starts beside renamers.
func TestSoakRaced(t *testing.T) { raced(t, 10_000) }

// TestSoakRename races a renamer against the launcher: a directory that is to
// be shown is exchanged with a link to another all the time. A link that stands
// there when sbx reads the path is the caller's own word and is followed; one
// that comes later ends in a refusal, never in a hang, a crash or a left-over.
func TestSoakRename(t *testing.T) {
	end := time.Now().Add(soakTime(t) / 10)
	dir := t.TempDir()
	project := mkdir(t, dir, "project")
	secret := mkdir(t, dir, "secret")
	if err := os.WriteFile(filepath.Join(secret, "file"), []byte("very secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	shown := mkdir(t, project, "shown")
	if err := os.WriteFile(filepath.Join(shown, "file"), []byte("shown"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(project, "link")
	if err := os.Symlink(secret, link); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var renamer sync.WaitGroup
	renamer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := unix.Renameat2(unix.AT_FDCWD, shown, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	seen := map[int]int{}
	for time.Now().Before(end) {
		r := run(t, call{args: []string{binary("sbx"), "--policy", "pure", "--read", shown, "--", "cat",
			filepath.Join(shown, "file")}, dir: project})
		seen[r.status]++
		if r.status != 0 && r.status != 1 && r.status != 125 {
			t.Errorf("want 0, cat's 1 or a refusal: %v", r)
		}
	}
	noStrays(t)
	close(stop)
	renamer.Wait()
	t.Logf("exit statuses: %v", seen)
	if seen[0] == 0 {
		t.Error("it never ran at all")
	}
}

// TestSoakTrees is the long form of TestTrees, TestTreesByLandlock and
// TestTreesCompared: 7,000 launches as root and as a user.
func TestSoakTrees(t *testing.T) {
	t.Run("own", func(t *testing.T) { trees(t, 1000, false) })
	t.Run("Landlock", func(t *testing.T) { trees(t, 250, true) })
	t.Run("compared", func(t *testing.T) { compared(t, 500) })
}
