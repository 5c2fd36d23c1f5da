package main

import (
	"fmt"

	"sbx/internal/cache"
	"sbx/internal/text"
	"sbx/policies"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/compile"
	"sbx/sandbox"
)

// programsFor are the seccomp filters of a policy with these calls for a machine
// of an architecture: made ahead where a shipped policy says the same, else kept
// from the last time or compiled now. There is always one.
func programsFor(p *policy.Policy, calls *seccomp.Policy, a seccomp.Arch) ([]seccomp.Program, error) {
	if list := policies.Filters(calls, a); list != nil {
		return list, nil
	}
	kept := cache.User()
	defer kept.Close()
	list, err := compile.Compile(calls, a, kept)
	if err != nil {
		return nil, fmt.Errorf("compile the seccomp filter of policy %s: %w", p.Name, err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("compile the seccomp filter of policy %s: there is none for %s", p.Name, a)
	}
	return list, nil
}

// filtersFor are all filters of a launch under the policy on a machine of the
// architecture. On this machine these are those that take the place of what its
// kernel lacks, too; on another one nobody knows, and on one where such a launch is
// refused there are the policy's own alone, and a note. calls is what the policy's own
// are made of.
func filtersFor(
	p *policy.Policy, a seccomp.Arch,
) (list []sandbox.Filter, calls *seccomp.Policy, note string, err error) {
	if a == seccomp.Native() {
		calls = p.LaunchCalls()
		own, err := programsFor(p, calls, a)
		if err != nil {
			return nil, nil, "", err
		}
		refused := error(nil)
		if list, refused = launchFilters(p.Name); refused == nil {
			return list, calls, "", nil
		}
		note = "a launch here is refused: " + text.OneLine(refused.Error())
		if list, err = sandbox.Filters(p, own); err == nil {
			return list, calls, note, nil
		}
	}
	calls = p.Calls()
	own, err := programsFor(p, calls, a)
	if err != nil {
		return nil, nil, "", err
	}
	for _, program := range own {
		list = append(list, sandbox.Filter{Name: p.Name, Program: program})
	}
	return list, calls, note, nil
}

// launchFilters are those of a launch of the policy without any other flag, from here.
func launchFilters(policy string) ([]sandbox.Filter, error) {
	l := newLaunch()
	l.Policy, l.tries = policy, true
	c, err := l.prepare([]string{"/"}, nil, nil)
	if err != nil {
		return nil, err
	}
	plan, err := c.Prepare()
	c.Release()
	if err != nil {
		return nil, err
	}
	return plan.Filters(), nil
}
