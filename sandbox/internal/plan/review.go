package plan

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/rootfs"
)

// Reviewed are the directories of the host whose changes are kept apart.
func (p *Plan) Reviewed() []rootfs.Reviewed { return p.Tree.Reviewed() }

// refuseReview refuses what a review does not go with: then the program would write to the
// host at once, or leave files that the caller could not move.
func refuseReview(p *policy.Policy, t host.Target, h *host.Facts, d *decisions) error {
	if t.Review == nil {
		return nil
	}
	switch {
	case p.Namespaces.None():
		return &host.NeedError{
			Reason: host.WrongNamespace,
			What:   "review what the program writes: without namespaces nothing keeps that apart from the host",
			Fix:    "take out --review, or run sbx where namespaces are allowed, without --no-namespaces",
		}
	case d.ns.new&ns.Mount == 0:
		return &host.NeedError{
			Reason: host.WrongNamespace,
			What:   "review what the program writes: the policy uses a mount namespace that is not new",
			Fix:    "say mount = \"new\" in the policy's [namespaces]",
		}
	case d.ns.new&ns.PID == 0:
		return &host.NeedError{
			Reason: host.WrongNamespace,
			What: "review what the program writes: the policy uses a pid namespace that is not new, in which some of its " +
				"processes may stay and go on writing",
			Fix: "say pid = \"new\" in the policy's [namespaces]",
		}
	case policy.IsTrue(p.Namespaces.Ranges):
		return &host.NeedError{
			Reason: host.Conflict,
			What:   "review what the program writes: with ids by ranges it makes files of other users than the caller",
			Fix:    "take ranges out of the policy's [namespaces]",
		}
	}
	for _, f := range h.Handed {
		if f.FD > 2 && f.Mode == unix.S_IFDIR {
			return &host.NeedError{
				Reason: host.LeadsOut,
				What: fmt.Sprintf("review what the program writes: by the directory of descriptor %d it would write at once",
					f.FD),
				Fix: "do not hand it over: close it, or take it out of --keep-fd",
			}
		}
	}
	return nil
}
