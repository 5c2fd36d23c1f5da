package oci

import (
	"fmt"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// finish writes the answers down in a policy's words. Four things of a policy
// are in the way, and are told what the profile says by rules: built-in rules,
// which only @nest and @terminal-input in Allow lift; what these two grant
// besides; calls that are young, which Default does not answer; and Allow,
// which counts nothing where a rule allows.
func (m *importer) finish() error {
	lifted, err := m.lift()
	if err != nil {
		return err
	}
	byAnswer := map[seccomp.Action][]string{}
	for _, f := range m.fixed {
		name := f.s.Name()
		unsaid := m.p.otherwise
		if f.s.Young() {
			unsaid = m.out.Unknown
		}
		switch {
		case f.action.Kind == seccomp.Allow && unsaid.Kind == seccomp.Allow:
		case f.action.Kind == seccomp.Allow:
			if !slices.Contains(m.out.Allow, name) { // clone3 lifts itself
				m.out.Allow = append(m.out.Allow, name)
			}
		case f.action == unsaid && !lifted[name] && name != "clone3":
		default:
			byAnswer[f.action] = append(byAnswer[f.action], name)
		}
	}
	actions := make([]seccomp.Action, 0, len(byAnswer))
	for a := range byAnswer {
		actions = append(actions, a)
	}
	slices.SortFunc(actions, func(x, y seccomp.Action) int { return strings.Compare(x.String(), y.String()) })
	for _, a := range actions {
		m.out.Rules = append(m.out.Rules, seccomp.Rule{Syscalls: byAnswer[a], Action: a})
	}
	for _, c := range m.ruled {
		if err := m.rule(c, lifted[c.s.Name()]); err != nil {
			return err
		}
	}
	yes := true
	if m.p.log {
		m.out.Log = &yes
	}
	if m.p.spec {
		m.out.SpecAllow = &yes
	}
	return nil
}

// lift takes the built-in rules out of the way of what the profile grants, and
// says which calls are allowed thereby. Only those are lifted that would refuse
// what is granted.
func (m *importer) lift() (map[string]bool, error) {
	lifted := map[string]bool{}
	for _, b := range seccomp.Builtins() {
		if slices.ContainsFunc(b.LiftedBy, func(by string) bool { return slices.Contains(m.out.Allow, by) }) {
			continue
		}
		needed, err := m.grants(b.Syscall)
		if err != nil {
			return nil, err
		}
		if !needed {
			continue
		}
		by := b.LiftedBy[len(b.LiftedBy)-1] // of several the least
		m.out.Allow = append(m.out.Allow, by)
		calls, err := seccomp.Expand(by)
		if err != nil {
			return nil, err
		}
		for _, c := range calls {
			lifted[c] = true
		}
	}
	return lifted, nil
}

// grants reports whether the profile grants something that the built-in rule
// about a call refuses.
func (m *importer) grants(name string) (bool, error) {
	free := func(a seccomp.Action) bool { return a.Kind == seccomp.Allow || a.Kind == seccomp.Log }
	for _, f := range m.fixed {
		if f.s.Name() == name {
			return free(f.action), nil
		}
	}
	i := slices.IndexFunc(m.ruled, func(c ruled) bool { return c.s.Name() == name })
	if i < 0 {
		return false, nil
	}
	c := m.ruled[i]
	if free(m.p.otherwise) {
		return true, nil // what the conditions leave is granted
	}
	refused, err := m.refusedBuiltin(c.s)
	if err != nil {
		return false, err
	}
	for _, x := range c.cases {
		if !free(x.action) {
			continue
		}
		granted, ok := conjunction(checks(x.all))
		if !ok {
			return true, nil // too much to tell
		}
		for _, g := range granted {
			if slices.ContainsFunc(refused, func(r cube) bool { _, both := g.and(r); return both }) {
				return true, nil
			}
		}
	}
	return false, nil
}

// refusedBuiltin is when a policy that allows everything refuses a call.
func (m *importer) refusedBuiltin(s seccomp.Syscall) (cubes, error) {
	home, nr, _ := m.number(s)
	all := seccomp.Action{Kind: seccomp.Allow}
	answers, err := (&seccomp.Policy{Default: all, Unknown: all}).Answers(home)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(answers.Calls, func(c seccomp.Answer) bool { return c.Number == nr })
	sets, ok := clauseCubes(answers.Calls[i].Clauses)
	if !ok {
		return cubes{{}}, nil
	}
	var out cubes
	for i, c := range answers.Calls[i].Clauses {
		if c.Action != all {
			out = append(out, sets[i]...)
		}
	}
	return out, nil
}

// rule writes one call with conditions.
func (m *importer) rule(c ruled, lifted bool) error {
	allows := false
	for i, x := range c.cases {
		if slices.ContainsFunc(c.cases[:i], func(y alternative) bool { return y.action == x.action }) {
			continue
		}
		allows = allows || x.action.Kind == seccomp.Allow
		out := seccomp.Rule{Syscalls: []string{c.s.Name()}, Action: x.action}
		always := false
		var holds [][]term
		for _, y := range c.cases {
			if y.action == x.action {
				always = always || len(y.all) == 0
				holds = append(holds, y.all)
			}
		}
		if !always {
			out.When = when(holds)
		}
		m.out.Rules = append(m.out.Rules, out)
	}
	// Where none holds, the default is the answer.
	unsaid := m.out.Unknown == m.p.otherwise || !c.s.Young()
	if m.p.otherwise.Kind == seccomp.Allow || unsaid && (allows || !lifted) && c.s.Name() != "clone3" {
		return nil
	}
	out := seccomp.Rule{Syscalls: []string{c.s.Name()}, Action: m.p.otherwise}
	rest, ok := otherwise(c.cases)
	if !ok {
		return m.fail(c.cases[0].line, "%s: too many comparisons that must all fail for the default action", c.s.Name())
	}
	if len(rest) == 0 {
		return nil
	}
	out.When = when(rest)
	m.out.Rules = append(m.out.Rules, out)
	return nil
}

// when writes alternatives, single values of one argument together.
func when(any [][]term) (out []string) {
	values := [6][]uint64{}
	for _, all := range any {
		if len(all) == 1 && all[0].value() {
			values[all[0].arg] = append(values[all[0].arg], all[0].lo)
			continue
		}
		out = append(out, text(all))
	}
	for arg, list := range values {
		slices.Sort(list)
		list = slices.Compact(list)
		if len(list) == 0 {
			continue
		}
		var parts []string
		for i := 0; i < len(list); i++ {
			first := i
			for i+1 < len(list) && list[i+1] == list[i]+1 {
				i++
			}
			part := fmt.Sprintf("%#x", list[first])
			if i > first {
				part += fmt.Sprintf("..%#x", list[i])
			}
			parts = append(parts, part)
		}
		if len(list) == 1 {
			out = append(out, fmt.Sprintf("arg%d == %s", arg, parts[0]))
		} else {
			out = append(out, fmt.Sprintf("arg%d in {%s}", arg, strings.Join(parts, ", ")))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
