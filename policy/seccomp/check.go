package seccomp

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Range is the values from Lo to Hi, both included.
type Range struct{ Lo, Hi uint64 }

// Check is one comparison of an argument in its normal form: argument & Mask is in
// one of the ranges, which are sorted, apart and not empty. Mask also says how
// much of the argument counts.
type Check struct {
	Arg  int
	Mask uint64
	In   []Range
}

// Holds reports whether it does for a call's arguments.
func (t Check) Holds(args [6]uint64) bool {
	x := args[t.Arg] & t.Mask
	return slices.ContainsFunc(t.In, func(r Range) bool { return r.Lo <= x && x <= r.Hi })
}

// String shows the check as a condition that means the same.
func (t Check) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "arg%d", t.Arg)
	switch t.Mask {
	case ones(64):
		b.WriteString(":64")
	case ones(32):
		b.WriteString(":32")
	default:
		if t.Mask > ones(32) {
			b.WriteString(":64")
		}
		fmt.Fprintf(&b, " & %#x", t.Mask)
	}
	if len(t.In) == 1 && t.In[0].Lo == t.In[0].Hi {
		fmt.Fprintf(&b, " == %#x", t.In[0].Lo)
		return b.String()
	}
	b.WriteString(" in {")
	for i, r := range t.In {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%#x", r.Lo)
		if r.Hi != r.Lo {
			fmt.Fprintf(&b, "..%#x", r.Hi)
		}
	}
	b.WriteString("}")
	return b.String()
}

// normal brings a condition into its normal form for one call on one
// architecture: checks that must all hold, none if it always does. ok is false
// if it never holds.
func (c *Condition) normal(a Arch, s Syscall) (checks []Check, ok bool, err error) {
	ok = true
	for _, t := range c.terms {
		n, err := t.normal(a, s)
		switch {
		case err != nil:
			return nil, false, fmt.Errorf("condition %q for %s: %w", c.text, s.Name(), err)
		case len(n.In) == 0:
			ok = false
		case n.In[0].Lo == 0 && n.In[0].Hi >= n.Mask:
			// It holds whatever the argument is.
		default:
			checks = append(checks, n)
		}
	}
	return checks, ok, nil
}

func (t term) normal(a Arch, s Syscall) (Check, error) {
	if t.arg >= s.Args() {
		return Check{}, fmt.Errorf("it has no argument %d", t.arg)
	}
	width := s.width(t.arg)
	if t.width != 0 {
		width = t.width
	}
	// What a policy for a 64-bit kernel says of more than 32 bits is still
	// true or false, as if the upper half were zero.
	limit := ones(width)
	if !a.Wide() {
		width = min(width, 32)
		if s.oldIDs() && t.width == 0 {
			width = 16
		}
	}
	out := Check{Arg: t.arg, Mask: ones(width)}
	fit := func(v *value) (uint64, error) {
		n, err := v.resolve(a, width)
		if err == nil && n > limit {
			err = fmt.Errorf("%#x does not fit the %d bits of argument %d that count", n, width, t.arg)
		}
		return n, err
	}
	if t.mask != nil {
		m, err := fit(t.mask)
		if err != nil {
			return Check{}, err
		}
		out.Mask &= m
	}
	for _, s := range t.set {
		lo, err := fit(s.lo)
		if err != nil {
			return Check{}, err
		}
		hi := lo
		if s.hi != nil {
			if hi, err = fit(s.hi); err != nil {
				return Check{}, err
			}
			if hi < lo {
				return Check{}, fmt.Errorf("range %#x..%#x is empty", lo, hi)
			}
		}
		out.In = append(out.In, Range{lo, hi})
	}
	switch v := out.In[0].Lo; t.op {
	case "<":
		out.In = nil
		if v > 0 {
			out.In = []Range{{0, v - 1}}
		}
	case "<=":
		out.In = []Range{{0, v}}
	case ">":
		out.In = nil
		if v < out.Mask {
			out.In = []Range{{v + 1, out.Mask}}
		}
	case ">=":
		out.In = []Range{{v, max(v, out.Mask)}}
	}
	out.In = tidy(out.In, out.Mask)
	if t.op == "!=" || t.op == "not" {
		out.In = complement(out.In, out.Mask)
	}
	return out, nil
}

// tidy sorts ranges, joins those that touch, and cuts off what is above top.
func tidy(in []Range, top uint64) []Range {
	slices.SortFunc(in, func(x, y Range) int { return cmp.Compare(x.Lo, y.Lo) })
	var out []Range
	for _, r := range in {
		r.Hi = min(r.Hi, top)
		if r.Lo > top {
			break
		}
		if n := len(out); n > 0 && (r.Lo <= out[n-1].Hi || r.Lo == out[n-1].Hi+1) {
			out[n-1].Hi = max(out[n-1].Hi, r.Hi)
			continue
		}
		out = append(out, r)
	}
	return out
}

// complement lists what tidy ranges leave of 0 to top.
func complement(in []Range, top uint64) []Range {
	var out []Range
	next := uint64(0)
	for _, r := range in {
		if r.Lo > next {
			out = append(out, Range{next, r.Lo - 1})
		}
		if r.Hi >= top {
			return out
		}
		next = r.Hi + 1
	}
	return append(out, Range{next, top})
}

// Or is the check that holds where either of two on the same bits of the same
// argument does.
func (t Check) Or(u Check) Check {
	t.In = tidy(append(slices.Clone(t.In), u.In...), t.Mask)
	return t
}
