package seccomp

import "slices"

// sub is a call that a multiplexer makes for the number in its argument 0.
type sub struct {
	nr   uint64
	name string
}

// multiplexed lists what a call stands for on an architecture, if it is a
// multiplexer: see socketcall(2) and ipc(2).
func multiplexed(a Arch, name string) []sub {
	if a != I386 {
		return nil
	}
	switch name {
	case "socketcall":
		return []sub{
			{1, "socket"}, {2, "bind"}, {3, "connect"}, {4, "listen"}, {5, "accept"}, {6, "getsockname"},
			{7, "getpeername"}, {8, "socketpair"}, {9, "send"}, {10, "recv"}, {11, "sendto"}, {12, "recvfrom"},
			{13, "shutdown"}, {14, "setsockopt"}, {15, "getsockopt"}, {16, "sendmsg"}, {17, "recvmsg"},
			{18, "accept4"}, {19, "recvmmsg"}, {20, "sendmmsg"},
		}
	case "ipc":
		return []sub{
			{1, "semop"}, {2, "semget"}, {3, "semctl"}, {4, "semtimedop"}, {11, "msgsnd"}, {12, "msgrcv"},
			{13, "msgget"}, {14, "msgctl"}, {21, "shmat"}, {22, "shmdt"}, {23, "shmget"}, {24, "shmctl"},
		}
	}
	return nil
}

// Multiplexed reports whether programs of an architecture make the call through
// another one, too: socketcall or ipc.
func Multiplexed(a Arch, name string) bool {
	is := func(s sub) bool { return s.name == name }
	return slices.ContainsFunc(multiplexed(a, "socketcall"), is) || slices.ContainsFunc(multiplexed(a, "ipc"), is)
}

// behindPointer reports whether a call's arguments lie in memory, where those
// of the same name elsewhere are in registers: mmap and select of 386 are the
// old ones.
func behindPointer(a Arch, name string) bool {
	return a == I386 && (name == "mmap" || name == "select")
}

// multiplexer answers for a multiplexer: as for the call that it makes, whose
// own arguments lie in memory; and at least as strictly as Deny and rules say
// of the multiplexer by its name. To allow it by name allows nothing.
func (r *resolver) multiplexer(s Syscall, subs []sub) ([]Clause, error) {
	own, err := r.direct(s)
	if err != nil {
		return nil, err
	}
	var out []Clause
	for _, c := range own {
		if c.Action.Kind != Allow && (len(c.Any) > 0 || c.Why != byDefault) {
			out = append(out, c)
		}
	}
	// ipc keeps a version in the upper half of the argument.
	mask := ones(32)
	if s.Name() == "ipc" {
		mask = ones(16)
	}
	for _, sub := range subs {
		call, err := LookupSyscall(sub.name)
		if err != nil {
			return nil, err
		}
		clauses, err := r.direct(call)
		if err != nil {
			return nil, err
		}
		c := strictest(clauses)
		c.Any = [][]Check{{{Arg: 0, Mask: mask, In: []Range{{sub.nr, sub.nr}}}}}
		c.Why = c.Why.note("for " + sub.name)
		out = append(out, c)
	}
	strictestFirst(out)
	return trim(cut(append(out, Clause{Action: r.p.otherwise(), Why: byDefault}))), nil
}
