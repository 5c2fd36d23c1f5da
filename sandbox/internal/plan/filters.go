package plan

import (
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/process"
)

// Filter is a seccomp filter that the target loads.
type Filter struct {
	// Name is the filter's name in the plan, and Why what it is loaded for besides
	// the policy's own filter; empty: it is that.
	Name, Why string
	Program   seccomp.Program
}

// Filters are those of the plan in load order.
func (p *Plan) Filters() (list []Filter) {
	for _, s := range p.Target {
		if l, ok := s.(process.ListenSetID); ok {
			s = l.Seccomp
		}
		if f, ok := s.(process.Seccomp); ok {
			list = append(list, Filter{Name: f.Name, Why: f.Why, Program: seccomp.Program(f.Program)})
		}
	}
	return list
}
