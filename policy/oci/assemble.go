package oci

import (
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
	lifted := m.lift()
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
			m.out.Allow = append(m.out.Allow, name)
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
// says which calls are allowed thereby.
func (m *importer) lift() map[string]bool {
	grants := func(name string) bool {
		free := func(a seccomp.Action) bool { return a.Kind == seccomp.Allow || a.Kind == seccomp.Log }
		return slices.ContainsFunc(m.fixed, func(f fixed) bool { return f.s.Name() == name && free(f.action) }) ||
			slices.ContainsFunc(m.ruled, func(c ruled) bool {
				return c.s.Name() == name && (free(m.p.otherwise) || slices.ContainsFunc(c.cases, func(x alternative) bool { return free(x.action) }))
			})
	}
	lifted := map[string]bool{}
	for _, b := range seccomp.Builtins() {
		by := b.LiftedBy[0]
		if !grants(b.Syscall) || slices.Contains(m.out.Allow, by) {
			continue
		}
		m.out.Allow = append(m.out.Allow, by)
		calls, err := seccomp.Expand(by)
		if err != nil {
			panic(err) // the groups of built-in rules are there
		}
		for _, c := range calls {
			lifted[c] = true
		}
	}
	return lifted
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
		for _, y := range c.cases {
			if y.action == x.action {
				always = always || len(y.all) == 0
				out.When = append(out.When, text(y.all))
			}
		}
		if out.When = unique(out.When); always {
			out.When = nil
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
	for _, all := range rest {
		out.When = append(out.When, text(all))
	}
	out.When = unique(out.When)
	m.out.Rules = append(m.out.Rules, out)
	return nil
}

func unique(in []string) []string {
	slices.Sort(in)
	return slices.Compact(in)
}
