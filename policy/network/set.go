package network

import (
	"net/netip"
	"slices"
	"strings"
)

// Set is a number of rules, to be asked often.
type Set struct {
	exact, below map[string][]uint16 // ports by name
	prefixes     []Rule
	ports        []uint16
}

// NewSet makes a set of rules, all of which have a port.
func NewSet(rules []Rule) *Set {
	s := &Set{exact: map[string][]uint16{}, below: map[string][]uint16{}}
	for _, r := range rules {
		switch {
		case r.Name == "":
			s.prefixes = append(s.prefixes, r)
		case r.Below:
			s.below[r.Name] = append(s.below[r.Name], r.Port)
		default:
			s.exact[r.Name] = append(s.exact[r.Name], r.Port)
		}
		s.ports = append(s.ports, r.Port)
	}
	slices.Sort(s.ports)
	s.ports = slices.Compact(s.ports)
	return s
}

// Ports are all ports that rules name, in ascending order.
func (s *Set) Ports() []uint16 { return s.ports }

// Exact says whether a rule has the name itself, which Canonical has made.
func (s *Set) Exact(name string) bool { return s.exact[name] != nil }

// Names says whether a rule is about the name, which Canonical has made, whatever the port.
func (s *Set) Names(name string) bool {
	return s.matches(name, func([]uint16) bool { return true })
}

// Name says whether a rule allows the name at the port.
func (s *Set) Name(name string, port uint16) bool {
	return s.matches(name, func(ports []uint16) bool { return slices.Contains(ports, port) })
}

func (s *Set) matches(name string, ok func([]uint16) bool) bool {
	if ports := s.exact[name]; ports != nil && ok(ports) {
		return true
	}
	if len(s.below) == 0 {
		return false
	}
	for {
		_, rest, more := strings.Cut(name, ".")
		if !more {
			return false
		}
		if ports := s.below[rest]; ports != nil && ok(ports) {
			return true
		}
		name = rest
	}
}

// Addr says whether a rule about addresses allows this one at the port. own says that the
// address is one of the host's own.
func (s *Set) Addr(a netip.Addr, port uint16, own bool) bool {
	a = a.Unmap()
	guard, guarded := guardedBy(a)
	return slices.ContainsFunc(s.prefixes, func(r Rule) bool {
		return r.Port == port && r.Prefix.Contains(a) && (!guarded || within(r.Prefix, guard.prefix)) &&
			(!own || r.Prefix.IsSingleIP())
	})
}

// Resolved says whether a connection to a name that is allowed at the port may go to an
// address that the name has. An ordinary address may. A special one, or one of the host's
// own, takes a rule of its own.
func (s *Set) Resolved(a netip.Addr, port uint16, own bool) bool {
	return !own && Guarded(a) == "" || s.Addr(a, port, own)
}

// within says whether all of p is in q.
func within(p, q netip.Prefix) bool { return p.Bits() >= q.Bits() && q.Contains(p.Addr()) }

// Covers says whether all that the rule o allows is allowed by r too.
func (r Rule) Covers(o Rule) bool {
	switch {
	case r.Port != o.Port || (r.Name == "") != (o.Name == ""):
		return false
	case r.Name != "":
		inside := strings.HasSuffix(o.Name, "."+r.Name)
		return r.Below && (inside || o.Below && o.Name == r.Name) || r == o
	case !within(o.Prefix, r.Prefix) || o.Prefix.IsSingleIP() != r.Prefix.IsSingleIP():
		return false // one address may be the host's own
	}
	// A special range takes a rule of its own.
	for _, s := range specials() {
		if within(o.Prefix, s.prefix) && !within(r.Prefix, s.prefix) {
			return false
		}
	}
	return true
}

// Cover is a number of rules, to be asked which others they cover.
type Cover map[Rule]bool

// NewCover makes one of rules.
func NewCover(rules []Rule) Cover {
	c := make(Cover, len(rules))
	for _, r := range rules {
		c[r] = true
	}
	return c
}

// Covers says whether one of the rules is o, or covers it.
func (c Cover) Covers(o Rule) bool { return c[o] || c.Wider(o) }

// Wider says whether one of the rules covers o, and is not o itself. Which rules those can be
// is known from o, so that it takes no look at all of them.
func (c Cover) Wider(o Rule) bool {
	if o.Name == "" {
		for bits := range o.Prefix.Bits() {
			p, err := o.Prefix.Addr().Prefix(bits)
			if r := (Rule{Prefix: p, Port: o.Port}); err == nil && c[r] && r.Covers(o) {
				return true
			}
		}
		return false
	}
	for name := o.Name; ; {
		_, rest, more := strings.Cut(name, ".")
		if !more {
			// Of a name itself the wildcard below it says nothing.
			return false
		}
		if c[Rule{Name: rest, Below: true, Port: o.Port}] {
			return true
		}
		name = rest
	}
}
