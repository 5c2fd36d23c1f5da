package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"sbx/caps"
	"sbx/internal/text"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// nsPlan decides about the namespaces: which are new, and which are joined, in order. All
// others are the host's.
type nsPlan struct {
	new   ns.Set
	joins []ns.Join
	// uid and gid are the target's ids in its user namespace.
	uid, gid int
	// manyIDs says that it may have more ids than the caller's.
	manyIDs bool
	// monotonic and boottime are the offsets of the clocks in a new time namespace.
	monotonic, boottime time.Duration
}

// joinedSet is the set of the namespaces that are joined.
func (s nsPlan) joinedSet() (set ns.Set) {
	for _, j := range s.joins {
		set |= j.Namespace
	}
	return set
}

// has says whether the target's namespace of that kind is not the host's.
func (s nsPlan) has(k ns.Set) bool { return s.new&k != 0 || s.joined(k) }

// joined says whether the namespace of that kind is an existing one that is joined.
func (s nsPlan) joined(k ns.Set) bool {
	return slices.ContainsFunc(s.joins, func(j ns.Join) bool { return j.Namespace == k })
}

// namespaces makes the nsPlan.
func namespaces(p *policy.Policy, h *host.Facts) (nsPlan, error) {
	if p.Namespaces.None() {
		return withoutNamespaces(p, h)
	}
	n := p.Namespaces
	s := nsPlan{uid: h.UID, gid: h.GID}
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
			j, err := joinStep(h, k.set, k.say)
			if err == nil {
				err = checkOwner(h, k.set, k.say, n.User)
			}
			if err != nil {
				return s, err
			}
			s.joins = append(s.joins, j)
		}
	}
	switch n.User {
	case "", "auto":
		if h.Caps.Effective&caps.Admin == 0 {
			s.new |= ns.User
		}
	case "new":
		s.new |= ns.User
	case "host":
		if h.Caps.Effective&caps.Admin == 0 {
			return s, &host.NeedError{Reason: host.NoCapability, What: "user namespace \"host\" without CAP_SYS_ADMIN",
				Fix: "say user = \"auto\" in the policy's [namespaces], or run sbx as root"}
		}
	default:
		j, err := joinStep(h, ns.User, n.User)
		if err != nil {
			return s, err
		}
		// A user may join the others only from inside the user namespace, so that comes
		// first. Root loses its right to them in there, so for root it comes last.
		if h.Caps.Effective&caps.Admin == 0 {
			s.joins = slices.Insert(s.joins, 0, j)
		} else {
			s.joins = append(s.joins, j)
		}
		if n.UID == nil || n.GID == nil {
			// An id that the namespace does not map would silently become "nobody".
			return s, &host.NeedError{
				Reason: host.Incomplete,
				What:   "join user namespace " + text.Quote(n.User) + ": the policy does not say which user to be in it",
				Fix:    "say uid and gid, of that namespace, in the policy's [namespaces]",
			}
		}
	}
	if err := s.clocks(n); err != nil {
		return s, err
	}
	return s, s.ids(n)
}

// clocks reads the policy's offsets of the clocks.
func (s *nsPlan) clocks(n policy.Namespaces) error {
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
			return host.Refuse(host.Invalid,
				"shift a clock by %s: not a duration such as \"90s\" or \"-1h30m\"", text.Quote(c.say))
		case s.new&ns.Time == 0:
			return &host.NeedError{
				Reason: host.WrongNamespace,
				What:   "shift a clock by " + c.say + ": the time namespace is not a new one",
				Fix:    "say time = \"new\" in the policy's [namespaces]",
			}
		}
	}
	if s.new&ns.Time != 0 && s.joined(ns.User) {
		// The offsets can be written only while the process can be traced, and processes in
		// the joined namespace could trace it.
		return &host.NeedError{
			Reason: host.WrongNamespace,
			What:   "make a new time namespace in a joined user namespace",
			Fix:    "say time = \"host\", or user = \"new\"",
		}
	}
	return nil
}

