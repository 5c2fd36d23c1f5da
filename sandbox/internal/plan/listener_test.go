package plan

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/policies"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
	"sbx/policy/seccomp/listen"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
	"sbx/sandbox/internal/process"
)

// explainedPlan is the plan of an explained run of true, with a filter beside the
// policy's: the one that closes Unix sockets.
func explainedPlan(t *testing.T, change func(*host.Target, *host.Facts)) *Plan {
	t.Helper()
	p, no := plantest.Shipped(t, "default"), false
	p.Files.OwnSockets = &no
	h := plantest.Debian(p, 1000)
	target := host.Target{Path: "/bin/true", Args: []string{"true"}, Dir: "/", Explain: true}
	change(&target, h)
	plan, err := Build(p, policies.Filters(p.LaunchCalls(), seccomp.Native()), target, h)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// TestListener: an explained run loads one filter, with a listener, in the place of all
// the others; where the kernel has no listeners, those and a note.
func TestListener(t *testing.T) {
	count := func(p *Plan) (plain, listeners, handOvers int, flags int) {
		for _, s := range p.Target {
			switch s := s.(type) {
			case process.Seccomp, process.ListenSetID:
				plain++
			case process.Listener:
				listeners++
				flags = s.Flags
			case process.HandOver:
				handOvers++
			}
		}
		return plain, listeners, handOvers, flags
	}
	usual := explainedPlan(t, func(t *host.Target, _ *host.Facts) { t.Explain = false })
	filters, _, _, _ := count(usual)
	if n := len(usual.Explained); filters < 2 || n != 0 {
		t.Fatalf("%d filters, %d of them explained", filters, n)
	}
	for _, killable := range []bool{true, false} {
		p := explainedPlan(t, func(_ *host.Target, h *host.Facts) { h.Listener.WaitKillable = killable })
		plain, listeners, handOvers, flags := count(p)
		if plain != 0 || listeners != 1 || handOvers != 1 || len(p.Explained) != filters ||
			len(p.Notes) != len(usual.Notes) ||
			(flags&unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV != 0) != killable {
			t.Errorf("%d plain, %d with a listener, %d hand over, flags %#x\n%s", plain, listeners, handOvers, flags, p)
		}
		for i, f := range p.Explained {
			if f.Own != (i == filters-1) || len(f.Filter.Program) == 0 {
				t.Errorf("filter %d: %+v", i, f.Own)
			}
		}
	}
	p := explainedPlan(t, func(_ *host.Target, h *host.Facts) { h.Listener.Err = errors.New("there is one") })
	if plain, listeners, handOvers, _ := count(p); plain != filters || listeners != 0 || handOvers != 0 ||
		len(p.Explained) != 0 || p.Unexplained != "there is one" || !strings.Contains(p.String(),
		"note: denied system calls cannot be explained: there is one") {
		t.Errorf("%s", p)
	}
}

// TestExecMark: the launcher's own exec is not asked about, for nobody listens yet; those of
// the program are.
func TestExecMark(t *testing.T) {
	if listen.Mark != step.ExecMark {
		t.Fatal("the filter lets another mark pass than the launcher sets")
	}
	p := explainedPlan(t, func(t *host.Target, _ *host.Facts) { t.ExplainFiles = true })
	var program []bpf.Instruction
	for _, s := range p.Target {
		if s, ok := s.(process.Listener); ok {
			var err error
			if program, err = bpf.Decode([]byte(s.Program)); err != nil {
				t.Fatal(err)
			}
		}
	}
	const userNotif, allow = 0x7fc00000, 0x7fff0000
	for _, nr := range []uint32{unix.SYS_EXECVE, unix.SYS_EXECVEAT} {
		for mark, want := range map[uint64]uint32{0: userNotif, listen.Mark: allow, listen.Mark + 1: userNotif} {
			c := bpf.Call{Audit: seccomp.Native().Audit(), Number: nr, Args: [6]uint64{5: mark}}
			if got := bpf.Result(program, &c); got != want {
				t.Errorf("call %d with %#x: %#x, want %#x", nr, mark, got, want)
			}
		}
	}
}
