package plan

import (
	"slices"

	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/process"
)

// idPlan decides who the child is in its user namespace.
type idPlan struct {
	// steps are the child's first steps: they set its ids, and do what needs its own files
	// in /proc.
	steps []step.Step
	// ranges are the ids that the launcher maps, or nil.
	ranges *ns.Ranges
	// holds says that the child waits for the launcher, mappedOutside for somebody else.
	holds, mappedOutside bool
}

// hasProc says whether one of the steps opens the host's /proc.
func (i idPlan) hasProc() bool {
	return slices.ContainsFunc(i.steps, func(s step.Step) bool { _, ok := s.(ns.OpenProc); return ok })
}

// openProc opens the host's /proc before the other steps, if none of them does.
func (i *idPlan) openProc() {
	if !i.hasProc() {
		i.steps = append([]step.Step{ns.OpenProc{}}, i.steps...)
	}
}

// ids makes the idPlan.
func ids(p *policy.Policy, t host.Target, h *host.Facts, s nsPlan, sharesPIDNS bool) (plan idPlan, err error) {
	list := &plan.steps
	add := func(s ...step.Step) { *list = append(*list, s...) }
	alone := len(s.joins) == 0 // otherwise the joining process has opened /proc
	if (s.new&(ns.User|ns.Time) != 0 || sharesPIDNS) && alone {
		add(ns.OpenProc{})
	}
	plan.holds, plan.mappedOutside = t.Hold, t.MappedOutside
	if t.Hold && alone {
		add(process.LeaveLauncher{}) // or the child would wait on after the launcher's death
	}
	switch {
	case t.MappedOutside && (s.new&ns.User == 0 || !t.Hold || policy.IsTrue(p.Namespaces.Ranges)):
		return plan, &host.NeedError{
			Reason: host.WrongNamespace,
			What:   "have somebody else map the ids: the user namespace is not a new one, or has ids already",
			Fix:    "say user = \"new\" in the policy's [namespaces], without ranges",
		}
	case t.MappedOutside:
		add(ns.Hold{IDs: true, Without: t.HoldWithout}, process.DropGroups{IfAllowed: true})
	case s.joined(ns.User):
		add(process.DropGroups{IfAllowed: true}, process.SetIDs{UID: s.uid, GID: s.gid})
	case s.new&ns.User == 0:
	case policy.IsTrue(p.Namespaces.Ranges):
		if h.SubIDs.Err != nil {
			return plan, h.SubIDs.Err
		}
		r := ns.Ranges{}
		if r.UIDs, err = extents(s.uid, h.UID, h.SubIDs.UIDs); err != nil {
			return plan, err
		}
		if r.GIDs, err = extents(s.gid, h.GID, h.SubIDs.GIDs); err != nil {
			return plan, err
		}
		if alone && !t.Hold {
			add(process.LeaveLauncher{}) // as above
		}
		// The groups can be dropped here. Denying setgroups(2), as with a single id, would
		// prevent that. The target cannot set groups again, because it has no CAP_SETGID.
		add(r, process.DropGroups{})
		plan.ranges = &r
	default:
		add(ns.IDMap{UID: s.uid, GID: s.gid, OutsideUID: h.UID, OutsideGID: h.GID})
	}
	if t.Hold && !t.MappedOutside {
		add(ns.Hold{Without: t.HoldWithout}) // with its ids, for whoever enters its user namespace meanwhile
	}
	if policy.IsTrue(p.Namespaces.Ranges) && plan.ranges == nil {
		return plan, &host.NeedError{
			Reason: host.WrongNamespace,
			What:   "map ranges of ids: the user namespace is not a new one",
			Fix:    "say user = \"new\" in the policy's [namespaces]",
		}
	}
	if s.new&ns.Time != 0 {
		add(ns.Clocks{Monotonic: s.monotonic, Boottime: s.boottime})
	}
	return plan, nil
}

// extents maps the caller's own id, and then all other ids inside, from 0 on, to the ranges
// in their order.
func extents(inside, outside int, sub []ns.Extent) ([]ns.Extent, error) {
	own := ns.Extent{Inside: uint32(inside), Outside: uint32(outside), Count: 1}
	var list []ns.Extent
	next, placed := uint64(0), false
	add := func(e ns.Extent) {
		e.Inside = uint32(next)
		next += uint64(e.Count)
		list = append(list, e)
	}
	for _, e := range sub {
		if before := uint64(inside) - next; !placed && uint64(inside) >= next && before < uint64(e.Count) {
			if before > 0 {
				add(ns.Extent{Outside: e.Outside, Count: uint32(before)})
			}
			list, placed = append(list, own), true
			next++
			e.Outside, e.Count = e.Outside+uint32(before), e.Count-uint32(before)
		}
		add(e)
	}
	if next > host.MaxID+1 {
		return nil, host.Refuse(host.NoIDs, "map ranges of ids: they have more ids than there are")
	}
	if !placed {
		list = append(list, own)
	}
	return list, nil
}
