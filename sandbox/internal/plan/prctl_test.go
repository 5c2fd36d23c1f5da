package plan

import (
	"encoding/binary"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
	"sbx/sandbox/internal/process"
)

// denies is a filter that answers EPERM to one call, and allows all others.
func denies(nr int) seccomp.Program {
	var b []byte
	for _, x := range [...]struct {
		code   uint16
		jt, jf uint8
		k      uint32
	}{{0x20, 0, 0, 0}, {0x15, 0, 1, uint32(nr)}, {0x06, 0, 0, 0x00050001}, {0x06, 0, 0, 0x7fff0000}} {
		b = binary.NativeEndian.AppendUint16(b, x.code)
		b = binary.NativeEndian.AppendUint32(append(b, x.jt, x.jf), x.k)
	}
	return seccomp.Program(b)
}

// TestByPrctl: a filter after one that denies seccomp(2) is loaded by prctl(2), unless it
// has flags, which only seccomp(2) takes.
func TestByPrctl(t *testing.T) {
	all := plantest.AllowAll[0]
	for _, c := range []struct {
		name     string
		programs []seccomp.Program
		log      bool
		want     []bool
	}{
		{"allowed", []seccomp.Program{all, all}, false, []bool{false, false}},
		{"denied", []seccomp.Program{denies(unix.SYS_SECCOMP), all, all}, false, []bool{false, true, true}},
		{"denied later", []seccomp.Program{all, denies(unix.SYS_SECCOMP), all}, false, []bool{false, false, true}},
		{"another call", []seccomp.Program{denies(unix.SYS_BPF), all}, false, []bool{false, false}},
		{"denied, with flags", []seccomp.Program{denies(unix.SYS_SECCOMP), all}, true, []bool{false, false}},
	} {
		p := &policy.Policy{Name: "p"}
		p.Seccomp.Log = &c.log
		plan, err := Build(p, c.programs, host.Target{Path: "/x", Args: []string{"x"}, Dir: "/"}, plantest.Debian(p, 1000))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var got []bool
		for _, s := range plan.Target {
			f, ok := s.(process.Seccomp)
			if !ok || f.Name != "p" && !strings.HasPrefix(f.Name, "p/") {
				continue
			}
			got = append(got, f.ByPrctl)
			asm := &step.Asm{}
			asm.Begin(0)
			f.Compile(asm)
			table, err := asm.Link()
			if err != nil {
				t.Fatal(err)
			}
			want := uintptr(unix.SYS_SECCOMP)
			if f.ByPrctl {
				want = unix.SYS_PRCTL
			}
			if nr := table.Calls[0].Nr; nr != want {
				t.Errorf("%s: %s makes call %d", c.name, f, nr)
			}
			table.Free()
		}
		if len(got) != len(c.want) {
			t.Fatalf("%s: %v", c.name, got)
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: filter %d by prctl: %v", c.name, i+1, got[i])
			}
		}
	}
}
