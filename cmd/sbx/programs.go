package main

import (
	"fmt"

	"sbx/policies"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/cache"
	"sbx/policy/seccomp/compile"
)

// programsFor are the policy's seccomp filters for a machine of an
// architecture: made ahead where a shipped policy says the same, else kept
// from the last time or compiled now. There is always one.
func programsFor(p *policy.Policy, a seccomp.Arch) ([]seccomp.Program, error) {
	if list := policies.Filters(p.Calls(), a); list != nil {
		return list, nil
	}
	kept := cache.User()
	defer kept.Close()
	list, err := compile.Compile(p.Calls(), a, kept)
	if err != nil {
		return nil, fmt.Errorf("compile the seccomp filter of policy %s: %w", p.Name, err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("compile the seccomp filter of policy %s: there is none for %s", p.Name, a)
	}
	return list, nil
}
