package plan

import (
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/terminal"
)

// terminalPlan is how the target stands to the caller's terminal: in its job, or
// in a session of its own, perhaps with a terminal of its own.
type terminalPlan struct {
	sharesJob, ownSession bool
	pty                   *terminal.Caller
}

// terminals decides it. ownMounts says that /dev/pts is the sandbox's own.
func terminals(p *policy.Policy, h *host.Facts, ownMounts bool) (t terminalPlan, err error) {
	switch p.Process.Terminal {
	case "", "inherit":
		return terminalPlan{sharesJob: h.Terminal.Controlling}, nil
	case "pty":
		if h.Terminal.Caller == nil {
			break // no terminal to relay: then the target has none
		}
		if !ownMounts {
			return t, &host.NeedError{Reason: host.WrongNamespace, What: "give the target a terminal of its own where /dev/pts is another mount namespace's",
				Fix: "leave mount to \"new\" in the policy's [namespaces], or say terminal = \"new-session\""}
		}
		if !policy.NotFalse(p.Files.Dev) {
			return t, &host.NeedError{Reason: host.Conflict, What: "give the target a terminal of its own without a /dev",
				Fix: "leave dev = false out of the policy's [files], or say terminal = \"new-session\""}
		}
		t.pty = h.Terminal.Caller
	}
	t.ownSession = true
	return t, nil
}
