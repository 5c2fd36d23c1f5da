package fallbackfilter

import (
	"testing"

	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
)

// TestHandedFilters asks the filters for sockets that are handed over, by
// numbers from the kernel's own headers: which calls are refused, which errno
// they get, and that nothing else is.
func TestHandedFilters(t *testing.T) {
	const perm, access, notSupported = 1, 13, 95
	const fastOpen, other = 0x20000000, 0x4000 // MSG_FASTOPEN, MSG_NOSIGNAL
	type call int
	const (
		bind call = iota
		connect
		listen
		sendto
		sendmsg
		sendmmsg
		calls
	)
	abis := []struct {
		machine seccomp.Arch
		audit   uint32
		nr      [calls]uint32
	}{
		{seccomp.AMD64, amd64ABI, [calls]uint32{49, 42, 50, 44, 46, 307}},
		{seccomp.AMD64, amd64ABI, [calls]uint32{x32 | 49, x32 | 42, x32 | 50, x32 | 44, x32 | 518, x32 | 538}},
		{seccomp.AMD64, i386ABI, [calls]uint32{361, 362, 363, 369, 370, 345}},
		{seccomp.ARM64, arm64ABI, [calls]uint32{200, 203, 201, 206, 211, 269}},
		{seccomp.ARM64, armABI, [calls]uint32{282, 283, 284, 290, 296, 374}},
	}
	type ask struct {
		call call
		args [6]uint64
	}
	plain := map[call]ask{
		bind: {bind, [6]uint64{3, 0x1000, 16}}, connect: {connect, [6]uint64{3, 0x1000, 16}}, listen: {listen, [6]uint64{3,
			5}},
		sendto: {sendto, [6]uint64{3, 0x1000, 5, other}}, sendmsg: {sendmsg, [6]uint64{3, 0x1000, other}},
		sendmmsg: {sendmmsg, [6]uint64{3, 0x1000, 1, other}},
	}
	addressed := ask{sendto, [6]uint64{3, 0x1000, 5, other, 0x2000, 16}}
	opens := []ask{
		{sendto, [6]uint64{3, 0x1000, 5, fastOpen | other, 0x2000, 16}}, {sendto, [6]uint64{3, 0x1000, 5, fastOpen | 1<<32}},
		{sendmsg, [6]uint64{3, 0x1000, fastOpen}}, {sendmmsg, [6]uint64{3, 0x1000, 1, fastOpen | other}},
	}
	for _, x := range abis {
		check := func(f Filter, a ask, want uint32) {
			t.Helper()
			c := bpf.Call{Audit: x.audit, Number: x.nr[a.call], Args: a.args}
			if got := errno(t, f, x.machine, c); got != want {
				t.Errorf("%#x: %s: call %d %#x: errno %d, want %d", x.audit, f, x.nr[a.call], a.args, got, want)
			}
		}
		for c, a := range plain {
			for f, refused := range map[Filter][]call{
				FastOpen: nil, Connect: {bind, connect}, Listen: {listen}, Addresses: {sendmsg, sendmmsg},
			} {
				var want uint32
				for _, r := range refused {
					if r == c {
						want = access
					}
				}
				check(f, a, want)
			}
		}
		check(FastOpen, addressed, 0)
		check(Connect, addressed, 0)
		check(Addresses, addressed, access)
		high := addressed
		high.args[4] = 1 << 40
		if x.audit == amd64ABI && x.nr[0]&x32 == 0 || x.audit == arm64ABI {
			check(Addresses, high, access)
		}
		for _, a := range opens {
			check(FastOpen, a, notSupported)
		}
		known := map[uint32]bool{}
		for _, nr := range x.nr {
			known[nr] = true
		}
		for _, f := range []Filter{FastOpen, Connect, Listen, Addresses} {
			for nr := range uint32(600) {
				number := x.nr[0]&x32 | nr
				if known[number] || x.audit == i386ABI && nr == 102 {
					continue
				}
				c := bpf.Call{Audit: x.audit, Number: number, Args: [6]uint64{3, 1, 1, fastOpen, 0x2000, 16}}
				want := uint32(0)
				if nr == uring {
					want = perm
				}
				if got := errno(t, f, x.machine, c); got != want {
					t.Errorf("%#x: %s: call %d: errno %d, want %d", x.audit, f, number, got, want)
				}
			}
		}
	}
	// socketcall has its arguments in memory, and so all that it could ask.
	for f, refused := range map[Filter]map[uint64]uint32{
		FastOpen: {11: notSupported, 16: notSupported, 20: notSupported}, Connect: {2: access, 3: access},
		Listen: {4: access}, Addresses: {11: access, 16: access, 20: access},
	} {
		for sub := range uint64(21) {
			c := bpf.Call{Audit: i386ABI, Number: 102, Args: [6]uint64{sub, 0x1000}}
			if got := errno(t, f, seccomp.AMD64, c); got != refused[sub] {
				t.Errorf("%s: socketcall %d: errno %d, want %d", f, sub, got, refused[sub])
			}
		}
	}
}
