package sandbox

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"sbx/internal/step"
	"sbx/policies"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/process"
	"sbx/sandbox/internal/fallbackfilter"
	"sbx/sandbox/internal/terminal"
)

// TestFaultsAtTerminal starts this test once more at a terminal, and makes
// every call fail by which the target gets one of its own.
func TestFaultsAtTerminal(t *testing.T) {
	launches(t)
	if os.Getenv("SBX_AT_TERMINAL") == "" {
		args := []string{"-test.run=^TestFaultsAtTerminal$", "-test.v"}
		if testing.Short() {
			args = append(args, "-test.short")
		}
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), "SBX_AT_TERMINAL=1")
		file, err := pty.Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(file) // until nobody has it open
		if err != nil && !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	plan := planWith(t, "default", func(p *policy.Policy) { p.Process.Terminal = "pty" }, "/bin/touch", "ran")
	if plan.Caller == nil || plan.Caller.Streams != [3]bool{true, true, true} {
		t.Fatalf("the terminal was not found: %+v", plan.Caller)
	}
	if s := plan.String(); !strings.Contains(s, "setup    make an own terminal for descriptors 0, 1 and 2, relayed by the launcher\n") ||
		!strings.Contains(s, "undo     restore the modes of the caller's terminal\n") {
		t.Errorf("the plan does not say so:\n%s", s)
	}
	sweep(t, plan, func(s step.Step) bool {
		switch s.(type) {
		case process.OwnSession, process.OwnGroup, terminal.Open, terminal.Foreground:
			return true
		}
		return false
	})
}

// TestTerminalModes: each has its steps, and no other's.
func TestTerminalModes(t *testing.T) {
	base, err := policies.Find("default")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mode                 string
		at, caller           bool
		terminal, apart, own bool
	}{
		{"", false, false, false, false, false},
		{"inherit", true, false, true, false, false},
		{"new-session", true, false, false, true, false},
		{"new-session", false, false, false, true, false},
		{"pty", true, true, false, true, true},
		{"pty", false, false, false, true, false},
	} {
		p := *base
		p.Process.Terminal = c.mode
		h := &Host{Terminal: c.at}
		if c.caller {
			h.Caller = &terminal.Caller{}
		}
		plan := &Plan{}
		if err := plan.terminal(&p, h, true); err != nil {
			t.Fatal(err)
		}
		if plan.Terminal != c.terminal || plan.Apart != c.apart || (plan.Caller != nil) != c.own || (len(plan.Undo) > 0) != c.own {
			t.Errorf("%q at a terminal %v: %+v", c.mode, c.at, plan)
		}
	}
	// Without a view, or a /dev in it, there is nowhere to make one.
	p, no := *base, false
	p.Process.Terminal = "pty"
	var need *NeedError
	if err := (&Plan{}).terminal(&p, &Host{Caller: &terminal.Caller{}}, false); !errors.As(err, &need) || need.Fix == "" {
		t.Errorf("pty without a view: %v", err)
	}
	p.Files.Dev = &no
	if err := (&Plan{}).terminal(&p, &Host{Caller: &terminal.Caller{}}, true); !errors.As(err, &need) || need.Fix == "" {
		t.Errorf("pty without /dev: %v", err)
	}
}

// TestGroupFilter: the job's group is out of reach by Landlock or by a filter.
func TestGroupFilter(t *testing.T) {
	want := process.Seccomp{Name: fallbackfilter.GroupSignals.String(), Program: string(fallbackfilter.GroupSignals.Program(seccomp.Native()))}
	for _, c := range []struct {
		plan   Plan
		abi    int
		filter bool
	}{
		{Plan{Terminal: true, Landlock: true}, landlock.ABIScopes, false},
		{Plan{Terminal: true, Landlock: true}, landlock.ABIScopes - 1, true},
		{Plan{Terminal: true}, landlock.ABIScopes, true}, // landlock = "off", or nest
		{Plan{Terminal: true}, 0, true},
		{Plan{Terminal: true, Shared: true}, landlock.ABIScopes, false},
		{Plan{Apart: true, Landlock: true}, 1, false},
		{Plan{Landlock: true}, 1, false},
	} {
		got := groupFilter(&policy.Policy{}, &c.plan, &Host{Landlock: c.abi})
		if len(got) > 0 != c.filter || len(got) > 0 && !slices.Equal(got, []step.Step{want}) {
			t.Errorf("%+v, ABI %d: %v", c.plan, c.abi, got)
		}
	}
}
