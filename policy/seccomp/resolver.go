package seccomp

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// resolver works out the clauses of each call for one policy and architecture.
type resolver struct {
	p    *Policy
	arch Arch
	// allow and deny are the lists.
	allow, deny *list
	rules       []resolvedRule
	// builtin are the built-in rules that the policy does not lift.
	builtin []Builtin
}

// list is one of the policy's lists. by has for each call, at its place in the
// table, the entry that names it, counted from 1.
type list struct {
	name    string
	entries []string
	by      [len(table)]uint16
}

// reason is the entry that lists a call, if one does.
func (l *list) reason(s Syscall) (Reason, bool) {
	n := l.by[s.n-1]
	if n == 0 {
		return Reason{}, false
	}
	return Reason{List: l.name, Entry: l.entries[n-1]}, true
}

// resolvedRule is a rule with its calls and conditions understood.
type resolvedRule struct {
	calls  callSet
	when   []*Condition
	action Action
	why    Reason
}

// byDefault is the reason of a clause that nothing in the policy names.
var byDefault = Reason{Note: "default"}

func newResolver(p *Policy, a Arch) (*resolver, error) {
	r := &resolver{p: p, arch: a}
	for _, k := range []Action{p.Default, p.Unknown} {
		if k.Kind != Unset && k.Kind.strictness() == 0 || k.Kind == Errno && (k.Errno < 1 || k.Errno > MaxErrno) {
			return nil, fmt.Errorf("no such action: %v", k)
		}
	}
	var err error
	if r.allow, err = listed("allow", p.Allow); err != nil {
		return nil, err
	}
	if r.deny, err = listed("deny", p.Deny); err != nil {
		return nil, err
	}
	for i, rule := range p.Rules {
		rr, err := rule.resolve(i)
		if err != nil {
			return nil, err
		}
		r.rules = append(r.rules, rr)
	}
	for _, b := range Builtins() {
		if !slices.ContainsFunc(b.LiftedBy, func(name string) bool { return slices.Contains(p.Allow, name) }) {
			r.builtin = append(r.builtin, b)
		}
	}
	return r, nil
}

// listed expands a list; of several entries with the same call the one with
// the fewest calls is named as the reason.
func listed(name string, entries []string) (*list, error) {
	out := &list{name: name, entries: entries}
	sizes := make([]int, len(entries))
	for i, e := range entries {
		set, err := expand(e)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		sizes[i] = set.size()
		for s := range set.all() {
			if by := &out.by[s.n-1]; *by == 0 || sizes[i] < sizes[*by-1] {
				*by = uint16(i + 1)
			}
		}
	}
	return out, nil
}

func (rule Rule) resolve(i int) (resolvedRule, error) {
	out := resolvedRule{action: rule.Action, why: Reason{Rule: i + 1}}
	fail := func(err error) (resolvedRule, error) {
		return resolvedRule{}, fmt.Errorf("rule %d: %w", i+1, err)
	}
	if rule.Action.Kind.strictness() == 0 {
		return fail(fmt.Errorf("no action"))
	}
	if rule.Action.Kind == Errno && (rule.Action.Errno < 1 || rule.Action.Errno > MaxErrno) {
		return fail(fmt.Errorf("errno %d is not from 1 to %d", rule.Action.Errno, MaxErrno))
	}
	if len(rule.Syscalls) == 0 {
		return fail(fmt.Errorf("no system calls"))
	}
	for _, e := range rule.Syscalls {
		set, err := expand(e)
		if err != nil {
			return fail(err)
		}
		for i, word := range set {
			out.calls[i] |= word
		}
	}
	for _, w := range rule.When {
		c, err := ParseCondition(w)
		if err != nil {
			return fail(err)
		}
		out.when = append(out.when, c)
	}
	return out, nil
}

