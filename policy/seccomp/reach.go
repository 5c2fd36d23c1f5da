package seccomp

import "slices"

// Reached reports whether clause i can be the one that decides. False is proved:
// an earlier clause holds whenever this one does. True is not.
func (a Answer) Reached(i int) bool {
	mine := a.Clauses[i].Any
	if len(mine) == 0 {
		return true // the last clause: no other one always holds
	}
	return slices.ContainsFunc(mine, func(all []Check) bool {
		return !slices.ContainsFunc(a.Clauses[:i], func(c Clause) bool {
			return slices.ContainsFunc(c.Any, func(earlier []Check) bool { return implies(all, earlier) })
		})
	})
}

// implies proves that all checks of b hold where those of a do.
func implies(a, b []Check) bool {
	return !slices.ContainsFunc(b, func(want Check) bool {
		return !slices.ContainsFunc(a, func(have Check) bool { return have.implies(want) })
	})
}

// implies proves that b holds where t does: the same bits are in fewer values, or
// some of b's bits are set, and b asks for any.
func (t Check) implies(b Check) bool {
	if t.Arg != b.Arg {
		return false
	}
	if t.Mask != b.Mask {
		anyBit := len(b.In) == 1 && b.In[0].Lo == 1 && b.In[0].Hi >= b.Mask
		return anyBit && t.Mask&^b.Mask == 0 && t.In[0].Lo > 0
	}
	return !slices.ContainsFunc(t.In, func(r Range) bool {
		return !slices.ContainsFunc(b.In, func(in Range) bool { return in.Lo <= r.Lo && r.Hi <= in.Hi })
	})
}

// Lookup is the answer for a call, if the architecture has it.
func (a *Answers) Lookup(s Syscall) (Answer, bool) {
	i := slices.IndexFunc(a.Calls, func(x Answer) bool { return x.Syscall == s })
	if i < 0 {
		return Answer{}, false
	}
	return a.Calls[i], true
}

// Passes says whether the call happens, if perhaps noted in the log. What becomes
// of one that Notify hands to a supervisor, the supervisor decides.
func (a Action) Passes() bool { return a.Kind == Allow || a.Kind == Log }
