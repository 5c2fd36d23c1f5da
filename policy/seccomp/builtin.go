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

// Builtins lists the built-in rules. They apply to calls that the policy would
// grant in some case; clone3's also to one that it refuses by an errno.
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
		{"ioctl", "arg1:32 in {TIOCSTI, TIOCLINUX}", perm, []string{"@terminal-input"}, "built in: no typing into terminals"},
	}
}

// builtins adds the built-in rules about a call to its clauses.
func (r *resolver) builtins(s Syscall, in []Clause) ([]Clause, error) {
	if r.lifted[s.Name()] {
		return in, nil
	}
	for _, b := range Builtins() {
		if b.Syscall != s.Name() || !applies(b, in) {
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
		at := slices.IndexFunc(in, func(c Clause) bool {
			return b.Action.Stricter(c.Action) || !c.rule && !c.Action.Stricter(b.Action) || len(c.Any) == 0
		})
		// What is as strict and from a rule, or stricter, and always holds
		// leaves nothing to add.
		if c := in[at]; len(c.Any) == 0 && (c.Action.Stricter(b.Action) || c.rule && !b.Action.Stricter(c.Action)) {
			continue
		}
		in = cut(slices.Insert(in, at, Clause{Action: b.Action, Any: any, Why: b.Why}))
	}
	return in, nil
}

// applies reports whether a built-in rule has something to take away from a
// call's answers.
func applies(b Builtin, in []Clause) bool {
	return slices.ContainsFunc(in, func(c Clause) bool {
		return c.Action.Kind == Allow || c.Action.Kind == Log || c.Action.Kind == Notify ||
			b.Syscall == "clone3" && c.Action.Kind == Errno
	})
}
