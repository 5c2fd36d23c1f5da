// Package fallbackfilter has small filters that stand in for walls of Landlock which
// the kernel does not know yet. They are made ahead, and loaded beneath the
// policy's own, since they depend on the kernel and not on the policy.
package fallbackfilter

import "sbx/policy/seccomp"

//go:generate go run ./gen

// Filter is one of them.
type Filter int

const (
	// UnixSockets leaves no way to a Unix socket that has a path or an abstract
	// name, where Landlock cannot tell those of the outside from those of the
	// sandbox (before ABI 9, Linux 7.1).
	//
	// A filter does not see whom connect(2) calls, so there is no socket to call
	// with. Pairs of sockets stay, which is what most programs have them for, but
	// for those of datagrams: these, connected as they are, can still send to any
	// other name. A stream or a sequenced packet socket that is connected is so
	// for good.
	UnixSockets Filter = iota
	// GroupSignals keeps signals from the process group that the target shares
	// with the outside at a terminal, where Landlock does not keep them in the
	// sandbox (before ABI 6, Linux 6.12). Inside, no number but 0 means that group
	// to kill(2): it belongs to another pid namespace.
	//
	// What stops and continues a job goes through, as it does from the terminal
	// itself: an editor's Ctrl-Z is a kill(0, SIGTSTP).
	GroupSignals
	filters
)

// String is what the plan calls it.
func (f Filter) String() string {
	return [...]string{"no Unix sockets but pairs", "no signals to the terminal's job"}[f]
}

// Policy is what the filter means: everything is allowed but this. It is no
// part of a target's policy, since it depends on the kernel.
func (f Filter) Policy(a seccomp.Arch) *seccomp.Policy {
	p := &seccomp.Policy{
		Default: seccomp.Action{Kind: seccomp.Allow}, Unknown: seccomp.Action{Kind: seccomp.Allow},
		Allow: []string{"@nest", "@terminal-input"}, // lifts the built-in rules, which are the other filter's
	}
	refuse := func(errno uint16, call, when string) {
		p.Rules = append(p.Rules, seccomp.Rule{Syscalls: []string{call}, When: []string{when}, Action: seccomp.Action{Kind: seccomp.Errno, Errno: errno}})
	}
	switch f {
	case UnixSockets:
		const noFamily = 97 // EAFNOSUPPORT, of a kernel without Unix sockets
		refuse(noFamily, "socket", "arg0 == AF_UNIX")
		refuse(noFamily, "socketpair", "arg0 == AF_UNIX && arg1 & SOCK_TYPE_MASK not in {SOCK_STREAM, SOCK_SEQPACKET}")
	case GroupSignals:
		// None, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH.
		refuse(1, "kill", "arg0 == 0 && arg1 not in {0, 18, 20..22, 28}") // EPERM
	}
	// All that the machine runs: the other filter kills what is not listed.
	for _, other := range seccomp.Arches() {
		if other != a && other.Compiles() && a.Runs(other) {
			p.Architectures = append(p.Architectures, other.String())
		}
	}
	return p
}

// Program is the filter for a machine of that architecture, made ahead; none
// for one that sbx is not built for.
func (f Filter) Program(a seccomp.Arch) seccomp.Program {
	switch a {
	case seccomp.AMD64:
		return seccomp.Program(amd64[f])
	case seccomp.ARM64:
		return seccomp.Program(arm64[f])
	}
	return nil
}

// Filters are all that there are.
func Filters() []Filter {
	all := make([]Filter, filters)
	for i := range all {
		all[i] = Filter(i)
	}
	return all
}
