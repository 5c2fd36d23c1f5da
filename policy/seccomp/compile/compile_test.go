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

func TestHot(t *testing.T) {
	for _, name := range hot() {
		if _, err := seccomp.LookupSyscall(name); err != nil {
			t.Error(err)
		}
	}
}
