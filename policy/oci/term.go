package oci

import (
	"fmt"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// term is one comparison of as much of an argument as the kernel reads: with
// mask 0, that it is (or, with not, is not) from lo to hi; else that of the
// bits of mask exactly those of lo are set, or not.
type term struct {
	arg          int
	not          bool
	mask, lo, hi uint64
	top          uint64
}

// terms brings comparisons that must all hold into their normal form: none if
// they always do; not ok if they never do.
func terms(s seccomp.Syscall, args []arg) (all []term, ok bool, err error) {
	for _, a := range args {
		if a.index >= s.Args() {
			return nil, false, fmt.Errorf("it has no argument %d", a.index)
		}
		top := ^uint64(0) >> (64 - s.Width(a.index))
		t := term{arg: a.index, hi: top, top: top}
		v := a.value
		switch a.op {
		case "SCMP_CMP_EQ":
			t.lo, t.hi = v, v
		case "SCMP_CMP_NE":
			t.lo, t.hi, t.not = v, v, true
		case "SCMP_CMP_LT":
			t.lo, t.not = v, true // not from v on
		case "SCMP_CMP_GE":
			t.lo = v
		case "SCMP_CMP_LE":
			t.hi = min(v, top)
		case "SCMP_CMP_GT":
			t.hi, t.not = min(v, top), true
		case maskedEqual:
			// libseccomp, too, takes of the second value only what the mask
			// leaves.
			if a.two&v&^top != 0 {
				return nil, false, nil // bits that are never set
			}
			t.mask = v & top
			t.lo = a.two & t.mask
			if t.mask == 0 {
				continue
			}
		}
		always, never := t.lo == 0 && t.hi >= top, t.lo > top
		if t.mask != 0 {
			always, never = false, false
		}
		if t.not {
			always, never = never, always
		}
		switch {
		case never:
			return nil, false, nil
		case !always:
			all = append(all, t)
		}
	}
	return all, true, nil
}

// String is the term in a policy's words.
func (t term) String() string {
	eq, lt, gt := "==", "<=", ">="
	if t.not {
		eq, lt, gt = "!=", ">", "<"
	}
	switch {
	case t.mask != 0 && t.mask != t.top:
		return fmt.Sprintf("arg%d & %#x %s %#x", t.arg, t.mask, eq, t.lo)
	case t.mask != 0 || t.lo == t.hi:
		return fmt.Sprintf("arg%d %s %#x", t.arg, eq, t.lo)
	case t.hi == t.top:
		return fmt.Sprintf("arg%d %s %#x", t.arg, gt, t.lo)
	}
	return fmt.Sprintf("arg%d %s %#x", t.arg, lt, t.hi)
}

// value reports whether the term holds for one value only.
func (t term) value() bool { return !t.not && (t.lo == t.hi || t.mask == t.top) }

// checks are terms in the normal form of policies.
func checks(all []term) (out []seccomp.Check) {
	for _, t := range all {
		k := seccomp.Check{Arg: t.arg, Mask: t.top}
		if t.mask != 0 {
			k.Mask, t.hi = t.mask, t.lo
			t.top = t.mask
		}
		for _, s := range t.spans() {
			k.In = append(k.In, seccomp.Range{Lo: s.lo, Hi: s.hi})
		}
		out = append(out, k)
	}
	return out
}

func text(all []term) string {
	parts := make([]string, len(all))
	for i, t := range all {
		parts[i] = t.String()
	}
	return strings.Join(parts, " && ")
}

// meet reports whether there are arguments for which both hold.
func meet(x, y []term) bool {
	for _, t := range x {
		for _, u := range y {
			if t.arg == u.arg && !t.meets(u) {
				return false
			}
		}
	}
	return true
}

// span is the values from lo to hi.
type span struct{ lo, hi uint64 }

// spans are the values for which a term without mask holds.
func (t term) spans() []span {
	if !t.not {
		return []span{{t.lo, t.hi}}
	}
	var out []span
	if t.lo > 0 {
		out = append(out, span{0, t.lo - 1})
	}
	if t.hi < t.top {
		out = append(out, span{t.hi + 1, t.top})
	}
	return out
}

// meets reports whether some value of the argument satisfies both. Terms of
// profiles are never negated masks: only what otherwise makes is.
func (t term) meets(u term) bool {
	if t.mask != 0 && u.mask != 0 {
		return (t.lo^u.lo)&t.mask&u.mask == 0
	}
	if t.mask != 0 {
		t, u = u, t
	}
	for _, s := range t.spans() {
		if u.mask != 0 {
			if v, ok := atLeast(s.lo, u.mask, u.lo, u.top); ok && v <= s.hi {
				return true
			}
			continue
		}
		for _, v := range u.spans() {
			if s.lo <= v.hi && v.lo <= s.hi {
				return true
			}
		}
	}
	return false
}

// atLeast is the least value from lo to top of whose bits in mask exactly those
// of want are set.
func atLeast(lo, mask, want, top uint64) (uint64, bool) {
	if lo&mask == want {
		return lo, true
	}
	// The bits of lo stay down to some bit that is 0 there and becomes 1; below
	// it nothing is set that need not be.
	best, ok := uint64(0), false
	for bit := uint64(1); bit != 0 && bit <= top; bit <<= 1 {
		if lo&bit != 0 {
			continue
		}
		high := lo&^(bit|(bit-1)) | bit
		if (high^want)&mask&^(bit-1) != 0 {
			continue
		}
		if v := high | want&(bit-1); !ok || v < best {
			best, ok = v, true
		}
	}
	return best, ok && best <= top
}

// maxCases bounds the alternatives of one call.
const maxCases = 1000

// otherwise is when none of the alternatives holds: alternatives again, none if
// one always holds. Not ok if they are too many.
func otherwise(cases []alternative) (out [][]term, ok bool) {
	out = [][]term{nil}
	for _, c := range cases {
		if len(out)*len(c.all) > maxCases {
			return nil, false
		}
		var next [][]term
		for _, all := range out {
			for _, t := range c.all {
				t.not = !t.not
				if !slices.Contains(all, t) {
					next = append(next, append(all[:len(all):len(all)], t))
				} else {
					next = append(next, all)
				}
			}
		}
		out = next
	}
	return out, true
}
