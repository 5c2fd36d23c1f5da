package plan

import (
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/terminal"
)

// terminalPlan decides whether the target is in the job of the caller's terminal or in a
// session of its own, and whether it has a pseudo-terminal.
type terminalPlan struct {
	sharesJob, ownSession bool
	pty                   *terminal.Caller
}

// terminals makes the terminalPlan. ownMounts says that the mount namespace is a new one.
func terminals(p *policy.Policy, h *host.Facts, ownMounts bool) (t terminalPlan, err error) {
	switch p.Process.Terminal {
	case "", "inherit":
		return terminalPlan{sharesJob: h.Terminal.Controlling}, nil
	case "pty":
		if h.Terminal.Caller == nil {
			break // there is no terminal to relay, so the target has none
		}
		if !ownMounts {
			return t, &host.NeedError{
				Reason: host.WrongNamespace,
				What:   "give the target a terminal of its own: the mount namespace, with its /dev/pts, is not a new one",
				Fix:    "leave mount to \"new\" in the policy's [namespaces], or say terminal = \"new-session\"",
			}
		}
		if !policy.NotFalse(p.Files.Dev) {
			return t, &host.NeedError{
				Reason: host.Conflict,
				What:   "give the target a terminal of its own without a /dev",
				Fix:    "leave dev = false out of the policy's [files], or say terminal = \"new-session\"",
			}
		}
		t.pty = h.Terminal.Caller
	}
	t.ownSession = true
	return t, nil
}
