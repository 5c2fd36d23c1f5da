package launch

import (
	"slices"
	"testing"

	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/plan"
)

// BenchmarkStart times launches with parts of the plan left out, to see what
// each part costs. Ratios between the lines of one run are what counts.
func BenchmarkStart(b *testing.B) {
	without := func(drop func(step.Step) bool) func(*plan.Plan) {
		return func(p *plan.Plan) {
			p.Setup = slices.DeleteFunc(slices.Clone(p.Setup), drop)
			p.Target = slices.DeleteFunc(slices.Clone(p.Target), drop)
		}
	}
	for _, v := range []struct {
		name string
		edit func(*plan.Plan)
	}{
		{"full", func(*plan.Plan) {}},
		{"no net", func(p *plan.Plan) {
			p.New &^= ns.Net
			without(func(s step.Step) bool { _, ok := s.(ns.Loopback); return ok })(p)
		}},
		{"no landlock", without(func(s step.Step) bool {
			switch s.(type) {
			case landlock.Ruleset, landlock.Rule, landlock.Restrict:
				return true
			}
			return false
		})},
		{"no masks", without(func(s step.Step) bool { _, ok := s.(ns.Mask); return ok })},
		{"no devpts", without(func(s step.Step) bool { _, ok := s.(ns.Devpts); return ok })},
		{"no etc", without(func(s step.Step) bool {
			x, ok := s.(ns.Bind)
			return ok && policy.Within(x.Dest, "/etc")
		})},
		{"no dev", without(func(s step.Step) bool { x, ok := s.(ns.Bind); return ok && x.Device })},
	} {
		b.Run(v.name, func(b *testing.B) {
			plan := planFor(b, "default", "/bin/true")
			v.edit(plan)
			for b.Loop() {
				ps, err := Start(plan)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := ps.Wait(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
