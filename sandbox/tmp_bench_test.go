package sandbox

import (
	"os"
	"slices"
	"testing"

	"sbx/ns"
	"sbx/policies"
	"sbx/policy"
	"sbx/sandbox/landlock"
	"sbx/sandbox/process"
	"sbx/sandbox/step"
)

func BenchmarkRoot(b *testing.B) {
	p, err := policies.Find("open")
	if err != nil {
		b.Fatal(err)
	}
	p, _ = p.Expand(policy.Vars{Home: "/root", User: "u", UID: os.Getuid()})
	p.Files = policy.Files{Read: []string{"/"}}
	p.Namespaces = policy.Namespaces{Net: "host", User: "new"}
	target := Target{Path: "/tmp/true", Args: []string{"/tmp/true"}, Env: nil, Dir: "/", PID: os.Getpid()}
	h, err := Probe(p, target)
	if err != nil {
		b.Fatal(err)
	}
	h.Terminal = false
	full, err := Build(p, allowAll, target, h)
	if err != nil {
		b.Fatal(err)
	}
	drop := func(f func(step.Step) bool) func(p *Plan) {
		return func(p *Plan) {
			p.Setup = slices.DeleteFunc(slices.Clone(p.Setup), f)
			p.Target = slices.DeleteFunc(slices.Clone(p.Target), f)
		}
	}
	mount := func(s step.Step) bool {
		switch s.(type) {
		case ns.RootBind, ns.Bind, ns.Covers, ns.Hide, ns.Uncover, ns.Dir, ns.File, ns.Symlink, ns.Tmpfs, ns.Devpts, ns.Proc, ns.Private, ns.Root, ns.Seal, ns.Pivot:
			return true
		}
		return false
	}
	for _, v := range []struct {
		name string
		edit func(*Plan)
	}{
		{"full", func(*Plan) {}},
		{"nothing", func(p *Plan) {
			p.New = 0
			var in []step.Step
			for _, s := range p.Target {
				if _, ok := s.(process.Exec); ok {
					in = append(in, s)
				}
			}
			p.Setup, p.Init, p.Target = nil, nil, in
		}},
		{"nothing but fork", func(p *Plan) {
			p.New = 0
			var in []step.Step
			for _, s := range p.Target {
				switch s.(type) {
				case process.Exec, process.Await:
					in = append(in, s)
				}
			}
			p.Setup, p.Init, p.Target = []step.Step{process.Fork{}}, []step.Step{process.Ready{}}, in
		}},
		{"no mounts", drop(mount)},
		{"no mounts, no namespaces but user, pid", func(p *Plan) { drop(mount)(p); p.New = ns.User | ns.PID }},
		{"no hide", drop(func(s step.Step) bool { _, ok := s.(ns.Hide); return ok })},
		{"no dev", drop(func(s step.Step) bool { x, ok := s.(ns.Bind); return ok && x.Device })},
		{"no landlock", drop(func(s step.Step) bool {
			switch s.(type) {
			case landlock.Ruleset, landlock.Rule, landlock.Restrict:
				return true
			}
			return false
		})},
	} {
		b.Run(v.name, func(b *testing.B) {
			plan := *full
			v.edit(&plan)
			for b.Loop() {
				ps, err := plan.Start()
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
