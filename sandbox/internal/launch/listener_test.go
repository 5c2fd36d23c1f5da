package launch

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/internal/fdtest"
	"sbx/internal/step"
	"sbx/policies"
	"sbx/policy"
	"sbx/policy/explain"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/compile"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plan"
	"sbx/sandbox/internal/process"
)

// explainedPlan is the plan of an explained run with the policy's own filter, which is
// changed before.
func explainedPlan(t testing.TB, change func(*seccomp.Policy), args ...string) *plan.Plan {
	t.Helper()
	launches(t)
	p, err := policies.Find("default")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if p, err = p.Expand(policy.Vars{Home: home, User: "u", UID: os.Getuid()}); err != nil {
		t.Fatal(err)
	}
	p.Files.Write, p.Files.Tmpfs = append(p.Files.Write, home), nil
	change(&p.Seccomp)
	filters, err := compile.Compile(p.LaunchCalls(), seccomp.Native(), nil)
	if err != nil {
		t.Fatal(err)
	}
	target := host.Target{Path: args[0], Args: args, Env: os.Environ(), Dir: home, PID: os.Getpid(), Explain: true}
	h, err := host.Probe(p, target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	if h.Listener.Err != nil {
		t.Fatalf("no listener here: %v", h.Listener.Err)
	}
	h.Terminal.Controlling = false
	made, err := plan.Build(p, filters, target, h)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// explained runs the plan to its end.
func explainedRun(t testing.TB, p *plan.Plan) Exit {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	ps, err := start(p, hooks{})
	if err != nil {
		t.Fatal(err)
	}
	exit, err := ps.Supervise(pipe[0])
	if err != nil {
		t.Fatal(err)
	}
	if exit.Explained == nil || exit.Explained.Why != "" {
		t.Fatalf("%+v", exit.Explained)
	}
	return exit
}

func same(*seccomp.Policy) {}

// TestExplained: a denied call is answered as without, and told.
func TestExplained(t *testing.T) {
	exit := explainedRun(t, explainedPlan(t, same, "/bin/sh", "-c",
		"unshare --user true 2>message; unshare --user true 2>/dev/null; "+
			"grep -q 'Operation not permitted' message && exit 42"))
	if exit.Code() != 42 || exit.Left != 0 {
		t.Errorf("%+v", exit)
	}
	i := slices.IndexFunc(exit.Explained.Denials, func(d explain.Denial) bool { return d.Name() == "unshare" })
	if i < 0 {
		t.Fatalf("%+v", exit.Explained)
	}
	d := exit.Explained.Denials[i]
	if d.Count != 2 || d.Args[0] != unix.CLONE_NEWUSER || d.Answer.String() != "errno:EPERM" || d.Filter != "" ||
		!strings.HasSuffix(d.Exe, "/bin/unshare") || d.PID < 3 {
		t.Errorf("%+v", d)
	}
}

// TestExplainedQuick: however soon the target ends, the listener has come, the process
// that hands it over is not counted as one left behind, and no descriptor is left.
func TestExplainedQuick(t *testing.T) {
	p := explainedPlan(t, same, "/bin/true")
	before := fdtest.Count(t)
	for range 20 {
		if exit := explainedRun(t, p); exit.Code() != 0 || exit.Left != 0 || len(exit.Notes) != 0 ||
			len(exit.Explained.Denials) != 0 {
			t.Fatalf("%+v, %+v", exit, exit.Explained)
		}
	}
	if after := fdtest.Count(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if _, err := Start(p); err == nil {
		t.Error("a plan that needs answers was started without anybody who gives them")
	}
}

// TestExplainedKills: a call that the policy answers with the process's end is told, and
// ends it by the same signal.
func TestExplainedKills(t *testing.T) {
	for _, kind := range []seccomp.ActionKind{seccomp.KillProcess, seccomp.KillThread} {
		exit := explainedRun(t, explainedPlan(t, func(p *seccomp.Policy) {
			p.Rules = append(p.Rules, seccomp.Rule{Syscalls: []string{"unshare"}, Action: seccomp.Action{Kind: kind}})
		}, "/usr/bin/unshare", "--user", "true"))
		if !exit.Status.Signaled() || exit.Status.Signal() != unix.SIGSYS {
			t.Errorf("%v: status %#x", kind, exit.Status)
		}
		if d := exit.Explained.Denials; len(d) != 1 || d[0].Name() != "unshare" || d[0].Answer.Kind != kind {
			t.Errorf("%v: %+v", kind, exit.Explained)
		}
	}
}

// TestExplainedFaults makes each call that an explained run makes besides fail. Nothing of
// the target runs then.
func TestExplainedFaults(t *testing.T) {
	p := explainedPlan(t, same, "/bin/touch", "ran")
	found := 0
	sweep(t, p, func(s step.Step) bool {
		switch s.(type) {
		case process.HandOver, process.Listener, process.CloseFDs:
			found++
			return true
		}
		return false
	})
	if found < 6 && !testing.Short() { // which tries each seventh call, whichever it is
		t.Errorf("only %d calls were made to fail", found)
	}
}
