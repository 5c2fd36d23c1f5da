package fallbackfilter

import (
	"testing"

	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
)

// TestOwnProcess asks the program by numbers from the kernel's own headers.
func TestOwnProcess(t *testing.T) {
	const perm = 1
	type nrs struct{ prlimit, affinity, attr, param, scheduler, migrate, move, priority, ioprio uint32 }
	for _, x := range []struct {
		machine seccomp.Arch
		audit   uint32
		nrs
	}{
		{seccomp.AMD64, amd64ABI, nrs{302, 203, 314, 142, 144, 256, 279, 141, 251}},
		{seccomp.AMD64, amd64ABI, nrs{x32 | 302, x32 | 203, x32 | 314, x32 | 142, x32 | 144, x32 | 256, x32 | 533,
			x32 | 141, x32 | 251}},
		{seccomp.AMD64, i386ABI, nrs{340, 241, 351, 154, 156, 294, 317, 97, 289}},
		{seccomp.ARM64, arm64ABI, nrs{261, 122, 274, 118, 119, 238, 239, 140, 30}},
		{seccomp.ARM64, armABI, nrs{369, 241, 380, 154, 156, 400, 344, 97, 314}},
	} {
		check := func(want uint32, nr uint32, args ...uint64) {
			t.Helper()
			c := bpf.Call{Audit: x.audit, Number: nr}
			copy(c.Args[:], args)
			if got := errno(t, OwnProcess, x.machine, c); got != want {
				t.Errorf("%#x: call %d %#x: errno %d, want %d", x.audit, nr, args, got, want)
			}
		}
		for _, high := range []uint64{0, 1 << 32} {
			for _, pid := range []uint64{0, 1, 2, 1 << 31, 1<<32 - 1} {
				var want uint32
				if pid != 0 {
					want = perm
				}
				check(0, x.prlimit, pid|high, 7, 0, 0x1000)
				check(want, x.prlimit, pid|high, 7, 0x1000, 0)
				for _, nr := range []uint32{x.affinity, x.attr, x.param, x.scheduler, x.migrate, x.move} {
					check(want, nr, pid|high, 8, 0x1000)
				}
				check(want, x.priority, high, pid|high, 5)
				check(want, x.ioprio, 1|high, pid|high, 5)
				for which := range uint64(5) {
					if which != 0 {
						check(perm, x.priority, which|high, pid, 5)
					}
					if which != 1 {
						check(perm, x.ioprio, which|high, pid, 5)
					}
				}
			}
		}
		known := map[uint32]bool{x.prlimit: true, x.affinity: true, x.attr: true, x.param: true, x.scheduler: true,
			x.migrate: true, x.move: true, x.priority: true, x.ioprio: true}
		for nr := range uint32(600) {
			if number := x.prlimit&x32 | nr; !known[number] {
				check(0, number, 5, 5, 5)
			}
		}
	}
}
