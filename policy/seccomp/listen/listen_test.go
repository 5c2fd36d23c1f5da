package listen

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"sbx/policies"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
)

// shipped are the filters of a policy for amd64.
func shipped(t testing.TB, name string) []seccomp.Program {
	t.Helper()
	p, err := policies.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	list := policies.Filters(p.LaunchCalls(), seccomp.AMD64)
	if list == nil {
		t.Fatalf("policy %s has no filter that was made ahead", name)
	}
	return list
}

// always returns the value for each call.
func always(ret uint32) seccomp.Program { return seccomp.Program(instruction(opReturn, ret)) }

// only returns the value for one number, and allows the others.
func only(nr, ret uint32) seccomp.Program {
	p := instruction(0x20, 0) // load the number
	jump := instruction(0x15, nr)
	jump[3] = 1
	p = append(append(p, jump...), instruction(opReturn, ret)...)
	return append(p, instruction(opReturn, retAllow)...)
}

// check compares the one filter with those that it is made of, for one call: the
// listener is asked just where they deny, and nothing is allowed that they do not.
func check(t *testing.T, filters Filters, one []bpf.Instruction, c bpf.Call, o Options) {
	t.Helper()
	want, _ := filters.Verdict(c)
	got, _ := bpf.Run(one, c)
	switch {
	case slices.Contains(o.Marked, c.Number) && c.Audit == o.Arch.Audit() && uint32(c.Args[5]) == Mark && permits(want):
		if got != want {
			t.Fatalf("%+v is marked: the filters return %#x, the one %#x", c, want, got)
		}
	case slices.ContainsFunc(o.Empty, func(e Empty) bool {
		return e.Number == c.Number && c.Args[e.Flags]&0x1000 != 0 && int32(c.Args[0]) != -100
	}) && c.Audit == o.Arch.Audit() && permits(want):
		if got != want {
			t.Fatalf("%+v has no path: the filters return %#x, the one %#x", c, want, got)
		}
	case want == retAllow && c.Audit == o.Arch.Audit() && slices.Contains(o.Observe, c.Number):
		if got != retUserNotif {
			t.Fatalf("%+v is observed, the one filter returns %#x", c, got)
		}
	case permits(want):
		if got != want {
			t.Fatalf("%+v: the filters return %#x, the one %#x", c, want, got)
		}
	case o.KeepKills && kills(want), want&retActionFull == retTrap:
		if got != want && got != retUserNotif {
			t.Fatalf("%+v: the filters return %#x, the one %#x", c, want, got)
		}
	case got != retUserNotif:
		t.Fatalf("%+v: the filters return %#x, the one %#x", c, want, got)
	}
}

func TestFilterShipped(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	small := []uint64{0, 1, 2, 3, 10, 16, 17, 38, 0x5412, 0o4755, 0o2000, 1 << 28, 1<<32 | 17, ^uint64(0), Mark,
		0x1000, 0x1100, 1<<32 - 100, ^uint64(99)}
	for _, name := range policies.Names() {
		if name == "kernel" {
			continue
		}
		programs := append([]seccomp.Program{only(41, 0x50061), only(62, 0x50000)}, shipped(t, name)...)
		filters, err := Decode(programs)
		if err != nil {
			t.Fatal(err)
		}
		observe := Options{Arch: seccomp.AMD64, Observe: []uint32{0, 2, 41, 257, 332, 439}}
		most := Options{Arch: seccomp.AMD64}
		for nr := range uint32(470) {
			if nr%7 != 3 && nr%11 != 0 {
				most.Observe = append(most.Observe, 469-nr)
			}
		}
		marked := observe
		marked.Observe, marked.Marked = append(marked.Observe, 59, 322), []uint32{59, 322}
		empty := marked
		empty.Observe, empty.Empty = append(empty.Observe, 262), []Empty{{262, 3}, {332, 2}}
		for _, o := range []Options{{}, {KeepKills: true}, observe, most, marked, empty} {
			made, err := Filter(programs, o)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			one, err := bpf.Decode(made)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for nr := range uint32(520) {
				for _, audit := range []uint32{seccomp.AMD64.Audit(), seccomp.I386.Audit(), 7} {
					for range 4 {
						c := bpf.Call{Audit: audit, Number: nr}
						for i := range c.Args {
							c.Args[i] = small[random.IntN(len(small))]
						}
						check(t, filters, one, c, o)
					}
				}
				check(t, filters, one, bpf.Call{Audit: seccomp.AMD64.Audit(), Number: nr | seccomp.X32Bit}, o)
			}
		}
	}
}

// TestVerdict: the strictest answer, and of several alike that of the filter that
// was loaded last, as the kernel has it.
func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		programs []seccomp.Program
		ret      uint32
		by       int
	}{
		{[]seccomp.Program{always(retAllow), always(retAllow)}, retAllow, -1},
		{[]seccomp.Program{always(0x50001), always(0x50026)}, 0x50026, 1},
		{[]seccomp.Program{always(0x50001), always(retAllow)}, 0x50001, 0},
		{[]seccomp.Program{always(0x80000000), always(0x50026)}, 0x80000000, 0},
		{[]seccomp.Program{always(0), always(0x80000000), always(retTrap)}, 0x80000000, 1},
		{[]seccomp.Program{always(0x7ffc0000), always(retAllow)}, 0x7ffc0000, 0},
	} {
		f, err := Decode(c.programs)
		if err != nil {
			t.Fatal(err)
		}
		if ret, by := f.Verdict(bpf.Call{}); ret != c.ret || by != c.by {
			t.Errorf("%#x by %d, want %#x by %d", ret, by, c.ret, c.by)
		}
	}
}

func TestFilterRefuses(t *testing.T) {
	computed := seccomp.Program(instruction(0x16, 0)) // BPF_RET | BPF_A
	long := make(seccomp.Program, 0, 8*4096)
	for range 4095 {
		long = append(long, instruction(0x20, 0)...)
	}
	long = append(long, instruction(opReturn, retAllow)...)
	for _, programs := range [][]seccomp.Program{nil, {computed}, {{1, 2, 3}}, {long, always(retAllow)}} {
		if p, err := Filter(programs, Options{}); err == nil {
			t.Errorf("%d instructions were made", len(p)/8)
		}
	}
}

// FuzzFilter: of whatever programs, the one filter denies what they deny.
func FuzzFilter(f *testing.F) {
	f.Add(uint32(0x50001), uint32(0x7fff0000), uint32(3), uint32(4))
	f.Add(uint32(0), uint32(0x7ffc0000), uint32(3), uint32(3))
	f.Add(uint32(0x80000000), uint32(0x30000), uint32(3), uint32(3))
	f.Fuzz(func(t *testing.T, first, second, one, other uint32) {
		programs := []seccomp.Program{only(one, first), only(other, second), always(retAllow)}
		filters, err := Decode(programs)
		if err != nil {
			t.Fatal(err)
		}
		made, err := Filter(programs, Options{})
		if err != nil {
			t.Fatal(err)
		}
		code, err := bpf.Decode(made)
		if err != nil {
			t.Fatal(err)
		}
		for _, nr := range []uint32{one, other, one + 1} {
			want, _ := filters.Verdict(bpf.Call{Number: nr})
			got, _ := bpf.Run(code, bpf.Call{Number: nr})
			if !permits(want) && permits(got) {
				t.Errorf("number %d: the filters return %#x, the one %#x (%x)", nr, want, got,
					binary.LittleEndian.AppendUint32(nil, got))
			}
		}
	})
}
