// Package nounix has a second, small filter, which leaves no way to a Unix
// socket that has a path or an abstract name. It is loaded where Landlock
// cannot tell those of the outside from those of the sandbox (before ABI 9,
// Linux 7.1).
//
// A filter does not see whom connect(2) calls, so there is no socket to call
// with. Pairs of sockets stay, which is what most programs have them for, but
// for those of datagrams: these, connected as they are, can still send to any
// other name. A stream or a sequenced packet socket that is connected is so for
// good.
package nounix

import "sbx/policy/seccomp"

//go:generate go run ./gen

// Policy is what the filter means: everything is allowed but this. It is no
// part of a target's policy, since it depends on the kernel.
func Policy(a seccomp.Arch) *seccomp.Policy {
	const noFamily = 97 // EAFNOSUPPORT, of a kernel without Unix sockets
	allow, refuse := seccomp.Action{Kind: seccomp.Allow}, seccomp.Action{Kind: seccomp.Errno, Errno: noFamily}
	p := &seccomp.Policy{
		Default: allow, Unknown: allow,
		Allow: []string{"@nest", "@terminal-input"}, // lifts the built-in rules, which are the other filter's
		Rules: []seccomp.Rule{
			{Syscalls: []string{"socket"}, When: []string{"arg0 == AF_UNIX"}, Action: refuse},
			{Syscalls: []string{"socketpair"}, When: []string{"arg0 == AF_UNIX && arg1 & SOCK_TYPE_MASK not in {SOCK_STREAM, SOCK_SEQPACKET}"}, Action: refuse},
		},
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
func Program(a seccomp.Arch) seccomp.Program {
	switch a {
	case seccomp.AMD64:
		return seccomp.Program(amd64)
	case seccomp.ARM64:
		return seccomp.Program(arm64)
	}
	return nil
}
