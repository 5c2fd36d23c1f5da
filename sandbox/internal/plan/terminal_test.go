package plan

import (
	"errors"
	"slices"
	"testing"

	"sbx/internal/step"
	"sbx/policies"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/fallbackfilter"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/process"
	"sbx/sandbox/internal/terminal"
)

// TestTerminalModes checks that each mode has its own steps, and no others.
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
		h := &host.Facts{Terminal: host.Terminal{Controlling: c.at}}
		if c.caller {
			h.Terminal.Caller = &terminal.Caller{}
		}
		got, err := terminals(&p, h, true)
		if err != nil {
			t.Fatal(err)
		}
		if got.sharesJob != c.terminal || got.ownSession != c.apart || (got.pty != nil) != c.own {
			t.Errorf("%q at a terminal %v: %+v", c.mode, c.at, got)
		}
		plan := order(&decisions{limits: &Limits{}, terminal: got})
		if plan.SharesJob != c.terminal || plan.OwnSession != c.apart || (plan.PTY != nil) != c.own ||
			(len(plan.Cleanup) > 0) != c.own {
			t.Errorf("%q at a terminal %v: %+v", c.mode, c.at, plan)
		}
	}
	// Without a new mount namespace, or without a /dev, no pseudo-terminal can be made.
	p, no := *base, false
	p.Process.Terminal = "pty"
	at := &host.Facts{Terminal: host.Terminal{Caller: &terminal.Caller{}}}
	if _, err := terminals(&p, at, false); !errors.Is(err, host.WrongNamespace) {
		t.Errorf("pty without mounts: %v", err)
	}
	p.Files.Dev = &no
	if _, err := terminals(&p, at, true); !errors.Is(err, host.Conflict) {
		t.Errorf("pty without /dev: %v", err)
	}
}

// TestGroupFilter checks that Landlock or a filter protects the job's group from signals.
func TestGroupFilter(t *testing.T) {
	want := process.Seccomp{
		Name:    fallbackfilter.GroupSignals.String(),
		Program: string(fallbackfilter.GroupSignals.Program(seccomp.Native())),
	}
	for _, c := range []struct {
		job, shared, landlock bool
		abi                   int
		filter                bool
	}{
		{true, false, true, landlock.ABIScopes, false},
		{true, false, true, landlock.ABIScopes - 1, true},
		{true, false, false, landlock.ABIScopes, true}, // landlock = "off", or nest
		{true, false, false, 0, true},
		{true, true, false, landlock.ABIScopes, false},
		{false, false, true, 1, false},
		{false, false, true, 2, false},
	} {
		d := &decisions{terminal: terminalPlan{sharesJob: c.job}, sharesPIDNS: c.shared}
		if c.landlock {
			d.landlock = []step.Step{landlock.Restrict{}}
		}
		got := d.groupFilter(&host.Facts{LSM: host.LSM{Landlock: c.abi}}, 0)
		if len(got) > 0 != c.filter || len(got) > 0 && !slices.Equal(got, []step.Step{want}) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
