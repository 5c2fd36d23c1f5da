package plan

import (
	"errors"
	"slices"
	"testing"

	"sbx/internal/step"
	"sbx/policies"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/fallbackfilter"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/plantest"
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
		Name: fallbackfilter.GroupSignals.String(),
		Why:  fallbackfilter.GroupSignals.Why(), Program: string(fallbackfilter.GroupSignals.Program(seccomp.Native())),
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

// TestFileFilter: no signal is sent by a descriptor, by Landlock or by a filter.
func TestFileFilter(t *testing.T) {
	all, nest := fallbackfilter.FileSignals.String(), fallbackfilter.NestFileSignals.String()
	for _, c := range []struct {
		abi  int
		edit func(*policy.Policy)
		want string
	}{
		{landlock.ABIScopes, func(*policy.Policy) {}, ""},
		{landlock.ABIScopes - 1, func(*policy.Policy) {}, all},
		{0, func(*policy.Policy) {}, all},
		{landlock.ABIScopes, func(p *policy.Policy) { p.Process.Landlock = "off" }, all},
		{landlock.ABIScopes, func(p *policy.Policy) { p.Process.Nest = plantest.Ptr(true) }, nest},
		{0, func(p *policy.Policy) { p.Process.Nest = plantest.Ptr(true) }, nest},
	} {
		p := plantest.Shipped(t, "default")
		c.edit(p)
		h := plantest.Debian(p, 1000)
		h.LSM.Landlock = c.abi
		plan, err := Build(p, plantest.AllowAll, host.Target{Path: "x", Args: []string{"x"}, Dir: "/tmp"}, h)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, s := range plan.Target {
			if s, ok := s.(process.Seccomp); ok && (s.Name == all || s.Name == nest) {
				got += s.Name
			}
		}
		if got != c.want {
			t.Errorf("ABI %d: %q, want %q", c.abi, got, c.want)
		}
	}
}

// TestOthersFilter: the filter for other processes is loaded where the pid
// namespace is not new, and nowhere else.
func TestOthersFilter(t *testing.T) {
	for _, shared := range []bool{false, true} {
		p := &policy.Policy{Name: "p", Files: policy.Files{Tmpfs: []string{"/tmp"}}}
		h := plantest.Debian(p, 0)
		target := host.Target{Path: "x", Args: []string{"x"}, Dir: "/tmp"}
		if shared {
			shareProc(func(*policy.Policy, *host.Facts) {})(p, h, &target)
		}
		plan, err := Build(p, plantest.AllowAll, target, h)
		if err != nil {
			t.Fatal(err)
		}
		loaded := slices.ContainsFunc(plan.Target, func(s step.Step) bool {
			f, ok := s.(process.Seccomp)
			return ok && f.Name == fallbackfilter.OwnProcess.String() && f.Program != ""
		})
		if loaded != shared {
			t.Errorf("shared %v: loaded %v", shared, loaded)
		}
	}
}
