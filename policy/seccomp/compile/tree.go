package compile

import "sbx/policy/seccomp"

// part is a range of system call numbers, from lo to before the next part,
// with what decides about them.
type part struct {
	lo uint32
	to *node
}

// divide makes a search tree over parts. It is balanced by weight rather than
// by number: calls whose arguments are asked for are found first, since the
// kernel answers those that are always allowed from a cache (since 5.11) and
// runs the filter for the others only; then those that programs make most.
func (b *builder) divide(parts []part, a *seccomp.Answers) *node {
	t := &tree{b: b, parts: parts, weight: make([]int, len(parts))}
	for i := range parts {
		t.weight[i] = 1
	}
	for _, c := range a.Calls {
		if len(c.Clauses) > 1 {
			t.weight[t.find(c.Number)] += 64
		}
	}
	for _, name := range hot() {
		s, err := seccomp.LookupSyscall(name)
		if err != nil {
			continue // a test holds the list free of such names
		}
		if nr, ok := s.Number(a.Arch); ok {
			t.weight[t.find(nr)] += 8
		}
	}
	return t.node(0, len(parts))
}

// hot lists the calls that programs make most.
func hot() []string {
	return []string{
		"read", "write", "futex", "epoll_wait", "epoll_pwait", "recvfrom", "sendto", "recvmsg", "sendmsg", "poll",
		"ppoll", "openat", "close", "fstat", "newfstatat", "lseek", "mmap", "munmap", "mprotect", "rt_sigprocmask",
		"readv", "writev", "clock_gettime", "getpid", "fcntl",
	}
}

type tree struct {
	b      *builder
	parts  []part
	weight []int
}

// find is the part that a number is in.
func (t *tree) find(nr uint32) int {
	i := len(t.parts) - 1
	for t.parts[i].lo > nr {
		i--
	}
	return i
}

// node makes the tree over parts from lo to before hi.
func (t *tree) node(lo, hi int) *node {
	if hi-lo == 1 {
		return t.parts[lo].to
	}
	// One number between two parts that are decided alike takes one
	// comparison rather than two.
	if p := t.parts[lo:hi]; len(p) == 3 && p[0].to == p[2].to && p[1].lo+1 == p[2].lo {
		return t.b.jump(opJeq, p[1].lo, p[1].to, p[0].to)
	}
	total, half := 0, 0
	for _, w := range t.weight[lo:hi] {
		total += w
	}
	mid := lo
	for mid < hi-1 && (mid == lo || 2*(half+t.weight[mid]) <= total) {
		half += t.weight[mid]
		mid++
	}
	right := t.node(mid, hi)
	return t.b.jump(opJge, t.parts[mid].lo, right, t.node(lo, mid))
}
