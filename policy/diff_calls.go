package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// callChange is how the answer to some system calls differs.
type callChange struct {
	by      int // above 0: b allows more; below: less; 0: neither
	unclear bool
	what    string
	names   []string
}

// unclear stands for rules that are too many to compare.
const unclear = "other rules about arguments"

// compareCalls compares two policies' answers to all system calls, on every
// architecture that filters can be made for, and sums up by kind of change.
func compareCalls(a, b *seccomp.Policy) ([]callChange, error) {
	kinds := map[string]int{}
	names := map[string][]string{}
	for _, arch := range []seccomp.Arch{seccomp.AMD64, seccomp.ARM64} {
		was, err := a.Answers(arch)
		if err != nil {
			return nil, err
		}
		is, err := b.Answers(arch)
		if err != nil {
			return nil, err
		}
		for i := range was.Calls {
			for by, what := range compareClauses(was.Calls[i].Clauses, is.Calls[i].Clauses) {
				if what != "" {
					kinds[what] = by - 1
					names[what] = append(names[what], was.Calls[i].Syscall.Name())
				}
			}
		}
		if was.Unknown.Action != is.Unknown.Action {
			what := change(was.Unknown.Action, is.Unknown.Action)
			kinds[what] = looser(was.Unknown.Action, is.Unknown.Action)
			names[what] = append(names[what], "(unknown)")
		}
	}
	var out []callChange
	for what, by := range kinds {
		slices.Sort(names[what])
		out = append(out, callChange{by, what == unclear, what, slices.Compact(names[what])})
	}
	slices.SortFunc(out, func(x, y callChange) int { return cmp.Compare(x.what, y.what) })
	return out, nil
}

func change(was, is seccomp.Action) string { return fmt.Sprintf("%s instead of %s", is, was) }

// looser is above 0 if is lets more happen than was, below if less.
func looser(was, is seccomp.Action) int {
	switch {
	case was.Stricter(is):
		return 1
	case is.Stricter(was):
		return -1
	}
	return 0
}

// compareClauses describes the changes for one call: the first of the three
// that lets less happen, that neither, that more.
func compareClauses(was, is []seccomp.Clause) (what [3]string) {
	if len(was) == 1 && len(is) == 1 {
		if x, y := was[0].Action, is[0].Action; x != y {
			what[looser(x, y)+1] = change(x, y)
		}
		return what
	}
	points, all := corners(was, is)
	for _, args := range points {
		x, y := decide(was, args), decide(is, args)
		if x != y && what[looser(x, y)+1] == "" {
			what[looser(x, y)+1] = change(x, y) + ", for some arguments"
		}
	}
	if !all && what == [3]string{} && clauseText(was) != clauseText(is) {
		what[1] = unclear
	}
	return what
}

func decide(clauses []seccomp.Clause, args [6]uint64) seccomp.Action {
	for _, c := range clauses {
		if c.Holds(args) {
			return c.Action
		}
	}
	return seccomp.Action{}
}

func clauseText(clauses []seccomp.Clause) string {
	var b strings.Builder
	for _, c := range clauses {
		fmt.Fprintln(&b, c.Action, c.Any)
	}
	return b.String()
}

// corners are arguments at and beside every bound that the clauses test, in
// all combinations of arguments. Answers change only there. all is false if
// there are too many, and of some only a part is given.
func corners(was, is []seccomp.Clause) (points [][6]uint64, all bool) {
	const most = 1 << 14
	var values [6][]uint64
	for _, c := range slices.Concat(was, is) {
		for _, checks := range c.Any {
			for _, k := range checks {
				for _, r := range k.In {
					values[k.Arg] = append(values[k.Arg], r.Lo, r.Hi, (r.Lo-1)&k.Mask, (r.Hi+1)&k.Mask)
				}
				// Single bits of a mask, for masks that overlap.
				for bit := uint64(1); bit != 0; bit <<= 1 {
					if k.Mask&bit != 0 && k.Mask != 1<<32-1 && k.Mask != 1<<64-1 {
						values[k.Arg] = append(values[k.Arg], bit)
					}
				}
			}
		}
	}
	points, all = [][6]uint64{{}}, true
	for arg, list := range values {
		if list == nil {
			continue
		}
		list = append(list, 0, 1<<64-1)
		slices.Sort(list)
		list = slices.Compact(list)
		if len(points)*len(list) > most {
			list, all = list[:max(1, most/len(points))], false
		}
		var next [][6]uint64
		for _, p := range points {
			for _, v := range list {
				p[arg] = v
				next = append(next, p)
			}
		}
		points = next
	}
	return points, all
}

// grouped writes the names of many calls shorter, with the @groups that they
// make up.
func grouped(names []string) []string {
	left := map[string]bool{}
	for _, n := range names {
		left[n] = true
	}
	groups := seccomp.Groups()
	slices.SortStableFunc(groups, func(x, y seccomp.Group) int { return len(y.Syscalls()) - len(x.Syscalls()) })
	var out []string
	for _, g := range groups {
		var in []string
		for _, c := range g.Syscalls() {
			s, err := seccomp.LookupSyscall(c)
			if err != nil {
				continue
			}
			_, amd := s.Number(seccomp.AMD64)
			_, arm := s.Number(seccomp.ARM64)
			if amd || arm {
				in = append(in, c)
			}
		}
		if len(in) < 3 || slices.ContainsFunc(in, func(c string) bool { return !left[c] }) {
			continue
		}
		out = append(out, g.Name())
		for _, c := range in {
			delete(left, c)
		}
	}
	for _, n := range names {
		if left[n] {
			out = append(out, n)
		}
	}
	return out
}
