package plan

import (
	"sbx/ns"
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

// OwnNetwork says whether the network namespace is a new one, and HostPIDs whether a
// process has the same number inside as on the host.
func (p *Plan) OwnNetwork() bool { return p.New&ns.Net != 0 }

// HostPIDs is described there.
func (p *Plan) HostPIDs() bool { return (p.New|p.Joined)&ns.PID == 0 }

// Relayed says whether the launcher accepts connections that the target makes.
func (p *Plan) Relayed() bool { return p.Gateway != nil && len(p.Gateway.Rules) > 0 }
