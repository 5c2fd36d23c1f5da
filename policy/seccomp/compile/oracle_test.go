package compile

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"sbx/internal/many"

	"sbx/policies"
	"sbx/policy/seccomp"
)

// audits are the architectures that calls may claim: all we know and some
// that nothing has.
func audits() []uint32 {
	out := []uint32{0, 1, 0xffffffff, 0xc000003f, 0x4000003e}
	for _, a := range seccomp.Arches() {
		out = append(out, a.Audit())
	}
	return out
}

// callNumbers are those that any architecture gives a call, their neighbours,
// the same with x32's bit, and the ends of the range.
func callNumbers() []uint32 {
	out := []uint32{
		0xffffffff, 0xfffffffe, 0x7fffffff, 0x80000000, 0x80000001, 0xbfffffff, 0xc0000000, 0x3fffffff, 0x40000000,
	}
	for s := range seccomp.Syscalls() {
		for _, a := range seccomp.Arches() {
			if n, ok := s.Number(a); ok {
				out = append(out, n-1, n, n+1, n|seccomp.X32Bit, n&^seccomp.X32Bit, n|1<<31)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// compare holds a program against the naive evaluator. Calls whose arguments
// matter are tried with many, others with a few.
func compare(t testing.TB, p *seccomp.Policy, native seccomp.Arch, program seccomp.Program, r *rand.Rand, tries int) {
	t.Helper()
	m := newVM(t, program)
	v := naive{p, native}
	vals := values(p)
	pick := func() uint64 {
		if x := vals[r.IntN(len(vals))]; r.IntN(8) > 0 {
			return x
		}
		return r.Uint64()
	}
	for _, audit := range audits() {
		for _, nr := range callNumbers() {
			n := 1
			if a, ok := seccomp.LookupArch(audit, nr); ok {
				if s, ok := byNumber(a, nr); ok && matters(p, s) {
					n = tries
				}
			}
			for range n {
				args := [6]uint64{pick(), pick(), pick(), pick(), pick(), pick()}
				checkOne(t, m, v, audit, nr, args)
			}
		}
	}
}

func checkOne(t testing.TB, m vm, v naive, audit, nr uint32, args [6]uint64) {
	t.Helper()
	got := m.run(t, audit, nr, args)
	a, _ := seccomp.LookupArch(audit, nr)
	s, known := byNumber(a, nr)
	if known && a == seccomp.I386 && v.listed(a) &&
		slices.Contains([]string{"socketcall", "ipc", "mmap", "select"}, s.Name()) {
		checkHidden(t, v, s, args, got)
		return
	}
	if want := v.answer(audit, nr, args).Return(); got != want {
		t.Fatalf("%#x %#x(%#x): the program returns %#x, the policy says %#x\n%s", audit, nr, args, got, want, v.p.Key())
	}
}

// matters reports whether a call's answer may depend on its arguments.
func matters(p *seccomp.Policy, s seccomp.Syscall) bool {
	if slices.Contains([]string{"clone", "unshare", "ioctl", "socketcall", "ipc"}, s.Name()) {
		return true
	}
	return slices.ContainsFunc(p.Rules, func(r seccomp.Rule) bool { return in(r.Syscalls, s.Name()) })
}

func (v naive) listed(a seccomp.Arch) bool {
	return a == v.native || v.native.Runs(a) && slices.Contains(v.p.Architectures, a.String())
}

// checkHidden holds an answer to a call whose arguments lie in memory against
// those that the call could get by its name: it must be as strict as the
// strictest that chance finds, and one of them if they are all alike.
func checkHidden(t testing.TB, v naive, s seccomp.Syscall, args [6]uint64, got uint32) {
	t.Helper()
	names, fallback := hidden(s, uint32(args[0])), v.p.Default
	act, ok := seccomp.ActionOf(got)
	if !ok {
		t.Fatalf("%s: returned %#x", s.Name(), got)
	}
	if names == "" { // no such call inside
		if rank(act) < rank(fallback) && !slices.ContainsFunc(v.p.Rules, func(r seccomp.Rule) bool {
			return in(r.Syscalls, s.Name())
		}) {
			t.Fatalf("%s(%#x): %v is weaker than %v", s.Name(), args, act, fallback)
		}
		return
	}
	sub, err := seccomp.LookupSyscall(names)
	if err != nil {
		t.Fatal(err)
	}
	vals := values(v.p)
	for i := range 200 {
		x := func(k int) uint64 { return vals[(i*(2*k+1)+i/7*k)%len(vals)] }
		want := v.named(sub, seccomp.I386, [6]uint64{x(0), x(1), x(2), x(3), x(4), x(5)})
		if rank(act) < rank(want) {
			t.Fatalf("%s(%#x) for %s: %v is weaker than %v\n%s", s.Name(), args, names, act, want, v.p.Key())
		}
	}
}

// hidden names the call that one of 386 with its arguments in memory makes.
func hidden(s seccomp.Syscall, arg0 uint32) string {
	switch s.Name() {
	case "socketcall":
		names := []string{"", "socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername", "socketpair",
			"send", "recv",
			"sendto", "recvfrom", "shutdown", "setsockopt", "getsockopt", "sendmsg", "recvmsg", "accept4",
			"recvmmsg", "sendmmsg"}
		if int(arg0) < len(names) {
			return names[arg0]
		}
		return ""
	case "ipc":
		return map[uint32]string{1: "semop", 2: "semget", 3: "semctl", 4: "semtimedop", 11: "msgsnd", 12: "msgrcv",
			13: "msgget",
			14: "msgctl", 21: "shmat", 22: "shmdt", 23: "shmget", 24: "shmctl"}[arg0&0xffff]
	}
	return s.Name()
}

// eachShipped runs a test with every shipped policy's embedded filter for an
// architecture; those that say the same of calls count once.
func eachShipped(t *testing.T, a seccomp.Arch, test func(t *testing.T, p *seccomp.Policy, program seccomp.Program)) {
	seen := map[string]bool{}
	for _, name := range policies.Names() {
		l, err := policies.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := l.Resolve()
		if err != nil {
			t.Fatal(err)
		}
		programs := policies.Filters(&p.Seccomp, a)
		if len(programs) != 1 {
			t.Fatalf("%s for %s: %d programs", name, a, len(programs))
		}
		if key := p.Seccomp.Key(); !seen[key] {
			seen[key] = true
			t.Run(fmt.Sprint(name, "/", a), func(t *testing.T) { test(t, &p.Seccomp, programs[0]) })
		}
	}
}

// TestShipped holds every shipped policy's embedded filter against the naive
// evaluator.
func TestShipped(t *testing.T) {
	for _, a := range []seccomp.Arch{seccomp.AMD64, seccomp.ARM64} {
		eachShipped(t, a, func(t *testing.T, p *seccomp.Policy, program seccomp.Program) {
			compare(t, p, a, program, rand.New(rand.NewPCG(1, 2)), many.Times(60))
		})
	}
}

// TestRandom does the same with random policies.
func TestRandom(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 0))
		p := randomPolicy(r)
		native := []seccomp.Arch{seccomp.AMD64, seccomp.ARM64}[seed%2]
		programs, err := Compile(p, native, nil)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, p.Key())
		}
		checkValid(t, programs[0])
		compare(t, p, native, programs[0], r, 40)
	}
}
