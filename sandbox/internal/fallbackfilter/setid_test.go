package fallbackfilter

import (
	"testing"

	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
)

// TestSetIDFilters asks the five filters by numbers from the kernel's own headers.
func TestSetIDFilters(t *testing.T) {
	const (
		allow, perm, noCall, notify = 0x7fff0000, 0x50001, 0x50026, 0x7fc00000
		suid, sgid                  = 0o4000, 0o2000
		none                        = 0xffffffff
		creat, tmpfile, append      = 0o100, 0o20000000, 0o2000
	)
	type nrs struct{ chmod, fchmod, fchmodat, fchmodat2, creat, mknod, mknodat, open, openat, openat2 uint32 }
	for _, x := range []struct {
		machine seccomp.Arch
		audit   uint32
		nrs
	}{
		{seccomp.AMD64, amd64ABI, nrs{90, 91, 268, 452, 85, 133, 259, 2, 257, 437}},
		{seccomp.AMD64, amd64ABI, nrs{x32 | 90, x32 | 91, x32 | 268, x32 | 452, x32 | 85, x32 | 133, x32 | 259, x32 | 2,
			x32 | 257, x32 | 437}},
		{seccomp.AMD64, i386ABI, nrs{15, 94, 306, 452, 8, 14, 297, 5, 295, 437}},
		{seccomp.ARM64, arm64ABI, nrs{none, 52, 53, 452, none, none, 33, none, 56, 437}},
		{seccomp.ARM64, armABI, nrs{15, 94, 333, 452, 8, 14, 324, 5, 322, 437}},
	} {
		for _, f := range []Filter{SetID, SetIDStrict, SetIDListen, SetIDListenStrict, SetIDListenOpen} {
			code, err := bpf.Decode(f.Program(x.machine))
			if err != nil {
				t.Fatal(err)
			}
			check := func(want uint32, nr uint32, args ...uint64) {
				t.Helper()
				if nr == none {
					return
				}
				c := bpf.Call{Audit: x.audit, Number: nr}
				copy(c.Args[:], args)
				if got, _ := bpf.Run(code, c); got != want {
					t.Errorf("%#x: %s: call %d %#o: %#x, want %#x", x.audit, f, nr, args, got, want)
				}
			}
			for _, mode := range []uint64{0, 0o755, 0o1777, suid | 0o755, sgid | 0o755, suid | sgid, 1<<16 | sgid} {
				made, changed := uint32(allow), uint32(allow)
				if mode&(suid|sgid) != 0 {
					made, changed = perm, perm
				}
				if mode&(suid|sgid) == sgid && f >= SetIDListen {
					changed = notify
				}
				for _, high := range []uint64{0, 1 << 32} {
					mode := mode | high
					check(changed, x.chmod, 0x1000, mode)
					check(changed, x.fchmod, 3, mode)
					check(changed, x.fchmodat, 3, 0x1000, mode)
					check(changed, x.fchmodat2, 3, 0x1000, mode, 0x1000)
					check(made, x.creat, 0x1000, mode)
					check(made, x.mknod, 0x1000, mode, 0)
					check(made, x.mknodat, 3, 0x1000, mode, 0)
					check(made, x.open, 0x1000, creat, mode)
					check(made, x.open, 0x1000, tmpfile|2, mode)
					check(allow, x.open, 0x1000, append, mode)
					check(made, x.openat, 3, 0x1000, creat|high, mode)
					check(made, x.openat, 3, 0x1000, tmpfile|2, mode)
					check(allow, x.openat, 3, 0x1000, append, mode)
				}
			}
			want := map[Filter]uint32{SetID: allow, SetIDStrict: noCall, SetIDListen: allow, SetIDListenStrict: noCall,
				SetIDListenOpen: notify}[f]
			check(want, x.openat2, 3, 0x1000, 0x2000, 24)
			known := map[uint32]bool{x.chmod: true, x.fchmod: true, x.fchmodat: true, x.fchmodat2: true, x.creat: true,
				x.mknod: true, x.mknodat: true, x.open: true, x.openat: true, x.openat2: true}
			for nr := range uint32(600) {
				if number := x.fchmod&x32 | nr; !known[number] {
					check(allow, number, 0o6777, 0o6777, 0o6777, 0o6777)
				}
			}
		}
	}
}
