package compile

import (
	"encoding/binary"
	"testing"

	"sbx/policy/seccomp"
)

// checkValid makes sure of what the kernel asks of a program, and that no part
// of it is out of reach.
func checkValid(t testing.TB, p seccomp.Program) {
	t.Helper()
	n := len(p) / 8
	if len(p)%8 != 0 || n == 0 || n > MaxInstructions {
		t.Fatalf("%d bytes", len(p))
	}
	reached := make([]bool, n+1)
	reached[0] = true
	for i := range n {
		if !reached[i] {
			t.Fatalf("instruction %d is never reached", i)
		}
		code, jt, jf, k := binary.LittleEndian.Uint16(p[8*i:]), int(p[8*i+2]), int(p[8*i+3]),
			binary.LittleEndian.Uint32(p[8*i+4:])
		to := func(j int) {
			if j >= n {
				t.Fatalf("instruction %d goes on at %d of %d", i, j, n)
			}
			reached[j] = true
		}
		switch code {
		case opRet:
			if _, ok := seccomp.ActionOf(k); !ok {
				t.Fatalf("instruction %d returns %#x", i, k)
			}
		case opLoad:
			if k%4 != 0 || k > 60 {
				t.Fatalf("instruction %d loads from %d", i, k)
			}
			to(i + 1)
		case opAnd:
			to(i + 1)
		case opJa:
			to(i + 1 + int(k))
		case opJeq, opJgt, opJge, opJset:
			to(i + 1 + jt)
			to(i + 1 + jf)
		default:
			t.Fatalf("instruction %d is %#x", i, code)
		}
	}
}
