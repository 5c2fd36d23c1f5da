package oci

import (
	"fmt"
	"slices"
	"strings"

	"sbx/policy"
	"sbx/policy/seccomp"
)

// Target is what a profile's conditions are about.
type Target struct {
	// Arch is the machine's architecture.
	Arch seccomp.Arch
	// Kernel is the release of the kernel that runs. The zero value is not
	// known, and an error if the profile asks for it.
	Kernel seccomp.Release
	// Capabilities are those that are kept, without "cap_".
	Capabilities []string
}

// Policy gives the policy that answers each call as runc would under the
// profile, with two differences. Arguments count as wide as the kernel reads
// them, so that what is in the upper half of an int changes no answer. And
// what the profile's architectures leave out is killed with its process, not
// its thread.
//
// runc's ways, which are partly libseccomp's: a rule with the default action
// is none; of a call's rules without args the first counts, and then none with
// args; where a rule compares one argument twice, each of its comparisons is
// a rule; calls with a number above all those listed, and such as have no
// name, answer ENOSYS if the default refuses.
//
// Where rules with different actions hold for the same arguments, the runtimes
// do not say which counts. Here it is the strictest. An error is a *policy.Error.
//
// notes say what in the profile has no effect, and where rules overlap.
func (p *Profile) Policy(t Target) (out *seccomp.Policy, notes []string, err error) {
	m := &importer{p: p, t: t, notes: slices.Clone(p.notes), calls: map[string]*call{}, last: map[seccomp.Arch]uint32{}}
	if err := m.architectures(); err != nil {
		return nil, nil, err
	}
	if err := m.collect(); err != nil {
		return nil, nil, err
	}
	m.out.Default, m.out.Unknown = p.otherwise, p.otherwise
	if m.refuses() && m.last[t.Arch] > 0 {
		m.out.Unknown = seccomp.Action{Kind: seccomp.Errno, Errno: enosys}
	}
	for s := range seccomp.Syscalls() {
		if err := m.answer(s); err != nil {
			return nil, nil, err
		}
	}
	if err := m.finish(); err != nil {
		return nil, nil, err
	}
	return &m.out, m.notes, nil
}

const enosys = 38

// importer makes one policy.
type importer struct {
	p     *Profile
	t     Target
	abis  []seccomp.Arch
	calls map[string]*call
	// last is the highest number of a listed call.
	last  map[seccomp.Arch]uint32
	out   seccomp.Policy
	notes []string
	// fixed are calls with one answer, ruled those with conditions.
	fixed []fixed
	ruled []ruled
}

// call is what the profile says of one call.
type call struct {
	always *rule
	rules  []*rule
}

type fixed struct {
	s      seccomp.Syscall
	action seccomp.Action
}

// ruled is a call with its alternatives by action. Where none holds, the
// answer is the default.
type ruled struct {
	s     seccomp.Syscall
	cases []alternative
}

type alternative struct {
	action seccomp.Action
	all    []term
	line   int
}

func (m *importer) fail(line int, format string, args ...any) error {
	e := &policy.Error{File: m.p.file, Line: line, Col: 1, Msg: fmt.Sprintf(format, args...)}
	return e
}

// refuses reports whether calls that nothing names are not made.
func (m *importer) refuses() bool {
	return m.p.otherwise.Kind != seccomp.Allow && m.p.otherwise.Kind != seccomp.Log
}

func (m *importer) architectures() error {
	if !m.t.Arch.Compiles() {
		return m.fail(0, "no filters can be made for %s", m.t.Arch)
	}
	names := m.p.arches
	if len(names) == 0 {
		for arch, subs := range m.p.archMap {
			if a, err := seccomp.ParseArch(arch); err == nil && a == m.t.Arch {
				names = subs
			}
		}
	}
	m.abis = []seccomp.Arch{m.t.Arch}
	for _, name := range names {
		a, err := seccomp.ParseArch(name)
		if err != nil || !m.t.Arch.Runs(a) || slices.Contains(m.abis, a) {
			continue // another machine's
		}
		m.abis = append(m.abis, a)
		m.out.Architectures = append(m.out.Architectures, a.String())
	}
	slices.Sort(m.out.Architectures)
	return nil
}

