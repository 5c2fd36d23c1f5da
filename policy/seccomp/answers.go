package seccomp

import (
	"cmp"
	"fmt"
	"slices"
)

// Answers is what a policy answers to every call of one architecture.
type Answers struct {
	Arch Arch
	// Calls lists the calls the architecture has, by number.
	Calls []Answer
	// Unknown answers every number that is not in Calls.
	Unknown Clause
}

// Answer is what a policy says of one call: the first of the clauses that
// holds decides. The last one always holds and no other does.
type Answer struct {
	Syscall Syscall
	Number  uint32
	Clauses []Clause
}

// Clause is an action and when it is taken.
type Clause struct {
	Action Action
	// Any lists the alternatives, of each of which all checks must hold. None
	// means that the clause always holds.
	Any [][]Check
	// Why is what of the policy says so.
	Why Reason
}

// Reason names what decides: an entry of Allow or Deny, a rule, or what Note
// says.
type Reason struct {
	// List is "allow" or "deny", and Entry the entry, if a list decides.
	List, Entry string
	// Rule is the rule's place in Rules, counted from 1, or 0.
	Rule int
	// Note says the rest: what else decides, or on which grounds.
	Note string
}

// String is the reason for people.
func (r Reason) String() string {
	out := ""
	switch {
	case r.List != "":
		out = r.List + " " + r.Entry
	case r.Rule > 0:
		out = fmt.Sprintf("rule %d", r.Rule)
	default:
		return r.Note
	}
	if r.Note != "" {
		out += ", " + r.Note
	}
	return out
}

// note is the reason with a remark added.
func (r Reason) note(s string) Reason {
	if r.Note != "" {
		s = r.Note + ", " + s
	}
	r.Note = s
	return r
}

// Holds reports whether the clause holds for a call's arguments.
func (c Clause) Holds(args [6]uint64) bool {
	return len(c.Any) == 0 || slices.ContainsFunc(c.Any, func(all []Check) bool {
		return !slices.ContainsFunc(all, func(k Check) bool { return !k.Holds(args) })
	})
}

// Decide gives the clause that decides about a call.
func (a *Answers) Decide(nr uint32, args [6]uint64) Clause {
	i, ok := slices.BinarySearchFunc(a.Calls, nr, func(x Answer, nr uint32) int { return cmp.Compare(x.Number, nr) })
	if !ok {
		return a.Unknown
	}
	for _, c := range a.Calls[i].Clauses {
		if c.Holds(args) {
			return c
		}
	}
	return a.Unknown // not reached: the last clause always holds
}

// Answers works out what the policy answers on one architecture. These are the
// rules, and the only place they are written down in code:
//
//   - A call is granted by Allow, or by rules with action "allow". If there is
//     such a rule for it, Allow counts no more: the rules say when.
//   - It is refused by Deny: with Default if that refuses, else with EPERM.
//   - Rules with other actions answer when they hold.
//   - Of all that applies the strictest is the answer, as the kernel has it:
//     kill-process, kill-thread, trap, errno, notify, log, allow. Of two errnos
//     a rule's goes before Deny's, and a later rule's before an earlier one's.
//   - Where nothing applies, Default answers; but a young call is answered by
//     Unknown if Default is neither allow nor log.
//   - Besides, what Builtin lists applies.
//   - socketcall and ipc of 386 are answered as the call that they stand for.
//     Where its answer, or that of a call whose arguments lie in memory,
//     depends on arguments, it is the strictest it could be.
func (p *Policy) Answers(a Arch) (*Answers, error) {
	if !a.Compiles() {
		return nil, fmt.Errorf("no filters can be made for %s", a)
	}
	r, err := newResolver(p, a)
	if err != nil {
		return nil, err
	}
	out := &Answers{Arch: a, Unknown: Clause{Action: p.unknown(), Why: Reason{Note: "unknown: no call has the number"}}}
	// By number; the call's place in the table is kept below it.
	var order []uint64
	for s := range Syscalls() {
		if nr, ok := s.Number(a); ok {
			order = append(order, uint64(nr)<<16|uint64(s.n))
		}
	}
	slices.Sort(order)
	out.Calls = make([]Answer, len(order))
	for i, o := range order {
		s := Syscall{uint16(o)}
		clauses, err := r.clauses(s)
		if err != nil {
			return nil, err
		}
		out.Calls[i] = Answer{s, uint32(o >> 16), clauses}
	}
	return out, nil
}

// unset actions take the defaults that refuse.

func (p *Policy) otherwise() Action {
	if p.Default.Kind == Unset {
		return Action{Errno, eperm}
	}
	return p.Default
}

func (p *Policy) unknown() Action {
	if p.Unknown.Kind == Unset {
		return Action{Errno, enosys}
	}
	return p.Unknown
}

// refusal is what a denied call is answered.
func (p *Policy) refusal() Action {
	if d := p.otherwise(); d.Kind.strictness() >= Errno.strictness() {
		return d
	}
	return Action{Errno, eperm}
}

const (
	eperm  = 1
	enosys = 38
)

// ABIs lists the architectures whose programs the policy lets run on a machine
// of architecture native: that one first, then those it lists.
func (p *Policy) ABIs(native Arch) ([]Arch, error) {
	out := []Arch{native}
	for _, name := range p.Architectures {
		a, err := ParseArch(name)
		if err != nil {
			return nil, err
		}
		// One policy serves machines of several kinds: what this one cannot
		// run needs no part in its filter, and is killed as all others are.
		if native.Runs(a) && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out, nil
}

// Decide gives the clause that decides about a call as the kernel's filter sees
// it, on a machine of architecture native: for tests and explanations.
func (p *Policy) Decide(native Arch, audit, nr uint32, args [6]uint64) (Clause, error) {
	abis, err := p.ABIs(native)
	if err != nil {
		return Clause{}, err
	}
	a, ok := LookupArch(audit, nr)
	if !ok || !slices.Contains(abis, a) {
		return Clause{Action: Action{Kind: KillProcess}, Why: Reason{Note: "the architecture is not listed"}}, nil
	}
	answers, err := p.Answers(a)
	if err != nil {
		return Clause{}, err
	}
	return answers.Decide(nr, args), nil
}
