package main

import (
	"sbx/policy"
	"sbx/policy/seccomp"
)

func programs(p *policy.Policy) ([]seccomp.Program, error) {
	return []seccomp.Program{{6, 0, 0, 0, 0, 0, 0xff, 0x7f}}, nil
}
