package policy

import (
	"slices"

	"sbx/policy/seccomp"
)

// Two lists of clauses are compared exactly, by looking at one value of each
// kind: two values of an argument are of one kind if no check tells them apart.
// For one mask the checks cut what can be under it into ranges; for several,
// each combination of their ranges that some value meets is a kind.

// Bounds on the work for one system call. Beyond them a comparison is said to be
// unclear rather than guessed.
const (
	mostKinds  = 4_000   // values of one argument
	mostPoints = 200_000 // combinations of all arguments
)

// kinds are values of an argument, one of each kind; ok is false if there are too many.
func kinds(clauses []seccomp.Clause, arg int) (values []uint64, ok bool) {
	ends := map[uint64][]uint64{} // by mask: where a range begins
	var masks []uint64
	for _, c := range clauses {
		for _, all := range c.Any {
			for _, k := range all {
				if k.Arg != arg {
					continue
				}
				if ends[k.Mask] == nil {
					masks = append(masks, k.Mask)
					ends[k.Mask] = []uint64{0}
				}
				for _, r := range k.In {
					ends[k.Mask] = append(ends[k.Mask], r.Lo)
					if r.Hi < k.Mask {
						ends[k.Mask] = append(ends[k.Mask], r.Hi+1)
					}
				}
			}
		}
	}
	slices.Sort(masks)
	combinations := [][]window{nil}
	for _, mask := range masks {
		list := ends[mask]
		slices.Sort(list)
		list = slices.Compact(list)
		var next [][]window
		for _, have := range combinations {
			for i, lo := range list {
				hi := mask
				if i+1 < len(list) {
					hi = list[i+1] - 1
				}
				one := append(slices.Clip(have), window{mask, lo, hi})
				if _, possible := meet(one); possible {
					next = append(next, one)
				}
				if len(next) > mostKinds {
					return nil, false
				}
			}
		}
		combinations = next
	}
	for _, one := range combinations {
		value, _ := meet(one)
		values = append(values, value)
	}
	return values, true
}

// points calls f with arguments of all kinds that the clauses tell apart, until
// f says that it is enough. It is false if there are too many of them.
func points(clauses []seccomp.Clause, f func(args [6]uint64) (enough bool)) bool {
	var values [6][]uint64
	n := 1
	for arg := range values {
		var ok bool
		if values[arg], ok = kinds(clauses, arg); !ok {
			return false
		}
		if n *= len(values[arg]); n > mostPoints {
			return false
		}
	}
	for i := range n {
		var args [6]uint64
		for arg, list := range values {
			args[arg] = list[i%len(list)]
			i /= len(list)
		}
		if f(args) {
			break
		}
	}
	return true
}

// window is a range for the bits under a mask.
type window struct{ mask, lo, hi uint64 }

// meet is a value that lies in all windows, if there is one.
func meet(list []window) (value uint64, ok bool) {
	if len(list) == 0 {
		return 0, true
	}
	if mask := list[0].mask; len(list) == 1 && mask&(mask+1) == 0 {
		return list[0].lo, list[0].lo <= min(list[0].hi, mask)
	}
	const most = 32 // windows in a state's two bits each
	if len(list) > most {
		return 0, true // as a kind of its own it is one value too many, and harmless
	}
	// From the highest bit down. A state has two bits for each window: whether
	// the bits so far are still those of its lower and of its upper end.
	type state struct{ bits, value uint64 }
	states := []state{{bits: ^uint64(0)}}
	for bit := 63; bit >= 0 && len(states) > 0; bit-- {
		var next []state
		for _, s := range states {
			for v := range uint64(2) {
				to, ok := follow(list, s.bits, bit, v)
				if ok && !slices.ContainsFunc(next, func(o state) bool { return o.bits == to }) {
					next = append(next, state{to, s.value | v<<bit})
				}
			}
		}
		states = next
	}
	if len(states) == 0 {
		return 0, false
	}
	return states[0].value, true
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
