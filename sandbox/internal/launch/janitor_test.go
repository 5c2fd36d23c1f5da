package launch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/fdtest"
	"sbx/internal/step"
	"sbx/sandbox/internal/plan"
)

// makeDir and removeDir are the smallest thing that can be left behind.
type makeDir struct{ fd int }

func (makeDir) String() string { return "make a directory" }
func (m makeDir) Holds() int   { return m.fd }
func (makeDir) Kind() string   { return "test-make-dir" }

func (m makeDir) Compile(a *step.Asm) {
	a.Sys(unix.SYS_MKDIRAT, step.Fd(m.fd), a.Str("d-"+a.Token), step.Int(0o700))
}

type removeDir struct{ fd int }

func (removeDir) String() string { return "remove a directory" }
func (r removeDir) Holds() int   { return r.fd }
func (removeDir) Kind() string   { return "test-remove-dir" }

func (r removeDir) Compile(a *step.Asm) {
	a.Retry(unix.SYS_UNLINKAT, step.Fd(r.fd), a.Str("d-"+a.Token), step.Int(unix.AT_REMOVEDIR)).Or(unix.ENOENT)
}

// failing is a step that fails with an errno.
type failing struct{}

func (failing) String() string { return "fail on purpose" }
func (failing) Kind() string   { return "test-fail" }

func (failing) Compile(a *step.Asm) {
	a.Sys(unix.SYS_CLOSE, step.Fd(-1))
}

// withDirectory gives the plan a janitor, with a directory below dir that is there meanwhile.
func withDirectory(t testing.TB, plan *plan.Plan, dir string) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	plan.Prepare, plan.Cleanup = []step.Step{makeDir{fd}}, []step.Step{removeDir{fd}}
}

func entries(t testing.TB, dir string) (list []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		list = append(list, e.Name())
	}
	return list
}

// janitorOf is the pid of the process that shows as sbx-janitor below parent.
func janitorOf(parent int) int {
	list, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range list {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		var pid, ppid int
		rest := string(b)
		if i := strings.Index(rest, "(sbx-janitor) "); i > 0 {
			fmt.Sscan(rest[:i], &pid)
			var state string
			fmt.Sscan(rest[i+len("(sbx-janitor) "):], &state, &ppid)
			if (ppid == parent || parent == 0) && state != "Z" {
				return pid
			}
		}
	}
	return 0
}

