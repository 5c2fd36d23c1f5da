package learn

import (
	"net/netip"
	"slices"
	"strings"

	"sbx/policy"
)

// draft is a policy on top of one role, with what it lacks.
type draft struct {
	own            *policy.Policy
	role, resolved *policy.Policy // the role alone, and with own
	roleTree       *policy.Tree
	comments       map[string]string
	wants          *wants
	denied         []Call // seen, and denied by the role
	// cost is what price says, or unfit. lacks is the part of it for what was seen and is denied.
	cost, lacks int
}

// unfit is the cost of a draft that is taken only if no other fits.
const unfit = 1 << 30

// draft works out what a policy on top of the role lacks. It is nil if the role does not
// fit. forced says that it has to.
func (m *Maker) draft(g *ground, extends []string, seen *Seen, forced bool) (*draft, error) {
	r, err := m.role(extends)
	if err != nil {
		return nil, err
	}
	d := &draft{role: r.resolved, roleTree: r.expanded.Tree()}
	if !forced && slices.ContainsFunc(d.roleTree.Entries, g.lacks) {
		return nil, nil // as commit does not where there is no .git
	}
	d.own, d.comments = unite(m.Merge, g.canonical(m.Flags))
	had := d.own.Extends
	d.own.Name, d.own.Extends = "learned", extends
	resolved, expanded, err := m.Resolve(d.own)
	if err != nil {
		if forced {
			return nil, err
		}
		return nil, nil // what is merged does not fit
	}
	if len(had) > 0 && !forced && !wider(m, had, d.role) {
		return nil, nil
	}
	d.resolved = resolved
	d.wants = newWants(g, expanded, seen.Files)
	for _, f := range seen.Files {
		d.wants.file(f)
	}
	for _, exe := range seen.Programs {
		d.wants.file(File{Path: exe, By: By{Exe: exe, Count: 1}})
	}
	a, err := answersOf(resolved, m.Arch)
	if err != nil {
		return nil, err
	}
	for _, c := range seen.Calls {
		if why, denied := a.denies(c); denied {
			if why.Rule > 0 && !forced {
				return nil, nil // no list allows what a rule denies
			}
			d.denied = append(d.denied, c)
		}
	}
	d.cost = d.price(m, seen)
	switch {
	case d.cost < 0 && !forced:
		return nil, nil
	case d.cost < 0:
		d.cost = unfit
	}
	return d, nil
}

// wider says that the role allows all that the policies do which had are the names of.
func wider(m *Maker, had []string, role *policy.Policy) bool {
	old, err := m.role(had)
	if err != nil {
		return false
	}
	diff, err := policy.Compare(old.resolved, role)
	return err == nil && len(diff.Other) == 0 && !slices.ContainsFunc(diff.Narrower, func(s string) bool {
		// Guards are about what a role makes writable.
		return !strings.HasPrefix(s, "what guard says of ") && !strings.HasPrefix(s, "write "+project+"/.git/")
	})
}

// price is how much a person would have to write on top of the role, and what the role
// allows that was not needed. It is negative for a role that allows too much.
func (d *draft) price(m *Maker, seen *Seen) int {
	const surplus = 1
	w := d.wants
	cost := len(w.collapse(w.read, d.own.Files.Read)) + len(w.collapse(w.change, nil)) + len(w.private) +
		len(w.empty) + len(w.project) + len(byName(d.denied))
	d.lacks = cost
	host := d.own.Namespaces.Net == "host" || m.Flags != nil && m.Flags.Namespaces.Net == "host"
	switch {
	case d.role.Namespaces.Net == "host" && !host:
		return -1
	case d.role.Namespaces.Net != "host" && host:
		cost++
	}
	if m.Dir != "" {
		switch e, _ := d.roleTree.Get(m.Dir); {
		case (e.Kind == policy.KindWrite) != w.writesDir: // else nothing in it would be guarded
			return -1
		case e.Kind == policy.KindRead && !w.readsDir:
			cost += surplus
		}
	}
	if len(d.role.Process.Capabilities) > 0 && !slices.ContainsFunc(seen.Sockets, func(s Socket) bool {
		_, err := netip.ParseAddrPort(s.Address)
		return s.Call == "bind" && err == nil
	}) {
		return -1
	}
	// What build, debug and the like have on top.
	if slices.Contains(d.role.Seccomp.Allow, "ptrace") && !slices.ContainsFunc(seen.Calls, func(c Call) bool {
		return c.Name == "ptrace"
	}) {
		cost += surplus
	}
	return cost
}