// counts reports whether a rule is for this machine and container.
func (m *importer) counts(r *rule) (bool, error) {
	arch := m.t.Arch.String()
	if arch == "386" {
		arch = "x86"
	}
	kept := func(c string) bool {
		return slices.Contains(m.t.Capabilities, strings.ToLower(strings.TrimPrefix(c, "CAP_")))
	}
	for _, f := range []filter{r.includes, r.excludes} {
		if f.kernel != nil && m.t.Kernel == (seccomp.Release{}) {
			return false, m.fail(r.line, "a rule for kernels from %s on, and which one runs is not known", f.kernel)
		}
	}
	reached := func(k *seccomp.Release) bool {
		return m.t.Kernel.Major > k.Major || m.t.Kernel.Major == k.Major && m.t.Kernel.Minor >= k.Minor
	}
	ex, in := r.excludes, r.includes
	switch {
	case slices.Contains(ex.arches, arch), slices.ContainsFunc(ex.caps, kept), ex.kernel != nil && reached(ex.kernel):
		return false, nil
	case len(in.arches) > 0 && !slices.Contains(in.arches, arch), in.kernel != nil && !reached(in.kernel):
		return false, nil
	case slices.ContainsFunc(in.caps, func(c string) bool { return !kept(c) }):
		return false, nil
	}
	return true, nil
}

// collect sorts the rules that count by call.
func (m *importer) collect() error {
	for i := range m.p.rules {
		r := &m.p.rules[i]
		ok, err := m.counts(r)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		for _, name := range r.names {
			s, err := seccomp.LookupSyscall(name)
			if err != nil {
				continue // one of foreignCalls
			}
			for _, a := range m.abis {
				if nr, ok := s.Number(a); ok {
					m.last[a] = max(m.last[a], nr)
				}
			}
			c := m.calls[name]
			if c == nil {
				c = &call{}
				m.calls[name] = c
			}
			switch {
			case r.action == m.p.otherwise:
				// The runtimes skip it.
			case len(r.args) > 0:
				c.rules = append(c.rules, r)
			case c.always == nil:
				c.always = r
			case c.always.action != r.action:
				m.note(r, name, c.always)
			}
		}
	}
	return nil
}

// note says that a rule counts for nothing because of another.
func (m *importer) note(r *rule, name string, by *rule) {
	m.notes = append(m.notes,
		fmt.Sprintf("%s:%d: %s for %s has no effect, as with other runtimes: the rule of line %d answers %s",
			m.p.file, r.line, r.action, name, by.line, by.action))
}

// answer works out what is answered to one call.
func (m *importer) answer(s seccomp.Syscall) error {
	home, nr, ok := m.number(s)
	if !ok {
		return nil
	}
	c := m.calls[s.Name()]
	switch {
	case c == nil && m.refuses() && m.last[home] > 0 && nr > m.last[home]:
		m.fixed = append(m.fixed, fixed{s, seccomp.Action{Kind: seccomp.Errno, Errno: enosys}})
	case c == nil || c.always == nil && len(c.rules) == 0:
		m.fixed = append(m.fixed, fixed{s, m.p.otherwise})
	case c.always != nil:
		for _, r := range c.rules {
			if r.action != c.always.action {
				m.note(r, s.Name(), c.always)
			}
		}
		m.fixed = append(m.fixed, fixed{s, c.always.action})
	default:
		return m.conditional(s, c.rules)
	}
	return nil
}

// number is a call's number on the machine, or on the first of the other
// architectures that has it.
func (m *importer) number(s seccomp.Syscall) (a seccomp.Arch, nr uint32, ok bool) {
	for _, a := range m.abis {
		if nr, ok := s.Number(a); ok {
			return a, nr, true
		}
	}
	return 0, 0, false
}

func (m *importer) conditional(s seccomp.Syscall, rules []*rule) error {
	c := ruled{s: s}
	for _, r := range rules {
		for _, args := range conjunctions(r.args) {
			all, ok, err := terms(s, args)
			if err != nil {
				return m.fail(r.line, "%s: %v", s.Name(), err)
			}
			if ok {
				c.cases = append(c.cases, alternative{r.action, all, r.line})
			}
		}
	}
	if len(c.cases) > maxCases {
		return m.fail(rules[0].line, "%s: more than %d comparisons", s.Name(), maxCases)
	}
	for i, x := range c.cases {
		for _, y := range c.cases[:i] {
			if x.action != y.action && meet(x.all, y.all) {
				note := fmt.Sprintf("%s:%d: %s: this rule answers %s where that of line %d answers %s: "+
					"the stricter counts, which runtimes do not promise",
					m.p.file, x.line, s.Name(), x.action, y.line, y.action)
				if !slices.Contains(m.notes, note) {
					m.notes = append(m.notes, note)
				}
			}
		}
	}
	if len(c.cases) == 0 { // none can hold
		m.fixed = append(m.fixed, fixed{s, m.p.otherwise})
		return nil
	}
	m.ruled = append(m.ruled, c)
	return nil
}

// conjunctions splits a rule as the runtimes do: comparisons of different
// arguments must all hold; if any argument is compared twice, each stands for
// itself.
func conjunctions(args []arg) [][]arg {
	seen := [6]bool{}
	for _, a := range args {
		if seen[a.index] {
			var out [][]arg
			for _, a := range args {
				out = append(out, []arg{a})
			}
			return out
		}
		seen[a.index] = true
	}
	return [][]arg{args}
}
