package sandbox

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sbx/internal/text"

	"sbx/caps"
	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/process"
)

// spaces is what becomes of the namespaces: those that are made new and those
// that are joined, in order. All others are the host's.
type spaces struct {
	new   ns.Set
	joins []ns.Join
	// uid and gid are the target's ids in its user namespace.
	uid, gid int
	// monotonic and boottime are how far a new time namespace is shifted.
	monotonic, boottime time.Duration
}

// has says whether the target's namespace of the kind is another than the
// host's.
func (s spaces) has(k ns.Set) bool { return s.new&k != 0 || s.joined(k) }

// joined says whether it is one that was there before.
func (s spaces) joined(k ns.Set) bool {
	return slices.ContainsFunc(s.joins, func(j ns.Join) bool { return j.Namespace == k })
}

// namespaces decides which are new.
func namespaces(p *policy.Policy, h *Host) (spaces, error) {
	n := p.Namespaces
	s := spaces{uid: h.UID, gid: h.GID}
	for _, k := range [...]struct {
		say string
		set ns.Set
	}{{n.PID, ns.PID}, {n.Net, ns.Net}, {n.IPC, ns.IPC}, {n.UTS, ns.UTS}, {n.Cgroup, ns.Cgroup},
		{cmp.Or(n.Time, "host"), ns.Time}, {n.Mount, ns.Mount}} {
		switch {
		case k.say == "" || k.say == "new":
			s.new |= k.set
		case k.say == "host":
		default:
			j, err := h.joinStep(k.set, k.say)
			if err != nil {
				return s, err
			}
			s.joins = append(s.joins, j)
		}
	}
	switch n.User {
	case "", "auto":
		if h.Caps&caps.Admin == 0 {
			s.new |= ns.User
		}
	case "new":
		s.new |= ns.User
	case "host":
		if h.Caps&caps.Admin == 0 {
			return s, &NeedError{What: "user namespace \"host\" without CAP_SYS_ADMIN",
				Fix: "say user = \"auto\" in the policy's [namespaces], or run sbx as root"}
		}
	default:
		j, err := h.joinStep(ns.User, n.User)
		if err != nil {
			return s, err
		}
		// A user has the right to the others only in there; root has it by
		// what it loses in there.
		if h.Caps&caps.Admin == 0 {
			s.joins = slices.Insert(s.joins, 0, j)
		} else {
			s.joins = append(s.joins, j)
		}
		if n.UID == nil || n.GID == nil {
			// Who has no number there would count as "nobody", by an accident.
			return s, &NeedError{What: "join user namespace " + text.Quote(n.User) + " without knowing as whom",
				Fix: "say uid and gid, of that namespace, in the policy's [namespaces]"}
		}
	}
	if err := s.clocks(n); err != nil {
		return s, err
	}
	return s, s.ids(n)
}

// clocks takes in what a policy says of the time.
func (s *spaces) clocks(n policy.Namespaces) error {
	for _, c := range [...]struct {
		say string
		to  *time.Duration
	}{{n.Monotonic, &s.monotonic}, {n.Boottime, &s.boottime}} {
		if c.say == "" {
			continue
		}
		var err error
		switch *c.to, err = policy.ParseOffset(c.say); {
		case err != nil:
			return fmt.Errorf("shift a clock by %s: not a duration such as \"90s\" or \"-1h30m\"", text.Quote(c.say))
		case s.new&ns.Time == 0:
			return &NeedError{What: "shift a clock by " + c.say + ": the time namespace is not a new one",
				Fix: "say time = \"new\" in the policy's [namespaces]"}
		}
	}
	if s.new&ns.Time != 0 && s.joined(ns.User) {
		// Its offsets could be written only while the process can be traced,
		// and those in the joined namespace could be the ones to do it.
		return &NeedError{What: "make a new time namespace in a joined user namespace", Fix: "say time = \"host\", or user = \"new\""}
	}
	return nil
}

// groups says whether the supplementary groups can be dropped outside.
func (s spaces) groups(h *Host) bool {
	return h.Caps&caps.Admin != 0 && !h.GroupsFixed
}

// ids takes in what a policy says of single namespaces: ids and the host's
// name.
func (s *spaces) ids(n policy.Namespaces) error {
	for _, id := range [...]struct {
		name string
		say  *int
		to   *int
	}{{"uid", n.UID, &s.uid}, {"gid", n.GID, &s.gid}} {
		switch {
		case id.say == nil || *id.say == *id.to:
		case *id.say < 0 || int64(*id.say) > maxID:
			return fmt.Errorf("map %s %d: ids go from 0 to %d", id.name, *id.say, int64(maxID))
		case !s.has(ns.User):
			return &NeedError{What: fmt.Sprintf("be %s %d: the user namespace is the host's", id.name, *id.say),
				Fix: "say user = \"new\" in the policy's [namespaces]"}
		default:
			*id.to = *id.say
		}
	}
	if n.Hostname == "" {
		return nil
	}
	switch {
	case s.new&ns.UTS == 0:
		return &NeedError{What: "set the hostname " + text.Quote(n.Hostname) + ": the UTS namespace is not the target's own",
			Fix: "say uts = \"new\" in the policy's [namespaces]"}
	case len(n.Hostname) > 64 || strings.IndexByte(n.Hostname, 0) >= 0:
		return fmt.Errorf("set the hostname %s: it has 64 bytes at most, none of them zero", text.Quote(n.Hostname))
	}
	return nil
}

