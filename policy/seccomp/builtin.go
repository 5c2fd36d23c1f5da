package seccomp

import "slices"

// Builtin is a rule that every policy has unless its Allow list lifts it.
type Builtin struct {
	// Syscall is the call it is about, When its condition: none is always.
	Syscall, When string
	Action        Action
	// LiftedBy lists entries of Allow, by any of which it is taken out.
	LiftedBy []string
	// Why is its reason.
	Why string
}

// Builtins lists the built-in rules. They apply where the policy would grant
// the call; clone3's also where it refuses by another errno, but not in a rule.
func Builtins() []Builtin {
	// CLONE_NEWTIME is among the low eight bits, which clone takes for the
	// signal to send; only unshare and clone3 can ask for it.
	const ns = "CLONE_NEWNS|CLONE_NEWCGROUP|CLONE_NEWUTS|CLONE_NEWIPC|CLONE_NEWUSER|CLONE_NEWPID|CLONE_NEWNET"
	perm := Action{Errno, eperm}
	return []Builtin{
		{"clone", "arg0:32 & (" + ns + ") != 0", perm, []string{"@nest"}, "built in: no namespaces inside"},
		// Its flags lie in memory, out of the filter's sight. ENOSYS makes
		// C libraries fall back to clone, EPERM makes them fail.
		{"clone3", "", Action{Errno, enosys}, []string{"@nest", "clone3"}, "built in: flags of clone3 cannot be seen"},
		{"unshare", "arg0 & (" + ns + "|CLONE_NEWTIME) != 0", perm, []string{"@nest"}, "built in: no namespaces inside"},
		{"setns", "", perm, []string{"@nest"}, "built in: no namespaces inside"},
		// The kernel reads 32 bits of the request: who compares 64 lets the
		// call through (flatpak's CVE-2019-10063, snapd's CVE-2019-7303).
		// TIOCSETD puts another line discipline under the terminal, and loads
		// its module. TIOCSPGRP may stay: no group of the host has a number
		// inside, and job control lives by it.
		{"ioctl", "arg1:32 in {TIOCSTI, TIOCLINUX, TIOCSETD}", perm, []string{"@terminal-input"},
			"built in: no typing into terminals"},
	}
}

// builtins adds the built-in rules about a call to its clauses.
func (r *resolver) builtins(s Syscall, in []Clause) ([]Clause, error) {
	for _, b := range r.builtin {
		if b.Syscall != s.Name() {
			continue
		}
		if s.Name() == "clone3" {
			for i, c := range in {
				if c.Action.Kind == Errno && c.Why.Rule == 0 {
					in[i] = Clause{Action: b.Action, Any: c.Any, Why: Reason{Note: b.Why}}
				}
			}
		}
		first := slices.IndexFunc(in, Clause.grants)
		if first < 0 {
			continue
		}
		var when []*Condition
		if b.When != "" {
			c, err := ParseCondition(b.When)
			if err != nil {
				return nil, err
			}
			when = append(when, c)
		}
		any, ok, err := alternatives(when, r.arch, s)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if !in[len(in)-1].grants() {
			any = both(any, granting(in))
		}
		in = cut(slices.Insert(in, first, Clause{Action: b.Action, Any: any, Why: Reason{Note: b.Why}}))
	}
	return in, nil
}

// granting lists when the clauses that grant a call hold; none of them always
// does.
func granting(in []Clause) (any [][]Check) {
	for _, c := range in {
		if c.grants() {
			any = append(any, c.Any...)
		}
	}
	return any
}

// both lists when an alternative of a and one of b hold; no alternatives in a
// mean that it always holds.
func both(a, b [][]Check) (any [][]Check) {
	if len(a) == 0 {
		return b
	}
	for _, x := range a {
		for _, y := range b {
			any = append(any, slices.Concat(x, y))
		}
	}
	return any
}

// grants reports whether the clause lets a call through, if perhaps noted or
// after asking.
func (c Clause) grants() bool {
	return c.Action.Kind == Allow || c.Action.Kind == Log || c.Action.Kind == Notify
}
