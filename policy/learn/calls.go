package learn

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sbx/policy"
	"sbx/policy/seccomp"
)

// calls are the system calls of an entry of a list; a call that is not known is itself.
func calls(entry string) []string {
	list, err := seccomp.Expand(strings.TrimPrefix(entry, "!"))
	if err != nil {
		return []string{strings.TrimPrefix(entry, "!")}
	}
	return list
}

// vital are calls that are part of every tight list: each program ends, is executed and
// returns from signals, the kernel restarts calls that were interrupted, and whether a
// program waits for a moment differs from run to run: a shell whose child is still there waits
// by rt_sigsuspend, and tries for ever where that is denied.
var vital = [...]string{
	"execve", "exit", "exit_group", "restart_syscall", "rt_sigreturn", "rt_sigsuspend", "clock_nanosleep",
	"futex", "nanosleep", "sched_yield",
}

// answered are the answers of a policy.
type answered struct {
	answers *seccomp.Answers
	arch    seccomp.Arch
}

func answersOf(p *policy.Policy, arch seccomp.Arch) (answered, error) {
	a, err := p.LaunchCalls().Answers(arch)
	if err != nil {
		return answered{}, fmt.Errorf("work out what policy %s says of system calls: %w", p.Name, err)
	}
	return answered{a, arch}, nil
}

// denies is why the policy denies the call.
func (a answered) denies(c Call) (why seccomp.Reason, denied bool) {
	s, err := seccomp.LookupSyscall(c.Name)
	if err != nil {
		return why, false
	}
	nr, ok := s.Number(a.arch)
	if !ok {
		return why, false
	}
	clause := a.answers.Decide(nr, c.Args)
	return clause.Why, !clause.Action.Passes()
}

// Known are the calls that the policy allows whatever their arguments are.
func Known(p *policy.Policy, arch seccomp.Arch) ([]string, error) {
	a, err := answersOf(p, arch)
	if err != nil {
		return nil, err
	}
	var list []string
	for s := range seccomp.Syscalls() {
		answer, ok := a.answers.Lookup(s)
		if !ok {
			continue
		}
		denies := func(c seccomp.Clause) bool { return !c.Action.Passes() }
		if !slices.ContainsFunc(answer.Clauses, denies) {
			list = append(list, s.Name())
		}
	}
	return list, nil
}

// byName sums up the calls by their names.
func byName(list []Call) map[string]By {
	out := map[string]By{}
	for _, c := range list {
		add(out, c.Name, c.By)
	}
	return out
}

// tightRule is a rule that denies the arguments that were not seen.
type tightRule struct {
	calls  []string
	before string   // of the values, in the condition
	prefix []string // of the names of constants
	action seccomp.Action
	always []string // values that are part of it in any case
	most   int      // with more values there is no rule
}

const (
	eperm        = 1
	einval       = 22
	enotty       = 25
	eafnosupport = 97
)

func errno(n uint16) seccomp.Action { return seccomp.Action{Kind: seccomp.Errno, Errno: n} }

// socketRule is part of every policy that has seen sockets; the C library looks for nscd
// by AF_UNIX.
var socketRule = tightRule{[]string{"socket", "socketpair"}, "arg0 not in ", []string{"AF_"}, errno(eafnosupport),
	[]string{"AF_UNIX"}, 8}

// tightRules are those of a tight policy.
var tightRules = [...]tightRule{
	socketRule,
	{[]string{"ioctl"}, "arg1 not in ", []string{"TCGET", "TCSET", "TCFLSH", "TCSBRK", "TIOC", "FIO"},
		errno(enotty), nil, 64},
	{[]string{"prctl"}, "arg0 not in ", []string{"PR_SET_", "PR_GET_", "PR_CAP"}, errno(einval), nil, 40},
}

