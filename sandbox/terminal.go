package sandbox

import (
	"fmt"

	"sbx/internal/step"
	"sbx/policy"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/fallbackfilter"
	"sbx/sandbox/internal/terminal"
)

// findTerminal looks for the terminal to relay, and refuses to hand it over by
// another way.
func findTerminal(t Target) (*terminal.Caller, error) {
	c, err := terminal.Find()
	if err != nil {
		return nil, &NeedError{What: "give the target a terminal of its own: " + err.Error(),
			Fix: "redirect the streams that are not the terminal sbx was started at, as in </dev/null"}
	}
	for _, fd := range t.KeepFDs {
		if c != nil && c.Is(fd) {
			return nil, &NeedError{What: fmt.Sprintf("keep descriptor %d: it is the caller's terminal, and the policy gives the target one of its own", fd),
				Fix: "leave --keep-fd out: descriptors 0, 1 and 2 are the target's own terminal"}
		}
	}
	return c, nil
}

// terminal settles how the target stands to the caller's terminal. own says that
// the view, and so its /dev/pts, is the sandbox's own.
func (p *Plan) terminal(pol *policy.Policy, h *Host, own bool) error {
	switch pol.Process.Terminal {
	case "", "inherit":
		p.Terminal = h.Terminal
		return nil
	case "pty":
		if h.Caller == nil {
			break // no terminal to relay: then the target has none
		}
		if !own {
			return &NeedError{What: "give the target a terminal of its own where /dev/pts is another mount namespace's",
				Fix: "leave mount to \"new\" in the policy's [namespaces], or say terminal = \"new-session\""}
		}
		if !policy.NotFalse(pol.Files.Dev) {
			return &NeedError{What: "give the target a terminal of its own without a /dev",
				Fix: "leave dev = false out of the policy's [files], or say terminal = \"new-session\""}
		}
		p.Caller = h.Caller
		p.Undo = append(p.Undo, h.Caller.Restore())
	}
	p.Apart = true
	return nil
}

// groupFilter keeps signals in the sandbox at a terminal, where Landlock does
// not: the job there is the target's process group as well as the launcher's.
// With the outside's pid namespace it is one of many that can be named.
func groupFilter(p *policy.Policy, plan *Plan, h *Host) []step.Step {
	scoped := plan.Landlock && h.Landlock >= landlock.ABIScopes
	if !plan.Terminal || scoped || plan.Shared {
		return nil
	}
	return []step.Step{standIn(fallbackfilter.GroupSignals, p)}
}
