package policy

import (
	"fmt"
	"strings"

	"sbx/policy/seccomp"
)

// Origin is where an entry of a policy was written.
type Origin struct {
	Policy    string
	Line, Col int
}

// String is policy:line.
func (o Origin) String() string { return fmt.Sprintf("%s:%d", o.Policy, o.Line) }

// Source is a file that a policy was read from: its own, one that it extends, or
// a profile that it names. Dev and Ino are those of stat(2).
type Source struct {
	Path     string
	Dev, Ino uint64
}

// Sources are the files that the policy was read from, as far as it came from
// files: whoever writes to one of them decides what it will say the next time.
func (p *Policy) Sources() []Source { return p.sources }

// SetSources says from which files the policy was read.
func (p *Policy) SetSources(list []Source) { p.sources = list }

// Origin says where an entry of the list named key ("files.read") was
// written, as far as that is known: embedded policies are kept resolved,
// without it. The entry of a single value is "", that of a table by path, and
// of an option in it ("files.path.size"), the path.
func (p *Policy) Origin(key, entry string) (Origin, bool) {
	o, ok := p.origins[key+"\x00"+entry]
	return o, ok
}

// RuleOrigin is Origin for a [[seccomp.rule]].
func (p *Policy) RuleOrigin(r seccomp.Rule) (Origin, bool) {
	return p.Origin("seccomp.rule", ruleText(r))
}

func (p *Policy) note(f *field, entry string, o Origin) {
	if p.origins == nil {
		p.origins = map[string]Origin{}
	}
	p.origins[f.key+"\x00"+entry] = o
}

// noteAs takes over where q says it.
func (p *Policy) noteAs(f *field, entry string, q *Policy) {
	if o, ok := q.Origin(f.key, entry); ok {
		p.note(f, entry, o)
	}
}

func (p *Policy) noteRule(r seccomp.Rule, o Origin) {
	p.note(&field{key: "seccomp.rule"}, ruleText(r), o)
}

// ruleText is the rule in one line: two rules with the same text are one.
func ruleText(r seccomp.Rule) string {
	return strings.Join(r.Syscalls, " ") + "\x01" + strings.Join(r.When, "\x02") + "\x01" + r.Action.String()
}