// Check reports what is wrong with a rule: names, conditions, values that do
// not fit their argument.
func (rule Rule) Check() error {
	rr, err := rule.resolve(0)
	if err != nil {
		return err
	}
	for s := range rr.calls.all() {
		var absent error
		fits := false
		for a := range numArches {
			if _, has := s.Number(a); !has || !a.Compiles() {
				continue
			}
			_, _, err := alternatives(rr.when, a, s)
			if missing := (*absentError)(nil); errors.As(err, &missing) {
				absent = err // an error only if it is so everywhere
				continue
			}
			if err != nil {
				return err
			}
			fits = true
		}
		if absent != nil && !fits {
			return absent
		}
	}
	return nil
}

// clauses answers for one call by number.
func (r *resolver) clauses(s Syscall) ([]Clause, error) {
	if subs := multiplexed(r.arch, s.Name()); subs != nil {
		return r.multiplexer(s, subs)
	}
	out, err := r.direct(s)
	if err != nil {
		return nil, err
	}
	if behindPointer(r.arch, s.Name()) {
		return []Clause{strictest(out)}, nil
	}
	return trim(out), nil
}

// direct answers for one call by name, as if it were called directly.
func (r *resolver) direct(s Syscall) ([]Clause, error) {
	var out []Clause
	if why, ok := r.deny.reason(s); ok {
		out = append(out, Clause{Action: r.p.refusal(), Why: why})
	}
	ruled := false
	for i := range r.rules {
		rule := &r.rules[i]
		if !rule.calls.has(s) {
			continue
		}
		ruled = ruled || rule.action.Kind == Allow
		any, ok, err := alternatives(rule.when, r.arch, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", rule.why, err)
		}
		if ok {
			out = append(out, Clause{Action: rule.action, Any: any, Why: rule.why})
		}
	}
	if why, ok := r.allow.reason(s); ok && !ruled {
		out = append(out, Clause{Action: Action{Kind: Allow}, Why: why})
	}
	last := Clause{Action: r.p.otherwise(), Why: byDefault}
	if s.Young() && r.p.otherwise().Kind != Allow && r.p.otherwise().Kind != Log {
		last = Clause{Action: r.p.unknown(), Why: Reason{Note: "unknown: not listed, and new in Linux " + s.Since().String()}}
	}
	// Later goes before earlier among the equally strict: the last clause
	// stays last, whatever its action is.
	slices.Reverse(out)
	strictestFirst(out)
	out = cut(append(out, last))
	return r.builtins(s, out)
}

// alternatives are the normal forms of the conditions that can hold; none and
// ok if one always does or there is none, not ok if all never hold.
func alternatives(when []*Condition, a Arch, s Syscall) (any [][]Check, ok bool, err error) {
	always := len(when) == 0
	for _, c := range when {
		checks, can, err := c.normal(a, s)
		if err != nil {
			return nil, false, err
		}
		if can && len(checks) == 0 {
			always = true
		} else if can {
			any = append(any, checks)
		}
	}
	if always {
		return nil, true, nil
	}
	return any, len(any) > 0, nil
}

// cut drops what follows the first clause that always holds.
func cut(in []Clause) []Clause {
	for i, c := range in {
		if len(c.Any) == 0 {
			return in[:i+1]
		}
	}
	return in
}

// trim drops clauses right before the last that say the same as it does.
func trim(in []Clause) []Clause {
	last := len(in) - 1
	i := last
	for i > 0 && in[i-1].Action == in[last].Action {
		i--
	}
	return append(in[:i:i], in[last])
}

func strictestFirst(in []Clause) {
	slices.SortStableFunc(in, func(x, y Clause) int {
		return cmp.Compare(y.Action.Kind.strictness(), x.Action.Kind.strictness())
	})
}

// strictest is the strictest of the answers a call could get, for where its
// arguments cannot be seen.
func strictest(in []Clause) Clause {
	out := Clause{Action: in[0].Action, Why: in[0].Why}
	for _, c := range in[1:] {
		if c.Action.Stricter(out.Action) {
			out = Clause{Action: c.Action, Why: c.Why}
		}
	}
	if len(in) > 1 {
		out.Why = out.Why.note("because its arguments are out of sight")
	}
	return out
}
