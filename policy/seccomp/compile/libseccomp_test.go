package compile

import (
	"fmt"
	"math/rand/v2"
	"testing"

	libseccomp "github.com/seccomp/libseccomp-golang"

	"sbx/policy/seccomp"
)

// TestLibseccomp compares with what libseccomp itself makes of rules that it
// can say: comparisons of 64 bits, each argument once, one action. One rule a
// call, too, because of several it makes wrong programs: 2.5.4 allows
// kill(0x80, 1) by the rules "arg0 < 1<<63 && arg1 == 0xffff", "arg1 == 1 &&
// arg0 > 1<<32" and "arg1 < 1", none of which holds; a jump between them
// leads to where another word is thought to be loaded.
func TestLibseccomp(t *testing.T) {
	native := seccomp.Native()
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 9))
		f, err := libseccomp.NewFilter(libseccomp.ActErrno.SetReturnCode(13))
		if err != nil {
			t.Fatal(err)
		}
		p := &seccomp.Policy{
			Default: seccomp.Action{Kind: seccomp.Errno, Errno: 13},
			Unknown: seccomp.Action{Kind: seccomp.Errno, Errno: 13},
		}
		var numbers []uint32
		for _, name := range []string{"read", "getpid", "futex", "semop", "io_setup"} {
			s, nr := native64(t, name)
			p.Allow = append(p.Allow, s.Name())
			numbers = append(numbers, nr)
			if err := f.AddRuleExact(libseccomp.ScmpSyscall(nr), libseccomp.ActAllow); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"socket", "mmap", "kill", "prctl", "fcntl"} {
			s, nr := native64(t, name)
			numbers = append(numbers, nr)
			rule := seccomp.Rule{Syscalls: []string{name}, Action: seccomp.Action{Kind: seccomp.Allow}}
			when, conds := saidTwice(t, r, s.Args())
			rule.When = append(rule.When, when)
			if err := f.AddRuleConditionalExact(libseccomp.ScmpSyscall(nr), libseccomp.ActAllow, conds); err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			p.Rules = append(p.Rules, rule)
		}
		theirs, err := export(f)
		if err != nil {
			t.Fatal(err)
		}
		f.Release()
		ours, err := Compile(p, native, nil)
		if err != nil {
			t.Fatal(err)
		}
		a, b, vals := newVM(t, ours[0]), newVM(t, theirs), values(p)
		pick := func() uint64 { return vals[r.IntN(len(vals))] }
		for _, nr := range numbers {
			for range 400 {
				args := [6]uint64{pick(), pick(), pick(), pick(), pick(), pick()}
				if x, y := a.run(t, native.Audit(), nr, args), b.run(t, native.Audit(), nr, args); x != y {
					t.Fatalf("call %d%#x: ours returns %#x, libseccomp's %#x\n%s", nr, args, x, y, p.Key())
				}
			}
		}
	}
}

func native64(t *testing.T, name string) (seccomp.Syscall, uint32) {
	t.Helper()
	s, err := seccomp.LookupSyscall(name)
	if err != nil {
		t.Fatal(err)
	}
	nr, ok := s.Number(seccomp.Native())
	if !ok {
		t.Fatalf("no %s here", name)
	}
	return s, nr
}

// saidTwice makes random comparisons in a policy's words and libseccomp's.
func saidTwice(t *testing.T, r *rand.Rand, args int) (string, []libseccomp.ScmpCondition) {
	t.Helper()
	var when string
	var conds []libseccomp.ScmpCondition
	for _, arg := range r.Perm(args)[:1+r.IntN(args)] {
		v := []uint64{0, 1, 7, 0xffff, 1<<32 - 1, 1 << 32, 1<<32 | 7, 1 << 63}[r.IntN(8)]
		ops := []libseccomp.ScmpCompareOp{libseccomp.CompareEqual, libseccomp.CompareNotEqual, libseccomp.CompareLess,
			libseccomp.CompareLessOrEqual, libseccomp.CompareGreater, libseccomp.CompareGreaterEqual,
			libseccomp.CompareMaskedEqual}
		i := r.IntN(len(ops))
		if i == 6 {
			mask := []uint64{1, 0xff, 1<<32 | 3, 1<<64 - 1}[r.IntN(4)]
			v &= mask
			c, err := libseccomp.MakeCondition(uint(arg), ops[i], mask, v)
			if err != nil {
				t.Fatal(err)
			}
			conds, when = append(conds, c), when+fmt.Sprintf(" && arg%d:64 & %#x == %#x", arg, mask, v)
			continue
		}
		c, err := libseccomp.MakeCondition(uint(arg), ops[i], v)
		if err != nil {
			t.Fatal(err)
		}
		conds, when = append(conds, c), when+fmt.Sprintf(" && arg%d:64 %s %#x", arg,
			[]string{"==", "!=", "<", "<=", ">", ">="}[i], v)
	}
	return when[len(" && "):], conds
}

// TestNumbers compares our table with libseccomp's, for what it knows.
func TestNumbers(t *testing.T) {
	arches := map[seccomp.Arch]libseccomp.ScmpArch{
		seccomp.AMD64: libseccomp.ArchAMD64, seccomp.ARM64: libseccomp.ArchARM64, seccomp.I386: libseccomp.ArchX86,
		seccomp.ARM: libseccomp.ArchARM, seccomp.X32: libseccomp.ArchX32, seccomp.RISCV64: libseccomp.ArchRISCV64,
		seccomp.PPC64LE: libseccomp.ArchPPC64LE, seccomp.S390X: libseccomp.ArchS390X,
	}
	for _, a := range seccomp.Arches() {
		same := 0
		for s := range seccomp.Syscalls() {
			ours, has := s.Number(a)
			theirs, err := libseccomp.GetSyscallFromNameByArch(s.Name(), arches[a])
			if err != nil || theirs < 0 {
				continue // too young for it, or multiplexed
			}
			if !has || uint32(theirs) != ours {
				t.Errorf("%s on %s: %d (%v), libseccomp says %d", s.Name(), a, ours, has, theirs)
			}
			same++
		}
		for nr := range uint32(600) {
			if a == seccomp.X32 {
				nr |= seccomp.X32Bit
			}
			name, err := libseccomp.ScmpSyscall(nr).GetNameByArch(arches[a])
			if err != nil {
				continue
			}
			if s, ok := seccomp.SyscallByNumber(a, nr); !ok {
				t.Errorf("%s: we do not know %d, which libseccomp calls %s", a, nr, name)
			} else if s.Name() != name {
				t.Logf("%s: %d is %s, libseccomp says %s", a, nr, s.Name(), name)
			}
		}
		if same < 250 {
			t.Errorf("%s: libseccomp knows %d calls only", a, same)
		}
	}
}
