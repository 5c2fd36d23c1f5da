package oci

import (
	"slices"

	"sbx/policy/seccomp"
)

// cube is the arguments of which certain bits are as given: what a rule of a
// profile with SCMP_CMP_MASKED_EQ for each argument says. With cubes every
// condition can be said, and two sets of them be kept apart: runtimes do not
// define which of two rules counts if both hold.
type cube [6]bits

// bits is what holds for an argument of which, of the bits in mask, just those
// of value are set.
type bits struct{ mask, value uint64 }

// maxCubes bounds the rules that one call's conditions are turned into.
const maxCubes = 400

// cubes is where any of several cubes holds.
type cubes []cube

// clauseCubes turns an ordered list of clauses into disjoint sets, by clause.
// Not ok if they are too many.
func clauseCubes(clauses []seccomp.Clause) (out []cubes, ok bool) {
	rest := cubes{{}}
	for _, c := range clauses {
		if len(c.Any) == 0 {
			return append(out, rest), true
		}
		var here cubes
		for _, all := range c.Any {
			add, ok := conjunction(all)
			if !ok {
				return nil, false
			}
			for _, x := range add {
				for _, y := range rest {
					if z, ok := x.and(y); ok && !slices.Contains(here, z) {
						here = append(here, z)
					}
				}
				if len(here) > maxCubes {
					return nil, false
				}
			}
			if rest = rest.minus(add); len(rest) > maxCubes {
				return nil, false
			}
		}
		out = append(out, here)
	}
	return append(out, rest), true
}

// conjunction is when all checks hold; not ok if that is too much.
func conjunction(all []seccomp.Check) (cubes, bool) {
	out := cubes{{}}
	for _, k := range all {
		var next cubes
		for _, b := range split(k) {
			for _, c := range out {
				x := cube{}
				x[k.Arg] = b
				if y, ok := c.and(x); ok {
					next = append(next, y)
				}
			}
		}
		if out = next; len(out) > maxCubes {
			return nil, false
		}
	}
	return out, true
}

// split turns a check's ranges into prefixes of the bits in its mask.
func split(k seccomp.Check) []bits {
	var out []bits
	// cut looks at the values with the bits of fixed given, and with all
	// combinations of those in mask below bit.
	var cut func(fixed, value, bit uint64)
	cut = func(fixed, value, bit uint64) {
		lo, hi := value, value|k.Mask&^fixed
		inside, touched := false, false
		for _, r := range k.In {
			inside = inside || r.Lo <= lo && hi <= r.Hi
			touched = touched || r.Lo <= hi && lo <= r.Hi
		}
		if inside {
			out = append(out, bits{fixed, value})
			return
		}
		if !touched {
			return
		}
		for bit != 0 && k.Mask&bit == 0 {
			bit >>= 1
		}
		if bit == 0 {
			return
		}
		cut(fixed|bit, value, bit>>1)
		cut(fixed|bit, value|bit, bit>>1)
	}
	cut(0, 0, 1<<63)
	return out
}

// and is where both hold; not ok if that is nowhere.
func (c cube) and(d cube) (cube, bool) {
	for i := range c {
		if (c[i].value^d[i].value)&c[i].mask&d[i].mask != 0 {
			return cube{}, false
		}
		c[i].mask |= d[i].mask
		c[i].value |= d[i].value
	}
	return c, true
}

// minus is where one of c holds and none of d does.
func (c cubes) minus(d cubes) cubes {
	for _, y := range d {
		var next cubes
		for _, x := range c {
			next = append(next, x.minus(y)...)
		}
		if c = next; len(c) > maxCubes {
			break
		}
	}
	return c
}

// minus is where c holds and d does not, in pieces that are apart.
func (c cube) minus(d cube) (out cubes) {
	if _, ok := c.and(d); !ok {
		return cubes{c}
	}
	for i := range c {
		for bit := uint64(1) << 63; bit != 0; bit >>= 1 {
			if d[i].mask&^c[i].mask&bit == 0 {
				continue
			}
			piece := c
			piece[i].mask |= bit
			piece[i].value |= ^d[i].value & bit
			out = append(out, piece)
			c[i].mask |= bit
			c[i].value |= d[i].value & bit
		}
	}
	return out
}

// narrow is the cubes as an architecture of 32 bits sees them.
func (c cubes) narrow() cubes {
	var out cubes
next:
	for _, x := range c {
		for i := range x {
			if x[i].value>>32 != 0 {
				continue next
			}
			x[i].mask &= 1<<32 - 1
		}
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

// same reports whether two sets are one.
func (c cubes) same(d cubes) bool { return len(c.minus(d)) == 0 && len(d.minus(c)) == 0 }