// until waits for something that comes soon on an idle machine.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestJanitor: what is made outside is there while the sandbox runs and gone,
// with the janitor, when it has ended.
func TestJanitor(t *testing.T) {
	dir := t.TempDir()
	plan := planFor(t, "default", "/bin/sleep", "1000")
	withDirectory(t, plan, dir)
	if s := plan.String(); !strings.Contains(s, "janitor  make a directory\n") ||
		!strings.Contains(s, "cleanup  remove a directory\n") {
		t.Errorf("the plan does not say what the janitor does:\n%s", s)
	}
	before := fdtest.Count(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ps, err := Start(plan)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(entries(t, dir)); n != 1 {
		t.Errorf("%d directories while it runs, want 1", n)
	}
	k := ps.janitor.pid
	if sid, err := unix.Getsid(k); err != nil || sid != k {
		t.Errorf("the janitor's session is %d, %v; want its own", sid, err)
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", k)); err != nil ||
		!strings.Contains(string(b), "Name:\tsbx-janitor\n") ||
		!strings.Contains(string(b), "SigBlk:\tfffffffffffbfeff\n") {
		t.Errorf("the janitor's status: %v\n%s", err, b)
	}
	if os.Getuid() == 0 {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", k)); err != nil || string(b[:12]) != "sbx-janitor\x00" ||
			strings.Contains(string(b), "-test") {
			t.Errorf("the janitor's command line: %v %q", err, b)
		}
		if fds := entries(t, fmt.Sprintf("/proc/%d/fd", k)); len(fds) != 2 {
			t.Errorf("the janitor holds descriptors %v, want the socket and the directory", fds)
		}
	}
	if err := ps.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	exit, err := ps.Wait()
	if err != nil || exit.Code() != 143 || len(exit.Notes) != 0 {
		t.Errorf("exit %+v, %v", exit, err)
	}
	if list := entries(t, dir); len(list) != 0 {
		t.Errorf("left: %v", list)
	}
	if err := unix.Kill(k, 0); err != unix.ESRCH {
		t.Errorf("the janitor is still there: %v", err)
	}
	if after := fdtest.Count(t); after > before+2 { // the poller's own
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// failJanitor runs the plan, with call i of its janitor's made to fail with EPERM
// if it is one that can.
func failJanitor(plan *plan.Plan, i int) (exit Exit, applied bool, err error) {
	ps, err := start(plan, hooks{janitor: func(tab *step.Table) {
		for j := range tab.Calls {
			if c := &tab.Calls[j]; c.Op == step.OpRetry {
				c.Arg[3] = 5 // not half a minute, where what is below stays
			}
		}
		if c := &tab.Calls[i]; c.Op == step.OpSys || c.Op == step.OpRetry {
			c.Op, c.Arg[0], c.Slots, applied = step.OpFail, uintptr(unix.EPERM), 0, true
		}
	}})
	if err != nil {
		return exit, applied, err
	}
	exit, err = ps.Wait()
	return exit, applied, err
}

// TestJanitorFaults makes each call of the janitor fail. What fails before the
// start is a refusal that names the step, and what fails in the undoing is
// told; what can be undone is.
func TestJanitorFaults(t *testing.T) {
	dir := t.TempDir()
	plan := planFor(t, "default", "/bin/touch", "ran")
	withDirectory(t, plan, dir)
	plan.Prepare = append(plan.Prepare, failing{})
	if _, err := Start(plan); err == nil || err.Error() != "fail on purpose: bad file descriptor" {
		t.Errorf("a preparation that fails: %v", err)
	}
	if list := entries(t, dir); len(list) != 0 {
		t.Errorf("left: %v", list)
	}
	plan.Prepare = plan.Prepare[:1]
	k := &janitor{}
	k.prepare, k.undo = plan.JanitorSteps()
	asm := k.compile(999)
	marker := filepath.Join(workDir(plan), "ran")
	left := leavesNothing(t, "")
	for i := range asm.Len() {
		exit, applied, err := failJanitor(plan, i)
		_, statErr := os.Stat(marker)
		os.Remove(marker)
		left("call %d", i)
		switch undo := i >= k.undoAt; {
		case !applied && (err != nil || statErr != nil):
			t.Fatalf("call %d left alone: %v", i, err)
		case applied && undo && (err != nil || statErr != nil || len(exit.Notes) != 1 ||
			exit.Notes[0] != "remove a directory: operation not permitted"):
			t.Errorf("call %d of the undoing: %v, notes %q", i, err, exit.Notes)
		case applied && !undo && (!errors.Is(err, unix.EPERM) || statErr == nil):
			t.Errorf("call %d: %v, ran %v", i, err, statErr == nil)
		}
		for _, name := range entries(t, dir) {
			if i < k.undoAt {
				t.Errorf("call %d: left %s", i, name)
			}
			os.Remove(filepath.Join(dir, name))
		}
	}
}

// TestJanitorKilled: without its janitor the sandbox is ended, and the launcher
// undoes.
func TestJanitorKilled(t *testing.T) {
	dir := t.TempDir()
	plan := planFor(t, "default", "/bin/sleep", "1000")
	withDirectory(t, plan, dir)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ps, err := Start(plan)
	if err != nil {
		t.Fatal(err)
	}
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(ps.janitor.pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	exit, err := ps.Supervise(p[0])
	if err != nil || exit.Code() != 137 || len(exit.Notes) != 1 {
		t.Errorf("exit %+v, %v", exit, err)
	}
	if list := entries(t, dir); len(list) != 0 {
		t.Errorf("left: %v", list)
	}
}

// TestJanitorVictim is the launcher that TestLauncherKilled kills.
func TestJanitorVictim(t *testing.T) {
	dir := os.Getenv("SBX_JANITOR_VICTIM")
	if dir == "" {
		return
	}
	plan := planFor(t, "default", "/bin/sleep", "0.01")
	withDirectory(t, plan, dir)
	if cgroup := os.Getenv("SBX_JANITOR_CGROUP"); cgroup != "" {
		inCgroup(t, plan, cgroup)
	}
	runtime.LockOSThread()
	for {
		ps, err := Start(plan)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ps.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLauncherKilled kills launchers with their whole process group at any
// instant of their lives. Nothing stays, the janitor neither.
func TestLauncherKilled(t *testing.T) {
	launches(t)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	kills := 60
	if testing.Short() {
		kills = 8
	}
	dir, cgroup := t.TempDir(), ""
	if os.Getuid() == 0 {
		cgroup = testCgroup(t)
	}
	seen := 0
	for range kills {
		cmd := exec.Command(os.Args[0], "-test.run=^TestJanitorVictim$")
		cmd.Env = append(os.Environ(), "SBX_JANITOR_VICTIM="+dir, "SBX_JANITOR_CGROUP="+cgroup, "TMPDIR="+t.TempDir())
		cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		until(t, "a janitor at work", func() bool { return janitorOf(cmd.Process.Pid) != 0 })
		time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
		if err := unix.Kill(-cmd.Process.Pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		seen += len(entries(t, dir))
		cmd.Wait()
		until(t, "nothing left", func() bool {
			return len(entries(t, dir)) == 0 && (cgroup == "" || len(cgroupsOf(t, cgroup)) == 0)
		})
		reapOrphans(t) // the janitor
	}
	if seen == 0 {
		t.Error("no kill met a launcher that had something outside")
	}
}
