package plan

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
	"sbx/sandbox/internal/host"
)

// filters are decoded seccomp programs, to find out what they return for a call.
type filters [][]bpf.Instruction

// decode decodes the programs. It is an error if the kernel would refuse one.
func decode(programs []seccomp.Program, name string) (filters, error) {
	list := make(filters, 0, len(programs))
	for _, p := range programs {
		code, err := bpf.Decode(p)
		if err != nil {
			return nil, fmt.Errorf("read the seccomp filter of policy %s: %w", name, err)
		}
		list = append(list, code)
	}
	if !list.allow(unix.SYS_EXECVE) {
		return nil, &host.NeedError{
			Reason: host.NothingRuns,
			What:   fmt.Sprintf("policy %s lets nothing run: its filter denies execve", name),
			Fix:    "add \"execve\" to allow in the policy's [seccomp]",
		}
	}
	return list, nil
}

// allow says whether every filter allows the native system call nr, with args as its first
// arguments and zeros for the others.
func (f filters) allow(nr uint32, args ...uint64) bool {
	c := bpf.Call{Audit: seccomp.Native().Audit(), Number: nr}
	copy(c.Args[:], args)
	for _, code := range f {
		switch ret, _ := bpf.Run(code, c); ret & unix.SECCOMP_RET_ACTION_FULL {
		case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG:
		default:
			return false
		}
	}
	return true
}
