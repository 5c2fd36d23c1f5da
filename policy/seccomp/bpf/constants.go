package bpf

import (
	"strings"

	"sbx/policy/seccomp"
)

// families says which constants an argument of a call takes: a prefix of their
// names, "|" before it if they are joined.
func families(call string, arg int) string {
	switch call {
	case "socket", "socketpair":
		return [6]string{"AF_", "SOCK_"}[arg]
	case "ioctl":
		return [6]string{1: "TIOC"}[arg]
	case "clone", "unshare":
		return [6]string{"|CLONE_"}[arg]
	case "setns":
		return [6]string{1: "|CLONE_"}[arg]
	case "personality":
		return [6]string{"|ADDR_"}[arg]
	case "prctl":
		return [6]string{"PR_"}[arg]
	case "mmap", "mmap2":
		return [6]string{2: "|PROT_", 3: "|MAP_"}[arg]
	case "mprotect", "pkey_mprotect":
		return [6]string{2: "|PROT_"}[arg]
	case "open":
		return [6]string{1: "|O_"}[arg]
	case "openat":
		return [6]string{2: "|O_"}[arg]
	case "fcntl", "fcntl64":
		return [6]string{1: "F_"}[arg]
	case "futex":
		return [6]string{1: "FUTEX_"}[arg]
	case "madvise":
		return [6]string{2: "MADV_"}[arg]
	case "ptrace":
		return [6]string{"PTRACE_"}[arg]
	case "keyctl":
		return [6]string{"KEYCTL_"}[arg]
	case "kill", "tkill":
		return [6]string{1: "SIG"}[arg]
	case "mount":
		return [6]string{3: "|MS_"}[arg]
	}
	return ""
}

// constant names a value that the calls of a fact are asked for, if all of
// them would call it the same.
func constant(f fact, v uint32) string {
	name := ""
	for i, c := range f.calls {
		s, ok := seccomp.SyscallByNumber(c.arch, c.nr)
		if !ok {
			return ""
		}
		family := families(s.Name(), (f.from-offArgs)/8)
		if f.masked && family != "SOCK_" && !strings.HasPrefix(family, "|") {
			return "" // a part of the number is not what the whole would be
		}
		n := nameIn(family, v, c.arch)
		if i > 0 && n != name {
			return ""
		}
		name = n
	}
	return name
}

func nameIn(family string, v uint32, a seccomp.Arch) string {
	prefix, joined := strings.CutPrefix(family, "|")
	if prefix == "" {
		return ""
	}
	for _, name := range seccomp.ConstantNames(prefix, uint64(v), a) {
		if name != "AF_FILE" && name != "AF_LOCAL" { // AF_UNIX to most people
			return name
		}
	}
	if !joined {
		return ""
	}
	var parts []string
	for bit := uint32(1); bit != 0; bit <<= 1 {
		if v&bit == 0 {
			continue
		}
		names := seccomp.ConstantNames(prefix, uint64(bit), a)
		if len(names) == 0 {
			return ""
		}
		parts = append(parts, names[0])
	}
	return strings.Join(parts, "|")
}