// maxID is the greatest id; (uid_t)-1 means "none" to the kernel.
const maxID = 1<<32 - 2

// kept is the set of capabilities that the target keeps: never more than the
// caller really has, outside or in the namespace that the policy asks for in
// so many words. A user namespace that is there only because the caller needs
// one ("auto") gives the target nothing.
func kept(p *policy.Policy, h *Host, s spaces) (caps.Set, error) {
	var have caps.Set
	switch {
	case !s.has(ns.User):
		have = h.Held
	case s.askedUser(p):
		have = 1<<uint(h.LastCap+1) - 1
	}
	exec := s.uid == 0 || policy.IsTrue(p.Process.Ambient) // otherwise it takes them all
	var keep caps.Set
	for _, name := range p.Process.Capabilities {
		c, err := caps.Parse(strings.TrimPrefix(name, "?"))
		switch {
		case err != nil:
			return 0, err
		case have&c != 0 && exec:
			keep |= c
		case strings.HasPrefix(name, "?"):
		case have&c != 0:
			return 0, &NeedError{What: "keep capability " + c.String() + ": user " + strconv.Itoa(s.uid) + " loses it when the program is executed",
				Fix: "say ambient = true in the policy's [process]"}
		default:
			return 0, &NeedError{What: "keep capability " + c.String() + ", which the caller does not have",
				Fix: "run sbx as root, or write \"?" + c.String() + "\" to keep it only where it is there"}
		}
	}
	return keep, nil
}

// named is the set of the capabilities that a policy names; Build tells of
// unknown ones.
func named(list []string) (s caps.Set) {
	for _, name := range list {
		if c, err := caps.Parse(strings.TrimPrefix(name, "?")); err == nil {
			s |= c
		}
	}
	return s
}

// askedUser says whether the target has a user namespace of its own because
// the policy says so.
func (s spaces) askedUser(p *policy.Policy) bool {
	return s.has(ns.User) && p.Namespaces.User != "" && p.Namespaces.User != "auto"
}

// initCaps is what the init keeps, to signal a target that changes its user.
func (s spaces) initCaps(h *Host) caps.Set {
	if s.has(ns.User) {
		return caps.Kill
	}
	return h.Caps & caps.Kill
}

// idSteps are the child's first: who it is in its user namespace, and what
// takes a file of its own in /proc.
func (s spaces) idSteps(p *policy.Policy, h *Host, plan *Plan) (list []step.Step, err error) {
	alone := len(s.joins) == 0 // otherwise /proc is open
	if (s.new&(ns.User|ns.Time) != 0 || plan.Shared) && alone {
		list = append(list, ns.OpenProc{})
	}
	switch {
	case s.joined(ns.User):
		list = append(list, process.DropGroups{IfAllowed: true}, process.Become{UID: s.uid, GID: s.gid})
	case s.new&ns.User == 0:
	case policy.IsTrue(p.Namespaces.Ranges):
		if h.Sub.Err != nil {
			return nil, h.Sub.Err
		}
		r := ns.Ranges{}
		if r.UIDs, err = extents(s.uid, h.UID, h.Sub.UIDs); err != nil {
			return nil, err
		}
		if r.GIDs, err = extents(s.gid, h.GID, h.Sub.GIDs); err != nil {
			return nil, err
		}
		if alone {
			list = append(list, process.LeaveLauncher{}) // or the wait would outlive it
		}
		// The groups can go here. Denying setgroups(2) for good, as with one id,
		// would keep them; so it is for want of CAP_SETGID that it is denied.
		list, plan.Ranges = append(list, r, process.DropGroups{}), &r
	default:
		list = append(list, ns.IDMap{UID: s.uid, GID: s.gid, OutsideUID: h.UID, OutsideGID: h.GID})
	}
	if policy.IsTrue(p.Namespaces.Ranges) && plan.Ranges == nil {
		return nil, &NeedError{What: "map ranges of ids: the user namespace is not a new one", Fix: "say user = \"new\" in the policy's [namespaces]"}
	}
	if s.new&ns.Time != 0 {
		list = append(list, ns.Clocks{Monotonic: s.monotonic, Boottime: s.boottime})
	}
	return list, nil
}
