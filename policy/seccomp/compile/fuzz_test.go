package compile

import (
	"math/rand/v2"
	"testing"

	"sbx/policy/seccomp"
)

// FuzzCompile makes policies from the fuzzer's numbers, compiles them and holds
// the programs against the naive evaluator, and a part of them against the
// kernel: whatever compiles is valid and answers as the policy says.
func FuzzCompile(f *testing.F) {
	f.Add(uint64(1), uint64(2), uint32(16), uint64(0x5412), uint64(1<<32|0x5412))
	f.Add(uint64(3), uint64(4), uint32(56), uint64(0x10000000), uint64(0))
	f.Fuzz(func(t *testing.T, seed1, seed2 uint64, nr uint32, x, y uint64) {
		r := rand.New(rand.NewPCG(seed1, seed2))
		p := randomPolicy(r)
		native := []seccomp.Arch{seccomp.AMD64, seccomp.ARM64}[seed1%2]
		programs, err := Compile(p, native, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, p.Key())
		}
		checkValid(t, programs[0])
		m, v := newVM(t, programs[0]), naive{p, native}
		vals := append(values(p), x, y)
		pick := func() uint64 { return vals[r.IntN(len(vals))] }
		for _, a := range seccomp.Arches() {
			checkOne(t, m, v, a.Audit(), nr, [6]uint64{x, y, x, y, x, y})
			for _, c := range ruled {
				s, err := seccomp.LookupSyscall(c.name)
				if err != nil {
					t.Fatal(err)
				}
				n, ok := s.Number(a)
				for i := 0; ok && i < 30; i++ {
					checkOne(t, m, v, a.Audit(), n, [6]uint64{pick(), pick(), pick(), pick(), pick(), pick()})
				}
			}
		}
		if native == seccomp.Native() {
			s, err := seccomp.LookupSyscall(ruled[r.IntN(len(ruled))].name)
			if err != nil {
				t.Fatal(err)
			}
			numbers := []uint32{nr % seccomp.X32Bit}
			if n, ok := s.Number(native); ok {
				numbers = append(numbers, n)
			}
			kernelAgrees(t, p, programs[0], numbers, 10, r)
		}
	})
}

// FuzzTrace gives the reader of libseccomp's programs anything: it must come to
// an end, and what it takes must be whole.
func FuzzTrace(f *testing.F) {
	code, err := numbers([]rule{{1, 1}, {2, 2}, {59, 1}, {435, 3}}, 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(code)
	f.Fuzz(func(t *testing.T, code []byte) {
		found, err := trace(code)
		if err != nil {
			return
		}
		if found[0].lo != 0 || found[len(found)-1].hi != 1<<30-1 {
			t.Errorf("%v", found)
		}
	})
}
