package sandbox

import (
	"encoding/binary"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"sbx/policy/seccomp"
)

// call is what a filter sees of a system call: struct seccomp_data.
type call struct {
	nr   uint32
	args [6]uint64
}

// permitted makes sure that the filters let the target start at all.
func permitted(filters []seccomp.Program, name string) error {
	if len(filters) == 0 || allows(filters, call{nr: unix.SYS_EXECVE}) {
		return nil
	}
	return &NeedError{What: fmt.Sprintf("policy %s lets nothing run: its filter denies execve", name),
		Hint: "add \"execve\" to allow in the policy's [seccomp]"}
}

// allows says whether every filter answers the call with SECCOMP_RET_ALLOW or
// SECCOMP_RET_LOG. What it does not understand is not allowed.
func allows(filters []seccomp.Program, c call) bool {
	var data [64]byte
	binary.NativeEndian.PutUint32(data[0:], c.nr)
	arch := uint32(unix.AUDIT_ARCH_X86_64)
	if runtime.GOARCH == "arm64" {
		arch = unix.AUDIT_ARCH_AARCH64
	}
	binary.NativeEndian.PutUint32(data[4:], arch)
	for i, a := range c.args {
		binary.NativeEndian.PutUint64(data[16+8*i:], a)
	}
	for _, f := range filters {
		switch run(f, data) & unix.SECCOMP_RET_ACTION_FULL {
		case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG:
		default:
			return false
		}
	}
	return true
}

// run is the part of classic BPF that seccomp filters use; see
// Documentation/networking/filter.rst. Jumps only go forward, so it ends.
func run(f seccomp.Program, data [64]byte) uint32 {
	var a, x uint32
	var mem [16]uint32
	for pc := 0; pc*8+8 <= len(f); pc++ {
		in := f[pc*8:]
		code, jt, jf := binary.NativeEndian.Uint16(in), int(in[2]), int(in[3])
		k := binary.NativeEndian.Uint32(in[4:])
		src := k
		if code&unix.BPF_X != 0 {
			src = x
		}
		jump := func(yes bool) {
			if yes {
				pc += jt
			} else {
				pc += jf
			}
		}
		switch code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			if k > 60 || k%4 != 0 {
				return unix.SECCOMP_RET_KILL_PROCESS
			}
			a = binary.NativeEndian.Uint32(data[k:])
		case unix.BPF_LD | unix.BPF_IMM:
			a = k
		case unix.BPF_LDX | unix.BPF_IMM:
			x = k
		case unix.BPF_LD | unix.BPF_MEM:
			a = mem[k&15]
		case unix.BPF_LDX | unix.BPF_MEM:
			x = mem[k&15]
		case unix.BPF_ST:
			mem[k&15] = a
		case unix.BPF_STX:
			mem[k&15] = x
		case unix.BPF_MISC | unix.BPF_TAX:
			x = a
		case unix.BPF_MISC | unix.BPF_TXA:
			a = x
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, unix.BPF_ALU | unix.BPF_AND | unix.BPF_X:
			a &= src
		case unix.BPF_ALU | unix.BPF_OR | unix.BPF_K, unix.BPF_ALU | unix.BPF_OR | unix.BPF_X:
			a |= src
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(k)
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_X:
			jump(a == src)
		case unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, unix.BPF_JMP | unix.BPF_JGT | unix.BPF_X:
			jump(a > src)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, unix.BPF_JMP | unix.BPF_JGE | unix.BPF_X:
			jump(a >= src)
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, unix.BPF_JMP | unix.BPF_JSET | unix.BPF_X:
			jump(a&src != 0)
		case unix.BPF_RET | unix.BPF_K:
			return k
		case unix.BPF_RET | unix.BPF_A:
			return a
		default:
			return unix.SECCOMP_RET_KILL_PROCESS
		}
	}
	return unix.SECCOMP_RET_KILL_PROCESS
}
