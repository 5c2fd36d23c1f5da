package policy

import (
	"cmp"
	"fmt"
	"slices"

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

// compareCalls compares two policies' answers to all system calls, on the
// architectures that sbx runs on and those of the policies' programs, and sums up
// by kind of change.
func compareCalls(a, b *seccomp.Policy) ([]callChange, error) {
	kinds := map[string]int{}
	names := map[string][]string{}
	for _, arch := range comparedArchs(a, b) {
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

// comparedArchs are the architectures on which answers are compared. One that
// only one of the policies lists is said as such, and its calls need no comparison.
func comparedArchs(a, b *seccomp.Policy) []seccomp.Arch {
	list := []seccomp.Arch{seccomp.AMD64, seccomp.ARM64}
	if slices.Contains(a.Architectures, "386") && slices.Contains(b.Architectures, "386") {
		list = append(list, seccomp.I386)
	}
	return list
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
	if slices.EqualFunc(was, is, sameClause) {
		return what
	}
	exact := points(slices.Concat(was, is), func(args [6]uint64) bool {
		if x, y := decide(was, args), decide(is, args); x != y && what[looser(x, y)+1] == "" {
			what[looser(x, y)+1] = change(x, y) + ", for some arguments"
		}
		return what[0] != "" && what[1] != "" && what[2] != ""
	})
	if !exact {
		what[1] = unclear // said rather than guessed
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

// sameClause says whether two clauses are one text: then they need no comparison.
func sameClause(a, b seccomp.Clause) bool {
	return a.Action == b.Action && slices.EqualFunc(a.Any, b.Any, func(x, y []seccomp.Check) bool {
		return slices.EqualFunc(x, y, func(k, l seccomp.Check) bool {
			return k.Arg == l.Arg && k.Mask == l.Mask && slices.Equal(k.In, l.In)
		})
	})
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
