package main

import (
	"fmt"

	"sbx/policies"
	"sbx/policy/seccomp"
)

// filters are the seccomp programs that sbx has embedded for policy pure, in
// load order; the others are fed the same bytes.
func (b *runner) filters() ([][]byte, error) {
	p, err := policies.Find("pure")
	if err != nil {
		return nil, err
	}
	var list [][]byte
	for _, program := range policies.Filters(&p.Seccomp, seccomp.Native()) {
		list = append(list, program)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("policy pure has no embedded filter for this machine")
	}
	return list, nil
}
