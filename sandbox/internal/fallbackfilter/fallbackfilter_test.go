package fallbackfilter

import (
	"testing"

	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
	"sbx/policy/seccomp/compile"
)

// TestCurrent compiles the programs again and compares the bytes.
func TestCurrent(t *testing.T) {
	for _, f := range Filters() {
		for _, a := range []seccomp.Arch{seccomp.AMD64, seccomp.ARM64} {
			want, err := compile.Compile(f.Policy(a), a, nil)
			if err != nil {
				t.Fatal(err)
			}
			if string(f.Program(a)) != string(want[0]) {
				t.Errorf("%s: %s is stale: run go generate ./sandbox/internal/fallbackfilter", a, f)
			}
		}
		if f.Program(seccomp.I386) != nil {
			t.Errorf("%s: there is a program for a machine that sbx is not built for", f)
		}
	}
}

const amd64ABI, i386ABI, arm64ABI, armABI = 0xc000003e, 0x40000003, 0xc00000b7, 0x40000028

// errno is the errno that a filter returns for a call, or 0 where it allows it.
func errno(t *testing.T, f Filter, machine seccomp.Arch, c bpf.Call) uint32 {
	t.Helper()
	code, err := bpf.Decode(f.Program(machine))
	if err != nil {
		t.Fatal(err)
	}
	const allow, fail = 0x7fff0000, 0x50000
	ret, _ := bpf.Run(code, c)
	if ret != allow && ret&^0xffff != fail {
		t.Fatalf("%+v: %#x", c, ret)
	}
	return ret & 0xffff
}

// TestGroupSignals runs the program on numbers from the kernel's own headers.
func TestGroupSignals(t *testing.T) {
	const perm = 1
	for _, x := range []struct {
		machine seccomp.Arch
		audit   uint32
		kill    uint32
	}{
		{seccomp.AMD64, amd64ABI, 62}, {seccomp.AMD64, amd64ABI, 0x40000000 | 62}, {seccomp.AMD64, i386ABI, 37},
		{seccomp.ARM64, arm64ABI, 129}, {seccomp.ARM64, armABI, 37},
	} {
		for _, pid := range []uint64{0, 1, 2, 1 << 31, 0xffffffff, 0xfffffffe, 1 << 32, 1<<32 | 1, 1<<64 - 1} {
			for sig := range uint64(70) {
				var want uint32
				switch sig {
				case 0, 18, 20, 21, 22, 28: // CONT, TSTP, TTIN, TTOU, WINCH
				default:
					if uint32(pid) == 0 {
						want = perm
					}
				}
				for _, high := range []uint64{0, 1 << 32} {
					c := bpf.Call{Audit: x.audit, Number: x.kill, Args: [6]uint64{pid, sig | high}}
					if got := errno(t, GroupSignals, x.machine, c); got != want {
						t.Errorf("%#x: kill(%#x, %#x): errno %d, want %d", x.audit, pid, sig|high, got, want)
					}
				}
			}
		}
		for nr := range uint32(600) {
			number := x.kill&0x40000000 | nr
			if c := (bpf.Call{Audit: x.audit, Number: number, Args: [6]uint64{0, 9}}); number != x.kill &&
				errno(t, GroupSignals, x.machine, c) != 0 {
				t.Errorf("%#x: call %d is refused", x.audit, nr)
			}
		}
	}
}

// TestUnixSockets runs the programs on numbers from the kernel's own headers.
func TestUnixSockets(t *testing.T) {
	const high = 1 << 32
	const unix, stream, dgram, raw, seqpacket, flags = 1, 1, 2, 3, 5, 0o2004000
	type abi struct {
		machine      seccomp.Arch
		audit        uint32
		socket, pair uint32
	}
	abis := []abi{
		{seccomp.AMD64, amd64ABI, 41, 53}, {seccomp.AMD64, amd64ABI, 0x40000000 | 41, 0x40000000 | 53},
		{seccomp.AMD64, i386ABI, 359, 360},
		{seccomp.ARM64, arm64ABI, 198, 199}, {seccomp.ARM64, armABI, 281, 288},
	}
	refused := func(x abi, nr uint32, args ...uint64) bool {
		c := bpf.Call{Audit: x.audit, Number: nr}
		copy(c.Args[:], args)
		got := errno(t, UnixSockets, x.machine, c)
		if got != 0 && got != 97 {
			t.Errorf("%+v: errno %d", c, got)
		}
		return got != 0
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
			if number == x.socket || number == x.pair || x.audit == i386ABI && nr == 102 {
				continue
			}
			if refused(x, number, unix, dgram) {
				t.Errorf("%#x: call %d is refused", x.audit, nr)
			}
		}
	}
	// socketcall has its arguments in memory, so all its calls are denied.
	for sub, want := range map[uint64]bool{1: true, 8: true, 2: false, 3: false, 16: false} {
		if got := refused(abis[2], 102, sub); got != want {
			t.Errorf("socketcall %d: refused %v", sub, got)
		}
	}
}
