package policy

import (
	"fmt"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// isCalls says whether the key is a list of system calls and groups of them.
func (f *field) isCalls() bool { return f.key == "seccomp.allow" || f.key == "seccomp.deny" }

// withoutCalls takes a system call, or those of a @group, out of all that list has: the
// entry itself, and groups with such a member, of which the other members stay as
// entries of their own. from says of each of these which group it was in. whole is a
// group that lifts rules as a whole and so cannot be divided.
func withoutCalls(list []string, entry string) (left []string, from map[string]string, whole string, found bool) {
	out := callsOf([]string{entry})
	for _, e := range list {
		calls := callsOf([]string{e})
		hit := e == entry || strings.HasPrefix(e, "@") && slices.ContainsFunc(keys(calls),
			func(c string) bool { return out[c] })
		switch {
		case e == "" || !hit:
			left = append(left, e)
			continue
		case e != entry && (e == "@nest" || e == "@terminal-input"):
			return nil, nil, e, false
		}
		found = true
		if e == entry || !strings.HasPrefix(e, "@") {
			continue
		}
		for _, c := range keys(calls) {
			if !out[c] && !slices.Contains(list, c) && !slices.Contains(left, c) && !inOther(list, e, c, entry) {
				put(&from, c, e)
				left = append(left, c)
			}
		}
	}
	return left, from, "", found
}

// inOther says whether the list has the call by another group than except, of which
// entry takes nothing out.
func inOther(list []string, except, call, entry string) bool {
	out := callsOf([]string{entry})
	return slices.ContainsFunc(list, func(e string) bool {
		if e == except || !strings.HasPrefix(e, "@") {
			return false
		}
		calls := callsOf([]string{e})
		return calls[call] && !slices.ContainsFunc(keys(out), func(c string) bool { return calls[c] })
	})
}

// takeCallsOut is mergeList for the "!x" entries of a list of system calls. It is the
// list without them.
func takeCallsOut(f *field, have []string, sum, p *Policy) ([]string, error) {
	list := slices.Clone(have)
	var errs errorList
	for _, e := range *f.list(p) {
		bare, out := strings.CutPrefix(e, "!")
		if !out || errs.full() {
			continue
		}
		left, from, whole, found := withoutCalls(list, bare)
		if found {
			for call, group := range from {
				if o, ok := sum.Origin(f.key, group); ok {
					sum.note(f, call, o)
				}
			}
			list = left
			continue
		}
		bad := &fault{msg: fmt.Sprintf("%q takes out what %s does not inherit", e, f.key)}
		switch {
		case whole != "":
			bad = faultf("%q is part of %s, which is taken out as a whole or not at all", e, whole).or("%q", "!"+whole)
		case inRules(sum.Seccomp.Rules, bare):
			bad.or("a rule names it; take it out of that: [[seccomp.rule]] with syscalls = [%q]", e)
		default:
			bad.like(bare, have)
		}
		o, _ := p.Origin(f.key, e)
		errs.add(&Error{File: p.Name, Line: o.Line, Col: o.Col, Msg: bad.msg, Fix: bad.hint})
	}
	return list, errs.err()
}

func inRules(rules []seccomp.Rule, call string) bool {
	return slices.ContainsFunc(rules, func(r seccomp.Rule) bool { return callsOf(r.Syscalls)[call] })
}

// keys are the map's keys, sorted.
func keys(set map[string]bool) []string {
	list := make([]string, 0, len(set))
	for c := range set {
		list = append(list, c)
	}
	slices.Sort(list)
	return list
}
