package compile

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"sbx/internal/many"

	"sbx/integration/probe/oracle"
	"sbx/policy/seccomp"
)

// askable lists the architectures whose calls this machine can make.
func askable() []seccomp.Arch {
	if seccomp.Native() == seccomp.AMD64 {
		return []seccomp.Arch{seccomp.AMD64, seccomp.I386, seccomp.X32}
	}
	return []seccomp.Arch{seccomp.Native()}
}

// expected is what the oracle says of an action.
func expected(a seccomp.Action) string {
	switch a.Kind {
	case seccomp.Allow, seccomp.Log:
		return "pass"
	case seccomp.Notify: // nobody listens to the program's own notifications
		return "errno 38"
	case seccomp.Errno:
		return fmt.Sprintf("errno %d", a.Errno)
	}
	return killed
}

const killed = "signal 31" // SIGSYS

// kernelAgrees loads a program and asks the kernel and the naive evaluator the
// same questions.
func kernelAgrees(t testing.TB, p *seccomp.Policy, program seccomp.Program, numbers []uint32, tries int, r *rand.Rand) {
	t.Helper()
	v, m := naive{p, seccomp.Native()}, newVM(t, program)
	vals := values(p)
	pick := func() uint64 { return vals[r.IntN(len(vals))] }
	var questions []oracle.Question
	kills := 0
	for _, a := range askable() {
		for i, nr := range numbers {
			n := 1
			if !v.listed(a) && i%20 != 0 {
				continue
			}
			if a == seccomp.AMD64 && (nr == 335 || nr == 336) {
				// Since 6.14 and 6.18 the kernel asks no filter about uretprobe
				// and uprobe, which only its own trampolines can make.
				continue
			}
			if a == seccomp.X32 {
				nr |= seccomp.X32Bit
			}
			if s, ok := byNumber(a, nr); ok && matters(p, s) {
				n = tries
			}
			for range n {
				args := [6]uint64{pick(), pick(), pick(), pick(), pick(), pick()}
				if !a.Wide() {
					for i := range args {
						args[i] = uint64(uint32(args[i]))
					}
				}
				said, ok := seccomp.ActionOf(m.run(t, a.Audit(), nr, args))
				if !ok || expected(said) == killed {
					if kills++; kills > 60 {
						continue // each of these costs a process its life
					}
				}
				questions = append(questions, oracle.Question{Audit: a.Audit(), Number: nr, Args: args})
			}
		}
	}
	answers, err := oracle.Ask(program, questions)
	if err != nil {
		t.Fatal(err)
	}
	for i, q := range questions {
		// The program's own answer is held against the naive one; where
		// arguments are hidden only it is exact.
		said, ok := seccomp.ActionOf(m.run(t, q.Audit, q.Number, q.Args))
		if !ok || answers[i].String() != expected(said) {
			t.Fatalf("%+v: the kernel says %s, the VM %v\n%s", q, answers[i], said, p.Key())
		}
		checkOne(t, m, v, q.Audit, q.Number, q.Args)
	}
}

// TestKernel asks the kernel about shipped and random policies' programs.
func TestKernel(t *testing.T) {
	var all []uint32
	for nr := range uint32(600) {
		all = append(all, nr)
	}
	eachShipped(t, seccomp.Native(), func(t *testing.T, p *seccomp.Policy, program seccomp.Program) {
		kernelAgrees(t, p, program, all, many.Times(15), rand.New(rand.NewPCG(3, 4)))
	})
	for seed := range uint64(many.Times(10)) {
		t.Run(fmt.Sprint("random", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 5))
			p := randomPolicy(r)
			programs, err := Compile(p, seccomp.Native(), nil)
			if err != nil {
				t.Fatal(err)
			}
			some := make([]uint32, 60)
			for i := range some {
				some[i] = r.Uint32N(480)
			}
			for _, c := range ruled {
				for _, a := range askable() {
					s, err := seccomp.LookupSyscall(c.name)
					if err != nil {
						t.Fatal(err)
					}
					if nr, ok := s.Number(a); ok {
						some = append(some, nr)
					}
				}
			}
			kernelAgrees(t, p, programs[0], some, 30, r)
		})
	}
}
