package nounix

import (
	"testing"

	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
	"sbx/policy/seccomp/compile"
)

// TestCurrent makes the programs anew and compares bytes.
func TestCurrent(t *testing.T) {
	for _, a := range []seccomp.Arch{seccomp.AMD64, seccomp.ARM64} {
		want, err := compile.Compile(Policy(a), a, nil)
		if err != nil {
			t.Fatal(err)
		}
		if string(Program(a)) != string(want[0]) {
			t.Errorf("%s is stale: run go generate ./sandbox/nounix", a)
		}
	}
	if Program(seccomp.I386) != nil {
		t.Error("there is a program for a machine that sbx is not built for")
	}
}

// TestAnswers asks the programs, by numbers from the kernel's own headers.
func TestAnswers(t *testing.T) {
	const high = 1 << 32
	const unix, stream, dgram, raw, seqpacket, flags = 1, 1, 2, 3, 5, 0o2004000
	const amd64, i386, arm64, arm = 0xc000003e, 0x40000003, 0xc00000b7, 0x40000028
	type abi struct {
		machine      seccomp.Arch
		audit        uint32
		socket, pair uint32
	}
	abis := []abi{
		{seccomp.AMD64, amd64, 41, 53}, {seccomp.AMD64, amd64, 0x40000000 | 41, 0x40000000 | 53}, {seccomp.AMD64, i386, 359, 360},
		{seccomp.ARM64, arm64, 198, 199}, {seccomp.ARM64, arm, 281, 288},
	}
	refused := func(x abi, nr uint32, args ...uint64) bool {
		code, err := bpf.Decode(Program(x.machine))
		if err != nil {
			t.Fatal(err)
		}
		c := bpf.Call{Audit: x.audit, Number: nr}
		copy(c.Args[:], args)
		switch ret, _ := bpf.Run(code, c); ret {
		case 0x7fff0000:
			return false
		case 0x50061:
			return true
		default:
			t.Fatalf("%#x %d%#x: %#x", x.audit, nr, args, ret)
			return false
		}
	}
	for _, x := range abis {
		for family := range uint64(50) {
			for _, kind := range []uint64{stream, dgram, raw, 4, seqpacket, 10} {
				for _, more := range []uint64{0, flags, high} {
					if got := refused(x, x.socket, family|more&high, kind|more); got != (family == unix) {
						t.Errorf("%#x: socket(%d, %d): refused %v", x.audit, family, kind, got)
					}
					want := family == unix && kind != stream && kind != seqpacket
					if got := refused(x, x.pair, family|more&high, kind|more); got != want {
						t.Errorf("%#x: socketpair(%d, %d): refused %v", x.audit, family, kind, got)
					}
				}
			}
		}
		for nr := range uint32(600) {
			number := x.socket&0x40000000 | nr
			if number == x.socket || number == x.pair || x.audit == i386 && nr == 102 {
				continue
			}
			if refused(x, number, unix, dgram) {
				t.Errorf("%#x: call %d is refused", x.audit, nr)
			}
		}
	}
	// socketcall has its arguments in memory, and so all that it could ask.
	for sub, want := range map[uint64]bool{1: true, 8: true, 2: false, 3: false, 16: false} {
		if got := refused(abis[2], 102, sub); got != want {
			t.Errorf("socketcall %d: refused %v", sub, got)
		}
	}
}
