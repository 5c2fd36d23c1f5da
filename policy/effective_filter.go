package policy

import (
	"slices"

	"sbx/policy/seccomp"
)

// Calls is what the policy says of system calls, with the calls that nesting
// takes and without those that would lead past its ports, or leave a set-id
// file in a directory of the host that can be written. Whoever exports or
// explains a resolved policy asks here, so that all mean the same.
func (p *Policy) Calls() *seccomp.Policy {
	calls := p.LaunchCalls()
	if !NotFalse(p.Files.SetID) {
		calls.Rules = append(slices.Clone(calls.Rules), seccomp.SetIDRules(!IsTrue(p.Process.Nest))...)
	}
	return calls
}

// LaunchCalls is Calls without what keeps set-id files from the host. A launch
// loads a filter of this, and another one where there is something of the host
// to be written: see package sandbox/internal/plan.
func (p *Policy) LaunchCalls() *seccomp.Policy {
	calls := p.Seccomp
	if IsTrue(p.Process.Nest) {
		calls.Allow = append(slices.Clone(calls.Allow), "@nest")
		calls.Rules = slices.DeleteFunc(slices.Clone(calls.Rules), hidesOpenat2)
	}
	if p.Network.Bind != nil || p.Network.Connect != nil {
		calls.Rules = append(slices.Clone(calls.Rules), p.Network.rules()...)
	}
	return &calls
}

// hidesOpenat2 says whether the rule refuses openat2 whatever it is to open. sbx
// could not nest without the call.
func hidesOpenat2(r seccomp.Rule) bool {
	return len(r.When) == 0 && slices.Equal(r.Syscalls, []string{"openat2"})
}

// rules leave of the network what Landlock can check: TCP that is bound and
// connected by the calls of these names. Landlock knows no other protocol by
// port before ABI 10, and none of its hooks sees a connection that sendto makes
// by MSG_FASTOPEN, or that io_uring does.
func (n *Network) rules() []seccomp.Rule {
	const (
		perm          = 1  // EPERM
		access        = 13 // EACCES, as Landlock says it
		noProtocol    = 93 // EPROTONOSUPPORT: what makes programs do without MPTCP
		notSupported  = 95 // EOPNOTSUPP
		noSuchFamily  = 97 // EAFNOSUPPORT
		internet      = "arg0 in {AF_INET, AF_INET6} && "
		otherFamilies = "arg0 not in {AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}"
	)
	rule := func(errno uint16, calls []string, when ...string) seccomp.Rule {
		return seccomp.Rule{Syscalls: calls, When: when, Action: seccomp.Action{Kind: seccomp.Errno, Errno: errno}}
	}
	rules := []seccomp.Rule{
		rule(noSuchFamily, []string{"socket"}, otherFamilies),
		rule(noProtocol, []string{"socket"}, internet+"arg1 & SOCK_TYPE_MASK != SOCK_STREAM",
			internet+"arg2 not in {0, IPPROTO_TCP}"),
		rule(notSupported, []string{"sendto", "sendmmsg"}, "arg3 & MSG_FASTOPEN != 0"),
		rule(notSupported, []string{"sendmsg"}, "arg2 & MSG_FASTOPEN != 0"),
		rule(notSupported, []string{"setsockopt"}, "arg1 == IPPROTO_TCP && arg2 == TCP_FASTOPEN_CONNECT"),
		rule(perm, []string{"io_uring_setup"}),
	}
	if n.Bind != nil && len(n.Bind) == 0 {
		rules = append(rules, rule(access, []string{"listen"}))
	}
	return rules
}