// canDropGroups says whether the supplementary groups can be dropped on the host.
func (s nsPlan) canDropGroups(h *host.Facts) bool {
	return h.Caps.Effective&caps.Admin != 0 && !h.GroupsFixed
}

// ids reads the policy's settings for single namespaces: ids and the hostname.
func (s *nsPlan) ids(n policy.Namespaces) error {
	for _, id := range [...]struct {
		name string
		say  *int
		to   *int
	}{{"uid", n.UID, &s.uid}, {"gid", n.GID, &s.gid}} {
		switch {
		case id.say == nil || *id.say == *id.to:
		case *id.say < 0 || int64(*id.say) > host.MaxID:
			return host.Refuse(host.Invalid, "map %s %d: ids go from 0 to %d", id.name, *id.say, int64(host.MaxID))
		case !s.has(ns.User):
			return &host.NeedError{
				Reason: host.WrongNamespace,
				What:   fmt.Sprintf("be %s %d: the user namespace is the host's", id.name, *id.say),
				Fix:    "say user = \"new\" in the policy's [namespaces]",
			}
		default:
			*id.to = *id.say
		}
	}
	if n.Hostname == "" {
		return nil
	}
	switch {
	case s.new&ns.UTS == 0:
		return &host.NeedError{
			Reason: host.WrongNamespace,
			What:   "set the hostname " + text.Quote(n.Hostname) + ": the UTS namespace is not a new one",
			Fix:    "say uts = \"new\" in the policy's [namespaces]",
		}
	case len(n.Hostname) > 64 || strings.IndexByte(n.Hostname, 0) >= 0:
		return host.Refuse(host.Invalid,
			"set the hostname %s: it has 64 bytes at most, none of them zero", text.Quote(n.Hostname))
	}
	return nil
}

// joinStep is the step that enters the namespace.
func joinStep(h *host.Facts, kind ns.Set, path string) (ns.Join, error) {
	s, ok := h.Namespaces[path]
	switch {
	case !ok:
		return ns.Join{}, fmt.Errorf("join %s namespace %s: it was not looked at", kind, text.Quote(path))
	case s.Err != nil:
		return ns.Join{}, fmt.Errorf("join %s namespace %s: %w", kind, text.Quote(path), s.Err)
	case s.Kind != kind:
		return ns.Join{}, host.Refuse(host.WrongFile,
			"join %s namespace %s: it is a %s namespace", kind, text.Quote(path), s.Kind)
	}
	return ns.Join{Namespace: kind, Path: path, FD: s.FD, Major: s.Major, Minor: s.Minor, Ino: s.Ino}, nil
}

// checkOwner refuses a namespace of somebody else's: who owns the user namespace
// that it belongs to decides what is in it, which files are under which names for
// example, and the target would run that with the caller's ids. With the user
// namespace joined too, user, it has ids of that one.
func checkOwner(h *host.Facts, kind ns.Set, path, user string) error {
	s := h.Namespaces[path]
	const root = 0
	switch joined, ok := h.Namespaces[user]; {
	case ok && joined.Err == nil && s.OwnerErr == nil && s.Owner == joined.ID():
		return nil
	case s.OwnerErr != nil:
		return &host.NeedError{Reason: host.NotOwned,
			What: fmt.Sprintf("join %s namespace %s: ask which user namespace it belongs to: %v", kind, text.Quote(path),
				s.OwnerErr),
			Fix: "join only what belongs to your own user namespace, or to one below it"}
	case s.Owner == h.UserNS || s.OwnerUID == root:
		return nil
	}
	return &host.NeedError{Reason: host.NotOwned,
		What: fmt.Sprintf("join %s namespace %s: it belongs to a user namespace that user %d made, "+
			"and not to the caller's or root's",
			kind, text.Quote(path), s.OwnerUID),
		Fix: "join that user namespace too: say user = \"/its/path\", with uid and gid, in the policy's [namespaces]"}
}
