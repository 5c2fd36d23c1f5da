package host

import (
	"fmt"

	"sbx/sandbox/internal/terminal"
)

// probeTerminal looks for the terminal to relay. It refuses to give the target the same
// terminal by another descriptor.
func probeTerminal(t Target) (*terminal.Caller, error) {
	c, err := terminal.Find()
	if err != nil {
		return nil, &NeedError{
			Reason: NoTerminal,
			What:   "give the target a terminal of its own: " + err.Error(),
			Fix:    "redirect the streams that are not the terminal sbx was started at, as in </dev/null",
		}
	}
	for _, fd := range t.KeepFDs {
		if c != nil && c.Is(fd) {
			return nil, &NeedError{
				Reason: Conflict,
				What: fmt.Sprintf("keep descriptor %d: it is the caller's terminal, "+
					"and the policy gives the target one of its own", fd),
				Fix: "leave --keep-fd out: descriptors 0, 1 and 2 are the target's own terminal",
			}
		}
	}
	return c, nil
}
