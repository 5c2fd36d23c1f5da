package launch

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/internal/fdtest"
	"sbx/internal/step"
	"sbx/policy"
	"sbx/sandbox/internal/landlock"
	planner "sbx/sandbox/internal/plan"
	"sbx/sandbox/internal/plantest"
	"sbx/sandbox/internal/process"
)

// TestFaultsInPlace makes every single call fail of plans that are executed in place. Each
// time the step is named, nothing of the target runs, and the process goes on as it was. It
// is another process of this test, which becomes the target in the end.
func TestFaultsInPlace(t *testing.T) {
	launches(t)
	if name := os.Getenv("SBX_TEST_INPLACE"); name != "" {
		sweepInPlace(t, name)
		return
	}
	names := []string{"bare"}
	if os.Getuid() == 0 {
		names = append(names, "namespaces")
	}
	for _, name := range names {
		if _, shares := inPlacePlan(t, name); !shares {
			continue
		}
		dir := t.TempDir()
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestFaultsInPlace$", "-test.v", "-test.short="+map[bool]string{
			true: "true", false: "false"}[testing.Short()])
		cmd.Env = append(os.Environ(), "SBX_TEST_INPLACE="+name, "SBX_TEST_DIR="+dir)
		in, err := cmd.StdinPipe() // the target gets no file of the host
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "as it was") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if text, err := os.ReadFile(filepath.Join(dir, "ran")); err != nil || string(text) != "once\n" {
			t.Errorf("%s: the target has not run once: %q, %v\n%s", name, text, err, out)
		}
	}
}

// inPlacePlan is a plan of that kind. shares says that this kernel's Landlock can have it.
func inPlacePlan(t *testing.T, name string) (plan *planner.Plan, shares bool) {
	t.Helper()
	if abi, err := landlock.ABI(); err != nil || abi < landlock.ABIScopes {
		return nil, false
	}
	dir := os.Getenv("SBX_TEST_DIR")
	if dir == "" {
		return nil, true
	}
	plan = planWith(t, "pure", func(p *policy.Policy) {
		p.Namespaces.PID, p.Process.Supervise = "host", plantest.Ptr(false)
		p.Namespaces.Net = "host" // to make one takes as long as all else, and TestFaults does
		if name == "bare" {
			p.Namespaces.All = "host"
		}
		p.Limits = policy.Limits{CPUTime: "1h"}
		p.Files.Write = append(p.Files.Write, dir)
	}, "/bin/sh", "-c", "echo once >>"+dir+"/ran; echo as it was")
	return plan, true
}

// sweepInPlace makes each call fail, and lets them all succeed at last.
func sweepInPlace(t *testing.T, name string) {
	plan, _ := inPlacePlan(t, name)
	asm, _ := plan.Compile(planner.Descriptors{Launcher: -1, Notify: -1, Janitor: -1, Ready: -1},
		func(f process.ClearMemory) step.Step { return f })
	errnos := []unix.Errno{unix.EPERM, unix.ENOSYS, unix.EINVAL, unix.EAGAIN, unix.ENOSPC}
	stride := 1
	if testing.Short() {
		stride = 7
	}
	before := thisThread(t)
	fds := fdtest.Count(t)
	for i := 0; i < asm.Len(); i += stride {
		errno := errnos[i%len(errnos)]
		var want step.Step
		left := false
		err := execInPlace(plan, func(tab *step.Table) {
			c := &tab.Calls[i]
			want = plan.StepAt(int(c.Step))
			left = c.Op == step.OpZero || c.Op == step.OpStore
			for _, e := range c.Pass {
				left = left || unix.Errno(e) == errno
			}
			if left { // no call that could fail: the last fails in its place
				c = &tab.Calls[len(tab.Calls)-1]
				want = plan.StepAt(int(c.Step))
			}
			c.Op, c.Arg[0], c.Slots = step.OpFail, uintptr(errno), 0
		})
		var failed *stepError
		if !errors.As(err, &failed) || !errors.Is(err, errno) || failed.Step.String() != want.String() {
			t.Fatalf("call %d made to fail with %v: %v, want it of %q", i, errno, err, want)
		}
		if after := thisThread(t); after != before {
			t.Fatalf("call %d (%v): this thread is not as it was:\n%s\nbefore:\n%s", i, want, after, before)
		}
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := fdtest.Count(t); n > fds+asm.Len() {
		t.Errorf("%d descriptors, and %d at first", n, fds)
	}
	t.Fatal(execInPlace(plan, nil))
}

// thisThread is what restricts the thread that a plan is not to change: its credentials,
// filters, namespaces and directory.
func thisThread(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	var keep []string
	for line := range strings.Lines(string(text)) {
		for _, key := range []string{"Umask", "Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp", "SigBlk"} {
			if strings.HasPrefix(line, key) {
				keep = append(keep, line)
			}
		}
	}
	for _, name := range []string{"cwd", "root", "ns/mnt", "ns/net", "ns/ipc", "ns/uts", "ns/cgroup"} {
		link, err := os.Readlink("/proc/thread-self/" + name)
		if err != nil {
			t.Fatal(err)
		}
		keep = append(keep, name+" "+link+"\n")
	}
	return strings.Join(keep, "")
}
