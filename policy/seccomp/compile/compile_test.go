package compile

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"

	"sbx/policy/seccomp"
)

// vm runs a program as the kernel would.
type vm struct{ *bpf.VM }

func newVM(t testing.TB, p seccomp.Program) vm {
	t.Helper()
	var raw []bpf.RawInstruction
	for i := 0; i < len(p); i += 8 {
		raw = append(raw, bpf.RawInstruction{
			Op: binary.LittleEndian.Uint16(p[i:]), Jt: p[i+2], Jf: p[i+3], K: binary.LittleEndian.Uint32(p[i+4:]),
		})
	}
	ins, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the program has instructions that the VM does not know")
	}
	m, err := bpf.NewVM(ins)
	if err != nil {
		t.Fatal(err)
	}
	return vm{m}
}

// run gives what the program returns for a call. The VM loads words as a
// network has them, so that is how they are laid out for it.
func (m vm) run(t testing.TB, audit, nr uint32, args [6]uint64) uint32 {
	t.Helper()
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data[0:], nr)
	binary.BigEndian.PutUint32(data[4:], audit)
	for i, a := range args {
		binary.BigEndian.PutUint32(data[16+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[20+8*i:], uint32(a>>32))
	}
	ret, err := m.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(ret)
}

func TestQuick(t *testing.T) {
	for _, p := range []*seccomp.Policy{
		{Allow: []string{"@system-service"}, Deny: []string{"@debug", "io_uring_setup"}, Rules: []seccomp.Rule{{Syscalls: []string{"personality"}, When: []string{"arg0 == 0", "arg0 == ADDR_NO_RANDOMIZE"}, Action: seccomp.Action{Kind: seccomp.Allow}},
			{Syscalls: []string{"socket"}, When: []string{"arg0 in {AF_UNIX, AF_INET..12} && arg1 & SOCK_TYPE_MASK == SOCK_STREAM"}, Action: seccomp.Action{Kind: seccomp.Allow}}}},
		{Allow: []string{"@system-service"}, Architectures: []string{"386", "x32"}},
	} {
		progs, err := Compile(p, seccomp.AMD64, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(len(progs), len(progs[0])/8)
		m := newVM(t, progs[0])
		abis, _ := p.ABIs(seccomp.AMD64)
		for _, a := range abis {
			ans, err := p.Answers(a)
			if err != nil {
				t.Fatal(err)
			}
			for nr := uint32(0); nr < 600; nr++ {
				n := nr
				if a == seccomp.X32 {
					n |= 1 << 30
				}
				for _, x := range []uint64{0, 1, 2, 12, 13, 0x40000, 0x10000000, 0x5412, 0x5412 | 1<<40} {
					args := [6]uint64{x, x, x, x, x, x}
					got := m.run(t, a.Audit(), n, args)
					want := ans.Decide(n, args).Action.Return()
					if got != want {
						t.Fatalf("%v %d %v: %#x, want %#x", a, n, args, got, want)
					}
				}
			}
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	p := &seccomp.Policy{Allow: []string{"@system-service"}}
	for b.Loop() {
		if _, err := Compile(p, seccomp.AMD64, nil); err != nil {
			b.Fatal(err)
		}
	}
}
