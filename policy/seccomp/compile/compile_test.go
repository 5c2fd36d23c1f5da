package compile

import (
	"encoding/binary"
	"slices"
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

// liar is a store that gives one program for whatever it is asked.
type liar struct {
	code []byte
	puts int
}

func (l *liar) Get([32]byte) []byte  { return l.code }
func (l *liar) Put([32]byte, []byte) { l.puts++ }

// TestPoisoned makes sure that a store cannot change what a policy allows: what
// it gives is used only if it says what libseccomp would.
func TestPoisoned(t *testing.T) {
	p := &seccomp.Policy{Allow: []string{"@system-service"}, Deny: []string{"@debug"}}
	want, err := Compile(p, seccomp.AMD64, nil)
	if err != nil {
		t.Fatal(err)
	}
	harmless, err := numbers(nil, 0) // all calls are alike
	if err != nil {
		t.Fatal(err)
	}
	almost, err := numbers([]rule{{101, 1}, {298, 1}, {310, 1}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for what, code := range map[string][]byte{
		"nothing":           {},
		"half":              harmless[:len(harmless)-4],
		"everything alike":  harmless,
		"something else":    almost,
		"not libseccomp's":  want[0],
		"a loop":            {0x05, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},
		"a huge jump":       {0x05, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f},
		"another's answers": slices.Concat(almost, harmless),
	} {
		l := &liar{code: code}
		got, err := Compile(p, seccomp.AMD64, l)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		} else if !slices.Equal(got[0], want[0]) {
			t.Errorf("%s changes the filter", what)
		}
		if l.puts != 1 {
			t.Errorf("%s is not replaced", what)
		}
	}
}
