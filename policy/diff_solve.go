package policy

import (
	"slices"

	"sbx/policy/seccomp"
)

// Two filters are compared exactly: for a clause of the one and a clause of the
// other that answer differently, are there arguments at which just these two
// decide? That is a question about checks that hold and checks that do not,
// each on one argument.

// literal is a check that must hold, or must not.
type literal struct {
	seccomp.Check
	not bool
}

// solver looks for arguments. It gives up after so many steps, and says so.
type solver struct{ steps int }

// solverSteps bounds one comparison of two clauses.
const solverSteps = 5_000

// both says whether there are arguments at which clause i of a and clause j of b
// are the first that hold.
func (s *solver) both(a []seccomp.Clause, i int, b []seccomp.Clause, j int) bool {
	var groups [][][]literal // of each group one alternative must hold whole
	add := func(list []seccomp.Clause, at int) {
		for _, c := range list[:at] {
			// No alternative of an earlier clause holds: of each, some check does not.
			for _, all := range c.Any {
				var alternatives [][]literal
				for _, k := range all {
					alternatives = append(alternatives, []literal{{k, true}})
				}
				groups = append(groups, alternatives)
			}
			if len(c.Any) == 0 {
				groups = append(groups, nil) // it always holds
			}
		}
		if len(list[at].Any) > 0 {
			var alternatives [][]literal
			for _, all := range list[at].Any {
				var checks []literal
				for _, k := range all {
					checks = append(checks, literal{k, false})
				}
				alternatives = append(alternatives, checks)
			}
			groups = append(groups, alternatives)
		}
	}
	add(a, i)
	add(b, j)
	// Those with the fewest ways first.
	slices.SortStableFunc(groups, func(x, y [][]literal) int { return len(x) - len(y) })
	return s.search(groups, [6][]literal{})
}

// search takes one alternative of each group, and looks whether all that it
// took can hold together.
func (s *solver) search(groups [][][]literal, taken [6][]literal) bool {
	if s.steps++; s.steps > solverSteps {
		return true // perhaps
	}
	if len(groups) == 0 {
		return true
	}
	for _, alternative := range groups[0] {
		next, possible := taken, true
		for _, l := range alternative {
			if next[l.Arg] = append(slices.Clip(next[l.Arg]), l); len(next[l.Arg]) > 32 {
				s.steps += solverSteps // more than meet can tell apart
			}
			possible = possible && s.satisfiable(next[l.Arg])
		}
		if possible && s.search(groups[1:], next) {
			return true
		}
	}
	return false
}

// window is what a literal asks of the bits under its mask: to lie between.
type window struct{ mask, lo, hi uint64 }

// satisfiable says whether some value of one argument meets all literals.
func (s *solver) satisfiable(list []literal) bool {
	return s.choose(list, nil)
}

// choose takes for each literal one of the ranges that meet it.
func (s *solver) choose(list []literal, taken []window) bool {
	if s.steps++; s.steps > solverSteps {
		return true
	}
	if len(list) == 0 {
		return meet(taken)
	}
	for _, r := range list[0].ranges() {
		if meet(append(slices.Clip(taken), r)) && s.choose(list[1:], append(slices.Clip(taken), r)) {
			return true
		}
	}
	return false
}

// ranges are those in which the masked argument meets the literal.
func (l literal) ranges() (out []window) {
	if !l.not {
		for _, r := range l.In {
			out = append(out, window{l.Mask, r.Lo, r.Hi})
		}
		return out
	}
	next := uint64(0)
	for _, r := range l.In {
		if r.Lo > next {
			out = append(out, window{l.Mask, next, r.Lo - 1})
		}
		if r.Hi == ^uint64(0) {
			return out
		}
		next = r.Hi + 1
	}
	return append(out, window{l.Mask, next, ^uint64(0)})
}

// meet says whether a value lies in all windows.
func meet(list []window) bool {
	if len(list) == 0 {
		return true
	}
	if mask := list[0].mask; mask&(mask+1) == 0 &&
		!slices.ContainsFunc(list, func(w window) bool { return w.mask != mask }) {
		// They are about the same low bits: plain ranges.
		lo, hi := uint64(0), mask
		for _, w := range list {
			lo, hi = max(lo, w.lo), min(hi, w.hi)
		}
		return lo <= hi
	}
	const most = 32 // windows in a state's two bits each
	if len(list) > most {
		return true // perhaps: search gives up before
	}
	// From the highest bit down. A state has two bits for each window: whether
	// the bits so far are still those of its lower and of its upper end.
	states := []uint64{^uint64(0)}
	for bit := 63; bit >= 0 && len(states) > 0; bit-- {
		var next []uint64
		for _, state := range states {
			for value := range uint64(2) {
				if to, ok := follow(list, state, bit, value); ok && !slices.Contains(next, to) {
					next = append(next, to)
				}
			}
		}
		states = next
	}
	return len(states) > 0
}

// follow is the state after the bit has that value; not ok if a window is left.
func follow(list []window, state uint64, bit int, value uint64) (uint64, bool) {
	for i, w := range list {
		v := value & (w.mask >> bit & 1)
		lo, hi := w.lo>>bit&1, w.hi>>bit&1
		atLo, atHi := uint64(1)<<(2*i), uint64(2)<<(2*i)
		if state&atLo != 0 {
			if v < lo {
				return 0, false
			}
			if v > lo {
				state &^= atLo
			}
		}
		if state&atHi != 0 {
			if v > hi {
				return 0, false
			}
			if v < hi {
				state &^= atHi
			}
		}
	}
	return state, true
}
