package policy

import (
	"testing"

	"sbx/policy/seccomp"
)

// TestPortCalls holds what is left of the network where ports are restricted:
// TCP by the calls that Landlock checks, and what never was the internet's.
func TestPortCalls(t *testing.T) {
	const (
		unix, inet, inet6, netlink, alg, vsock, smc = 1, 2, 10, 16, 38, 40, 43
		stream, dgram, raw, packet, seqpacket       = 1, 2, 3, 10, 5
		tcp, udp, icmp, sctp, mptcp                 = 6, 17, 1, 132, 262
		cloexec, nonblock                           = 0o2000000, 0o4000
		fastopen                                    = 0x20000000
		high                                        = 1 << 32
	)
	const perm, access, noProtocol, notSupported, noFamily = 1, 13, 93, 95, 97
	base := seccomp.Policy{Allow: []string{"@system-service", "io_uring_setup"}}
	for _, c := range []struct {
		name string
		args [6]uint64
		want uint16 // errno, 0 for allowed
	}{
		{"socket", [6]uint64{inet, stream, 0}, 0},
		{"socket", [6]uint64{inet, stream, tcp}, 0},
		{"socket", [6]uint64{inet6, stream | cloexec | nonblock, tcp}, 0},
		{"socket", [6]uint64{high | inet6, high | stream, high}, 0},
		{"socket", [6]uint64{unix, stream, 0}, 0},
		{"socket", [6]uint64{unix, dgram, 0}, 0},
		{"socket", [6]uint64{netlink, raw, 0}, 0},
		{"socket", [6]uint64{inet, stream, mptcp}, noProtocol},
		{"socket", [6]uint64{inet6, stream, sctp}, noProtocol},
		{"socket", [6]uint64{high | inet, stream, high | mptcp}, noProtocol},
		{"socket", [6]uint64{inet, dgram, 0}, noProtocol},
		{"socket", [6]uint64{inet, dgram | cloexec, udp}, noProtocol},
		{"socket", [6]uint64{inet6, dgram, icmp}, noProtocol},
		{"socket", [6]uint64{inet, raw, icmp}, noProtocol},
		{"socket", [6]uint64{inet, packet, 0}, noProtocol},
		{"socket", [6]uint64{inet6, seqpacket, sctp}, noProtocol},
		{"socket", [6]uint64{smc, stream, 0}, noFamily},
		{"socket", [6]uint64{alg, seqpacket, 0}, noFamily},
		{"socket", [6]uint64{high | vsock, stream, 0}, noFamily},
		{"sendto", [6]uint64{3, 0, 0, 0x4000}, 0},
		{"sendto", [6]uint64{3, 0, 0, fastopen | 0x4000}, notSupported},
		{"sendto", [6]uint64{3, 0, 0, high | fastopen}, notSupported},
		{"sendmsg", [6]uint64{3, 0, fastopen}, notSupported},
		{"sendmsg", [6]uint64{3, 0, 0x4000, fastopen}, 0},
		{"sendmmsg", [6]uint64{3, 0, 1, fastopen}, notSupported},
		{"setsockopt", [6]uint64{3, tcp, 30}, notSupported},
		{"setsockopt", [6]uint64{3, high | tcp, high | 30}, notSupported},
		{"setsockopt", [6]uint64{3, tcp, 1}, 0}, // TCP_NODELAY
		{"setsockopt", [6]uint64{3, 1, 30}, 0},
		{"io_uring_setup", [6]uint64{}, perm},
		{"connect", [6]uint64{}, 0},
		{"bind", [6]uint64{}, 0},
	} {
		for _, n := range []Network{{Bind: []string{"80"}}, {Connect: []string{}}} {
			p := &Policy{Seccomp: base, Network: n}
			for _, arch := range []seccomp.Arch{seccomp.AMD64, seccomp.ARM64} {
				answers, err := p.Calls().Answers(arch)
				if err != nil {
					t.Fatal(err)
				}
				s, err := seccomp.LookupSyscall(c.name)
				if err != nil {
					t.Fatal(err)
				}
				nr, _ := s.Number(arch)
				got := answers.Decide(nr, c.args).Action
				if (got.Kind == seccomp.Allow) != (c.want == 0) || got.Errno != c.want {
					t.Errorf("%v: %s%#x on %s: %v, want errno %d", n, c.name, c.args, arch, got, c.want)
				}
			}
		}
	}
	listens := func(n Network) bool {
		answers, err := (&Policy{Seccomp: base, Network: n}).Calls().Answers(seccomp.AMD64)
		if err != nil {
			t.Fatal(err)
		}
		return answers.Decide(50, [6]uint64{}).Action.Kind == seccomp.Allow
	}
	if !listens(Network{}) || !listens(Network{Connect: []string{}}) || !listens(Network{Bind: []string{"0"}}) {
		t.Error("nothing can listen, though it may bind")
	}
	if listens(Network{Bind: []string{}}) {
		t.Error("with no port to bind there is one to listen at")
	}
	if len(base.Rules) != 0 {
		t.Error("the policy itself was changed")
	}
}