// values are those of the rule that the calls have, sorted; with all that an earlier rule
// has.
func (r tightRule) values(list []Call, have []string, arch seccomp.Arch) []string {
	set := map[string]bool{}
	for _, c := range list {
		if slices.Contains(r.calls, c.Name) {
			set[constant(r.prefix, c.Class[0], arch)] = true
		}
	}
	for _, s := range have {
		set[s] = true
	}
	if len(set) > 0 {
		for _, s := range r.always {
			set[s] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// constant is the value's name, the shortest of several, or the value.
func constant(prefixes []string, v uint64, arch seccomp.Arch) string {
	best := ""
	for _, prefix := range prefixes {
		for _, name := range seccomp.ConstantNames(prefix, v, arch) {
			if best == "" || len(name) < len(best) || len(name) == len(best) && name > best {
				best = name
			}
		}
	}
	switch {
	case best == "AF_ROUTE":
		return "AF_NETLINK" // which everybody says
	case best == "":
		return fmt.Sprintf("%#x", v)
	}
	return best
}

// is says that a rule of a policy is such a rule, and gives its values.
func (r tightRule) is(rule seccomp.Rule) (values []string, ok bool) {
	if !slices.Equal(rule.Syscalls, r.calls) || len(rule.When) != 1 || rule.Action != r.action {
		return nil, false
	}
	list, ok := strings.CutPrefix(rule.When[0], r.before+"{")
	list, closed := strings.CutSuffix(list, "}")
	if !ok || !closed {
		return nil, false
	}
	return strings.Split(list, ", "), true
}

// put puts the rule into the policy, in the place of an earlier one. It is left out where
// the values are too many, or where the policy says as much already.
func (r tightRule) put(rules []seccomp.Rule, list []Call, arch seccomp.Arch) []seccomp.Rule {
	var have []string
	at := slices.IndexFunc(rules, func(rule seccomp.Rule) bool {
		values, ok := r.is(rule)
		if ok {
			have = values
		}
		return ok
	})
	values := r.values(list, have, arch)
	if len(values) == 0 {
		return rules
	}
	rule := seccomp.Rule{Syscalls: r.calls, When: []string{r.before + "{" + strings.Join(values, ", ") + "}"},
		Action: r.action}
	switch {
	case len(values) > r.most && at >= 0:
		return slices.Delete(slices.Clone(rules), at, at+1)
	case len(values) > r.most:
		return rules
	case at >= 0:
		rules = slices.Clone(rules)
		rules[at] = rule
		return rules
	}
	return append(slices.Clone(rules), rule)
}

// cloneRule denies the flags of clone that were not seen.
func cloneRule(rules []seccomp.Rule, list []Call) []seccomp.Rule {
	const signal, all = 0xff, uint64(1<<32 - 1)
	seen, any, at := uint64(signal), false, -1
	for _, c := range list {
		if c.Name == "clone" {
			seen, any = seen|c.Class[0], true
		}
	}
	for i, r := range rules {
		if mask, ok := cloneMask(r); ok {
			seen, any, at = seen|all&^mask, true, i
		}
	}
	if !any {
		return rules
	}
	rule := seccomp.Rule{Syscalls: []string{"clone"}, When: []string{cloneWhen(all &^ seen)}, Action: errno(eperm)}
	rules = slices.Clone(rules)
	if at >= 0 {
		rules[at] = rule
		return rules
	}
	return append(rules, rule)
}

// tighten makes the list of the policy that which extends role allow those calls alone.
// It is what to write: entries of the role that go, and calls.
func tighten(role *policy.Policy, seen map[string]bool) (allow []string) {
	kept := map[string]bool{}
	for _, e := range role.Seccomp.Allow {
		list := calls(e)
		if slices.ContainsFunc(list, func(c string) bool { return !seen[c] }) {
			allow = append(allow, "!"+e)
			continue
		}
		for _, c := range list {
			kept[c] = true
		}
	}
	left := map[string]bool{}
	for c := range seen {
		left[c] = !kept[c]
	}
	// Groups of which all is left, the largest first.
	const least = 3
	groups := seccomp.Groups()
	slices.SortStableFunc(groups, func(a, b seccomp.Group) int { return len(b.Syscalls()) - len(a.Syscalls()) })
	for _, g := range groups {
		list := g.Syscalls()
		if len(list) < least || slices.ContainsFunc(list, func(c string) bool { return !left[c] }) {
			continue
		}
		allow = append(allow, g.Name())
		for _, c := range list {
			left[c] = false
		}
	}
	for _, c := range slices.Sorted(maps.Keys(left)) {
		if left[c] {
			allow = append(allow, c)
		}
	}
	return allow
}
