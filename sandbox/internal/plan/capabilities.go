package plan

import (
	"strconv"
	"strings"

	"sbx/caps"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// lowPorts is how a user's server comes to a port below 1024 without a capability.
const lowPorts = "a user's server can have port 80 after sysctl -w net.ipv4.ip_unprivileged_port_start=80, " +
	"or on a socket that systemd hands over"

// keptCaps is the set of capabilities that the target keeps. They are never more than the
// caller has on the host, or in a namespace that the policy asks for explicitly. A user
// namespace that is made only because the caller needs one ("auto") gives the target none.
func keptCaps(p *policy.Policy, h *host.Facts, s nsPlan) (caps.Set, error) {
	var have caps.Set
	switch {
	case !s.has(ns.User):
		have = h.Caps.Keepable
	case s.explicitUser(p):
		have = 1<<uint(h.Caps.Last+1) - 1
	}
	exec := s.uid == 0 || policy.IsTrue(p.Process.Ambient) // otherwise the exec drops them all
	var keep caps.Set
	for _, name := range p.Process.Capabilities {
		c, err := caps.Parse(strings.TrimPrefix(name, "?"))
		switch {
		case err != nil:
			return 0, err
		case have&c&caps.Network != 0 && s.new&ns.User != 0 && s.new&ns.Net == 0 && !s.joined(ns.Net) &&
			!strings.HasPrefix(name, "?"):
			// The kernel asks for it in the user namespace that the network belongs to.
			return 0, &host.NeedError{
				Reason: host.NoCapability,
				What: "keep capability " + c.String() + ": it would be one over the sandbox's own user namespace, " +
					"to which the host's network does not belong",
				Fix: "start sbx as root without namespaces.user, or say net = \"new\"; " + lowPorts,
			}
		case have&c != 0 && exec:
			keep |= c
		case strings.HasPrefix(name, "?"):
		case have&c != 0:
			return 0, &host.NeedError{
				Reason: host.NoCapability,
				What: "keep capability " + c.String() + ": user " + strconv.Itoa(s.uid) +
					" loses it when the program is executed",
				Fix: "say ambient = true in the policy's [process]",
			}
		default:
			fix := "run sbx as root, or write \"?" + c.String() + "\" to keep it only if the caller has it"
			if c&caps.Network != 0 && s.new&ns.Net == 0 {
				fix += "; " + lowPorts
			}
			return 0, &host.NeedError{
				Reason: host.NoCapability,
				What:   "keep capability " + c.String() + ", which the caller does not have",
				Fix:    fix,
			}
		}
	}
	return keep, nil
}

// explicitUser says whether the policy explicitly gives the target a user namespace of its own.
func (s nsPlan) explicitUser(p *policy.Policy) bool {
	return s.has(ns.User) && p.Namespaces.User != "" && p.Namespaces.User != "auto"
}

// initCaps are the capabilities that the init keeps, to signal a target that changes its
// user.
func (s nsPlan) initCaps(h *host.Facts) caps.Set {
	if s.has(ns.User) {
		return caps.Kill
	}
	return h.Caps.Effective & caps.Kill
}
