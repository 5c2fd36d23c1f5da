// Package fallbackfilter has small seccomp filters that take the place of
// restrictions that the running kernel's Landlock does not have yet. They are
// compiled when sbx is built. They are loaded before the policy's own filters,
// and separately, since they depend on the kernel and not on the policy.
package fallbackfilter

import "sbx/policy/seccomp"

//go:generate go run ./gen

// Filter is one of these filters.
type Filter int

const (
	// UnixSockets denies connecting to all Unix sockets that have a path or an
	// abstract name. It is for kernels whose Landlock cannot tell the host's sockets
	// from the sandbox's (before ABI 9, Linux 7.1).
	//
	// A filter cannot see the address that connect(2) is called with, so the target
	// gets no socket to call it with. Pairs of sockets are allowed, which is what most
	// programs use, except for datagram pairs: although they are connected, they can
	// still send to any other name. A connected stream or sequenced-packet socket
	// cannot.
	UnixSockets Filter = iota
	// GroupSignals denies signals to the process group that the target shares with
	// the host's processes at a terminal. It is for kernels whose Landlock does not
	// keep signals in the sandbox (before ABI 6, Linux 6.12). Only the pid 0 means
	// that group to kill(2) inside, because it belongs to another pid namespace.
	//
	// Signals that stop and continue a job are allowed, as the terminal itself sends
	// them too: an editor's Ctrl-Z is a kill(0, SIGTSTP).
	GroupSignals
	filters
)

// String is the filter's name in the plan.
func (f Filter) String() string {
	return [...]string{"no Unix sockets but pairs", "no signals to the terminal's job"}[f]
}

// Policy is the filter's source: a policy that allows every other call.
func (f Filter) Policy(a seccomp.Arch) *seccomp.Policy {
	p := &seccomp.Policy{
		Default: seccomp.Action{Kind: seccomp.Allow}, Unknown: seccomp.Action{Kind: seccomp.Allow},
		// These lift the built-in rules, which the policy's own filter has.
		Allow: []string{"@nest", "@terminal-input"},
	}
	refuse := func(errno uint16, call, when string) {
		p.Rules = append(p.Rules, seccomp.Rule{
			Syscalls: []string{call},
			When:     []string{when},
			Action:   seccomp.Action{Kind: seccomp.Errno, Errno: errno},
		})
	}
	switch f {
	case UnixSockets:
		const noFamily = 97 // EAFNOSUPPORT, as from a kernel without Unix sockets
		refuse(noFamily, "socket", "arg0 == AF_UNIX")
		refuse(noFamily, "socketpair", "arg0 == AF_UNIX && arg1 & SOCK_TYPE_MASK not in {SOCK_STREAM, SOCK_SEQPACKET}")
	case GroupSignals:
		// The allowed ones are 0, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH.
		refuse(1, "kill", "arg0 == 0 && arg1 not in {0, 18, 20..22, 28}") // EPERM
	}
	// All architectures that the machine runs: the policy's filter denies the others.
	for _, other := range seccomp.Arches() {
		if other != a && other.Compiles() && a.Runs(other) {
			p.Architectures = append(p.Architectures, other.String())
		}
	}
	return p
}

// Program is the compiled filter for a machine of that architecture, or nil where
// sbx is not built for it.
func (f Filter) Program(a seccomp.Arch) seccomp.Program {
	switch a {
	case seccomp.AMD64:
		return seccomp.Program(amd64[f])
	case seccomp.ARM64:
		return seccomp.Program(arm64[f])
	}
	return nil
}

// Filters lists all filters.
func Filters() []Filter {
	all := make([]Filter, filters)
	for i := range all {
		all[i] = Filter(i)
	}
	return all
}
