package seccomp

import (
	"slices"
	"strings"
)

// Key is the policy as far as it decides about calls, in a form that two
// policies share only if they answer every call alike: what its filter is
// found by, embedded or cached. How a filter is loaded (Log, SpecAllow,
// WaitKillable) is no part of it.
func (p *Policy) Key() string {
	var b strings.Builder
	line := func(key string, entries ...string) {
		b.WriteString(key)
		for _, e := range entries {
			b.WriteByte(' ')
			b.WriteString(e)
		}
		b.WriteByte('\n')
	}
	line("default", p.otherwise().String())
	line("unknown", p.unknown().String())
	line("allow", sorted(p.Allow)...)
	line("deny", sorted(p.Deny)...)
	for _, r := range p.Rules { // their order counts
		line("rule", sorted(r.Syscalls)...)
		for _, w := range sorted(r.When) {
			line("when", w)
		}
		line("then", r.Action.String())
	}
	// Of the order of architectures only how fast they are told apart depends.
	line("architectures", p.Architectures...)
	return b.String()
}

func sorted(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}
