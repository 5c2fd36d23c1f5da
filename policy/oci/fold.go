package oci

import (
	"slices"

	"sbx/policy/seccomp"
)

// fold stands for the one comparison that is made of a 64-bit argument: that
// it is a value, or at most one. A profile has operators for these and their
// opposites. Cubes know masks only, of which the opposite of a value takes 64,
// with numbers that many programs cannot read: above 2^53, JSON's are rounded.
type fold struct {
	upTo  bool
	value uint64
}

// operator is the profile's word for it, or for its opposite.
func (f fold) operator(holds bool) string {
	switch {
	case f.upTo && holds:
		return "SCMP_CMP_LE"
	case f.upTo:
		return "SCMP_CMP_GT"
	case holds:
		return "SCMP_CMP_EQ"
	}
	return "SCMP_CMP_NE"
}

// folds replaces, in clauses, the comparisons of each argument of which only
// one is made by that of a single bit: set where it holds.
func folds(clauses []seccomp.Clause) ([]seccomp.Clause, [6]*fold) {
	var found [6]*fold
	var bad [6]bool
	each := func(do func(k *seccomp.Check)) {
		for _, c := range clauses {
			for _, all := range c.Any {
				for i := range all {
					do(&all[i])
				}
			}
		}
	}
	each(func(k *seccomp.Check) {
		f, _, ok := folded(*k)
		switch have := found[k.Arg]; {
		case !ok || have != nil && *have != f:
			bad[k.Arg] = true
		default:
			found[k.Arg] = &f
		}
	})
	for i := range found {
		if bad[i] {
			found[i] = nil
		}
	}
	clauses = slices.Clone(clauses)
	for i := range clauses {
		clauses[i].Any = slices.Clone(clauses[i].Any)
		for j := range clauses[i].Any {
			clauses[i].Any[j] = slices.Clone(clauses[i].Any[j])
		}
	}
	each(func(k *seccomp.Check) {
		if found[k.Arg] == nil {
			return
		}
		bit := uint64(0)
		if _, holds, _ := folded(*k); holds {
			bit = 1
		}
		k.Mask, k.In = 1, []seccomp.Range{{Lo: bit, Hi: bit}}
	})
	return clauses, found
}

// folded reads a check of all 64 bits as a fold or its opposite.
func folded(k seccomp.Check) (f fold, holds, ok bool) {
	const top = 1<<64 - 1
	if k.Mask != top {
		return f, false, false
	}
	switch {
	case len(k.In) == 1 && k.In[0].Lo == k.In[0].Hi:
		return fold{value: k.In[0].Lo}, true, true
	case len(k.In) == 1 && k.In[0].Lo == 1 && k.In[0].Hi == top:
		return fold{value: 0}, false, true // all but the least
	case len(k.In) == 1 && k.In[0].Lo == 0 && k.In[0].Hi == top-1:
		return fold{value: top}, false, true // all but the greatest
	case len(k.In) == 1 && k.In[0].Lo == 0:
		return fold{true, k.In[0].Hi}, true, true
	case len(k.In) == 1 && k.In[0].Hi == top:
		return fold{true, k.In[0].Lo - 1}, false, true
	case len(k.In) == 2 && k.In[0].Lo == 0 && k.In[0].Hi+2 == k.In[1].Lo && k.In[1].Hi == top:
		return fold{value: k.In[0].Hi + 1}, false, true
	}
	return f, false, false
}
