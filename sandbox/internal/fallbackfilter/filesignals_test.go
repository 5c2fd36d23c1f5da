package fallbackfilter

import (
	"slices"
	"testing"

	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
)

// TestFileSignals asks the programs by numbers from the kernel's own headers.
func TestFileSignals(t *testing.T) {
	const allow, perm, pretended = 0x7fff0000, 0x50001, 0x50000
	const async, nonblock = 0x2000, 0x800
	for _, x := range []struct {
		machine      seccomp.Arch
		audit        uint32
		fcntl, ioctl []uint32
	}{
		{seccomp.AMD64, amd64ABI, []uint32{72}, []uint32{16}},
		{seccomp.AMD64, amd64ABI, []uint32{x32 | 72}, []uint32{x32 | 514}},
		{seccomp.AMD64, i386ABI, []uint32{55, 221}, []uint32{54}},
		{seccomp.ARM64, arm64ABI, []uint32{25}, []uint32{29}},
		{seccomp.ARM64, armABI, []uint32{55, 221}, []uint32{54}},
	} {
		check := func(nr uint32, cmd, arg uint64, want uint32) {
			t.Helper()
			for _, f := range []Filter{FileSignals, NestFileSignals} {
				code, err := bpf.Decode(f.Program(x.machine))
				if err != nil {
					t.Fatal(err)
				}
				want := want
				if fcntl := slices.Contains(x.fcntl, nr); f == NestFileSignals && fcntl && (uint32(cmd) == 4 || uint32(cmd) == 8) {
					want = allow // what sbx itself needs
				}
				c := bpf.Call{Audit: x.audit, Number: nr, Args: [6]uint64{0, cmd, arg}}
				if got, _ := bpf.Run(code, c); got != want {
					t.Errorf("%#x: %s: call %d, %#x, %#x: %#x, want %#x", x.audit, f, nr, cmd, arg, got, want)
				}
			}
		}
		for _, nr := range x.fcntl {
			for cmd := range uint64(40) {
				want := uint32(allow)
				switch cmd {
				case 10, 15: // F_SETSIG, F_SETOWN_EX
					want = perm
				case 8: // F_SETOWN
					want = pretended
				}
				for _, high := range []uint64{0, 1 << 32} {
					check(nr, cmd|high, nonblock, want)
					if cmd == 4 { // F_SETFL
						check(nr, cmd|high, async, perm)
						check(nr, cmd|high, async|nonblock, perm)
					}
				}
			}
		}
		for _, nr := range x.ioctl {
			for _, high := range []uint64{0, 1 << 32} {
				check(nr, 0x8901|high, 1, perm)      // FIOSETOWN
				check(nr, 0x8902|high, 1, perm)      // SIOCSPGRP
				check(nr, 0x5452|high, 1, pretended) // FIOASYNC
				check(nr, 0x5421|high, 1, allow)     // FIONBIO
				check(nr, 0x5410|high, 1, allow)     // TIOCSPGRP, by which job control lives
				check(nr, 0x8903|high, 1, allow)     // FIOGETOWN
			}
		}
		known := map[uint32]bool{}
		for _, nr := range append(x.fcntl, x.ioctl...) {
			known[nr] = true
		}
		for nr := range uint32(600) {
			if number := x.fcntl[0]&x32 | nr; !known[number] {
				check(number, 4, async, allow)
				check(number, 0x8901, async, allow)
			}
		}
	}
}
