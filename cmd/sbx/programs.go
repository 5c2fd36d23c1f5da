package main

import (
	"fmt"

	"sbx/policies"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/cache"
	"sbx/policy/seccomp/compile"
)

// programs are the policy's seccomp filters: made ahead where a shipped
// policy says the same, else compiled now. There is always one.
func programs(p *policy.Policy) ([]seccomp.Program, error) {
	list := policies.Filters(&p.Seccomp, seccomp.Native())
	if list == nil {
		kept := cache.User()
		defer kept.Close()
		var err error
		if list, err = compile.Compile(&p.Seccomp, seccomp.Native(), kept); err != nil {
			return nil, fmt.Errorf("compile the seccomp filter of policy %s: %w", p.Name, err)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("compile the seccomp filter of policy %s: there is none for %s", p.Name, seccomp.Native())
	}
	return list, nil
}
