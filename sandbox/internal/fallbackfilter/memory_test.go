package fallbackfilter

import (
	"testing"

	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
)

// TestMemoryPrograms asks the program by numbers from the kernel's own headers.
func TestMemoryPrograms(t *testing.T) {
	for _, x := range []struct {
		machine seccomp.Arch
		audit   uint32
		memfd   uint32
	}{
		{seccomp.AMD64, amd64ABI, 319}, {seccomp.AMD64, amd64ABI, x32 | 319}, {seccomp.AMD64, i386ABI, 356},
		{seccomp.ARM64, arm64ABI, 279}, {seccomp.ARM64, armABI, 385},
	} {
		for flags := range uint64(0x20) {
			for _, high := range []uint64{0, 8 << 32, 1 << 40} {
				want := uint32(13)
				if flags&0x18 == 8 { // MFD_NOEXEC_SEAL, and not MFD_EXEC
					want = 0
				}
				c := bpf.Call{Audit: x.audit, Number: x.memfd, Args: [6]uint64{0x1000, flags | high}}
				if got := errno(t, MemoryPrograms, x.machine, c); got != want {
					t.Errorf("%#x: memfd_create %#x: errno %d, want %d", x.audit, flags|high, got, want)
				}
			}
		}
		for nr := range uint32(600) {
			if number := x.memfd&x32 | nr; number != x.memfd {
				if got := errno(t, MemoryPrograms, x.machine, bpf.Call{Audit: x.audit, Number: number}); got != 0 {
					t.Errorf("%#x: call %d: errno %d", x.audit, number, got)
				}
			}
		}
	}
}
