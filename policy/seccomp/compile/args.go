package compile

import "sbx/policy/seccomp"

// clauses makes the part that decides by a call's arguments.
func (b *builder) clauses(in []seccomp.Clause) *node {
	in = simplify(in)
	last := len(in) - 1
	next := b.ret(in[last].Action)
	for i := last - 1; i >= 0; i-- {
		taken := b.ret(in[i].Action)
		for j := len(in[i].Any) - 1; j >= 0; j-- {
			next = b.all(in[i].Any[j], taken, next)
		}
	}
	return next
}

// all goes to yes if every check holds, else to no.
func (b *builder) all(checks []seccomp.Check, yes, no *node) *node {
	for i := len(checks) - 1; i >= 0; i-- {
		yes = b.check(checks[i], yes, no)
	}
	return yes
}

// check goes to yes if one check holds, else to no.
func (b *builder) check(c seccomp.Check, yes, no *node) *node {
	offset := uint32(offArgs + 8*c.Arg)
	low, high := uint32(c.Mask), uint32(c.Mask>>32)
	if high == 0 {
		return b.word(offset, low, narrow(c.In), yes, no)
	}
	// A number of 64 bits is in a range if its upper half is inside, or at
	// one end and its lower half on the right side.
	for i := len(c.In) - 1; i >= 0; i-- {
		r := c.In[i]
		loHigh, hiHigh := uint32(r.Lo>>32), uint32(r.Hi>>32)
		loLow, hiLow := uint32(r.Lo), uint32(r.Hi)
		lower := func(from, to uint32, no *node) *node {
			return b.word(offset, low, []span{{from, to}}, yes, no)
		}
		if loHigh == hiHigh {
			no = b.word(offset+4, high, []span{{loHigh, loHigh}}, lower(loLow, hiLow, no), no)
			continue
		}
		from, to := loHigh, hiHigh
		fail := no
		if loLow != 0 {
			no = b.word(offset+4, high, []span{{loHigh, loHigh}}, lower(loLow, ^uint32(0), fail), no)
			from++
		}
		if hiLow != ^uint32(0) {
			no = b.word(offset+4, high, []span{{hiHigh, hiHigh}}, lower(0, hiLow, fail), no)
			to--
		}
		if from <= to {
			no = b.word(offset+4, high, []span{{from, to}}, yes, no)
		}
	}
	return no
}

// span is the numbers from lo to hi.
type span struct{ lo, hi uint32 }

func narrow(in []seccomp.Range) []span {
	out := make([]span, len(in))
	for i, r := range in {
		out[i] = span{uint32(r.Lo), uint32(r.Hi)}
	}
	return out
}

// word goes to yes if half an argument, and mask, is in one of the spans, which
// are sorted and apart.
func (b *builder) word(offset, mask uint32, in []span, yes, no *node) *node {
	if mask != ^uint32(0) && len(in) == 1 {
		switch in[0] {
		case span{0, 0}:
			return b.load(offset, b.jump(opJset, mask, loaded(no, offset), loaded(yes, offset)))
		case span{1, mask}:
			return b.load(offset, b.jump(opJset, mask, loaded(yes, offset), loaded(no, offset)))
		}
	}
	if mask == ^uint32(0) {
		return b.load(offset, b.search(in, mask, loaded(yes, offset), loaded(no, offset)))
	}
	return b.load(offset, b.and(mask, b.search(in, mask, masked(yes, offset, mask), masked(no, offset, mask))))
}

// loaded is where to go on instead of n if what it loads first is loaded.
func loaded(n *node, offset uint32) *node {
	if n.code == opLoad && n.k == offset {
		return n.t
	}
	return n
}

// masked is the same if it is masked, too.
func masked(n *node, offset, mask uint32) *node {
	if next := loaded(n, offset); next != n && next.code == opAnd && next.k == mask {
		return next.t
	}
	return n
}

// search looks for what is loaded among spans, by halves; what is loaded is at
// most top.
func (b *builder) search(in []span, top uint32, yes, no *node) *node {
	if n := len(in); n > 3 {
		right := b.search(in[n/2:], top, yes, no)
		return b.jump(opJge, in[n/2].lo, right, b.search(in[:n/2], top, yes, no))
	}
	next := no
	for i := len(in) - 1; i >= 0; i-- {
		s := in[i]
		switch {
		case s.lo == s.hi:
			next = b.jump(opJeq, s.lo, yes, next)
		case s.lo == 0 && s.hi >= top:
			next = yes
		case s.lo == 0:
			next = b.jump(opJgt, s.hi, next, yes)
		case s.hi >= top:
			next = b.jump(opJge, s.lo, yes, next)
		default:
			next = b.jump(opJge, s.lo, b.jump(opJgt, s.hi, next, yes), no)
		}
	}
	return next
}

// simplify joins what stands side by side in clauses with one action, if it
// asks one argument only: the ranges are then one set.
func simplify(in []seccomp.Clause) []seccomp.Clause {
	var out []seccomp.Clause
	for _, c := range in {
		if n := len(out); n > 0 && len(c.Any) > 0 && len(out[n-1].Any) > 0 && out[n-1].Action == c.Action {
			out[n-1].Any = append(out[n-1].Any[:len(out[n-1].Any):len(out[n-1].Any)], c.Any...)
			continue
		}
		out = append(out, c)
	}
	for i := range out {
		out[i].Any = join(out[i].Any)
	}
	return out
}

// join unites alternatives of one check on the same bits of one argument.
func join(any [][]seccomp.Check) [][]seccomp.Check {
	var out [][]seccomp.Check
	for _, all := range any {
		joined := false
		for i, old := range out {
			if len(all) == 1 && len(old) == 1 && all[0].Arg == old[0].Arg && all[0].Mask == old[0].Mask {
				out[i] = []seccomp.Check{old[0].Or(all[0])}
				joined = true
				break
			}
		}
		if !joined {
			out = append(out, all)
		}
	}
	return out
}
