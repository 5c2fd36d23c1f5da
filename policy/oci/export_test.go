package oci_test

import (
	"encoding/binary"
	"encoding/json"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/net/bpf"

	"sbx/policy"
	"sbx/policy/oci"
	"sbx/policy/seccomp"
)

// shipped are the policies that come with sbx, resolved; those that say the same of calls count once.
func shipped(t *testing.T) map[string]*policy.Policy {
	t.Helper()
	files := os.DirFS("../../policies")
	parse := func(name string) (*policy.Policy, error) {
		data, err := fs.ReadFile(files, name+".toml")
		if err != nil {
			return nil, err
		}
		return policy.Parse(name, data)
	}
	names, err := fs.Glob(files, "*.toml")
	if err != nil || len(names) < 5 {
		t.Fatal(err, names)
	}
	out, seen := map[string]*policy.Policy{}, map[string]bool{}
	for _, n := range names {
		n = strings.TrimSuffix(n, ".toml")
		p, err := parse(n)
		if err != nil {
			t.Fatal(err)
		}
		p, err = policy.Resolve(p, func(name string, _ *policy.Policy) (*policy.Policy, error) { return parse(name) })
		if err != nil {
			t.Fatal(err)
		}
		if key := p.Seccomp.Key(); !seen[key] {
			seen[key] = true
			out[n] = p
		}
	}
	return out
}

// odd are policies that profiles have a hard time with.
func odd(t *testing.T) map[string]*seccomp.Policy {
	t.Helper()
	eperm, trap := seccomp.Action{Kind: seccomp.Errno, Errno: 1}, seccomp.Action{Kind: seccomp.Trap}
	allow := seccomp.Action{Kind: seccomp.Allow}
	return map[string]*seccomp.Policy{
		"ranges": {Default: eperm, Allow: []string{"@default"}, Rules: []seccomp.Rule{
			{Syscalls: []string{"socket"}, When: []string{"arg0 in {1..10, 16} && arg1 & 0xf != 3"}, Action: allow},
			{Syscalls: []string{"mmap"}, When: []string{"arg1 <= 0x100000000"}, Action: allow},
			{Syscalls: []string{"kill"}, When: []string{"arg0 == -1"}, Action: trap},
			{Syscalls: []string{"kill"}, When: []string{"arg0 != -1"}, Action: allow},
			{Syscalls: []string{"tkill"}, When: []string{"arg1 in {9, 15}"}, Action: allow},
			{Syscalls: []string{"lseek"}, When: []string{"arg1 != 0xffffffff"}, Action: trap},
		}},
		"deny list": {Default: allow, Unknown: allow, Deny: []string{"@mount", "ptrace"}},
		"kill": {Default: seccomp.Action{Kind: seccomp.KillProcess}, Unknown: seccomp.Action{Kind: seccomp.KillProcess},
			Allow: []string{"@system-service"}},
		"compat": {Default: eperm, Allow: []string{"@system-service", "@nest"}, Architectures: []string{"x32"}},
	}
}

// TestExport imports what was exported: each call is answered as the policy
// answers it.
func TestExport(t *testing.T) {
	all := odd(t)
	for name, p := range shipped(t) {
		all[name] = &p.Seccomp
	}
	for name, p := range all {
		for _, native := range []seccomp.Arch{seccomp.AMD64, seccomp.ARM64} {
			data, losses, err := oci.Export(p, native)
			if err != nil {
				t.Fatal(err)
			}
			want := 0
			if name == "kill" {
				want = 1 // runc's ENOSYS
			}
			if len(losses) != want {
				t.Errorf("%s: %v", name, losses)
			}
			profile, err := oci.Parse(name, data)
			if err != nil {
				t.Fatal(err)
			}
			again, notes, err := profile.Policy(oci.Target{Arch: native})
			if err != nil || len(notes) > 0 {
				t.Fatalf("%s: %v %v", name, notes, err)
			}
			same(t, name, p, again, native)
		}
	}
}

// TestExportTooMuch: conditions that need thousands of rules are a loss, and
// the call is answered more strictly, not less.
func TestExportTooMuch(t *testing.T) {
	p := &seccomp.Policy{Rules: []seccomp.Rule{
		{Syscalls: []string{"socket"}, When: []string{"arg0 not in {3, 9} && arg1 not in {5, 8} && arg2 != 7"},
			Action: seccomp.Action{Kind: seccomp.Allow}},
	}}
	data, losses, err := oci.Export(p, seccomp.AMD64)
	if err != nil || len(losses) != 1 ||
		!strings.Contains(losses[0],
			"socket: its conditions are more than a profile can hold; it always answers errno:EPERM") {
		t.Fatal(losses, err)
	}
	profile, err := oci.Parse("p", data)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := profile.Policy(oci.Target{Arch: seccomp.AMD64})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := again.Decide(seccomp.AMD64, seccomp.AMD64.Audit(), 41, [6]uint64{1}); err != nil || c.Action.Errno != 1 {
		t.Error(c, err)
	}
}

// same compares two policies' answers.
func same(t *testing.T, name string, p, q *seccomp.Policy, native seccomp.Arch) {
	t.Helper()
	abis, err := p.ABIs(native)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for _, a := range abis {
		x, err := p.Answers(a)
		if err != nil {
			t.Fatal(err)
		}
		y, err := q.Answers(a)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range x.Calls {
			vals := bounds(slices.Concat(c.Clauses, y.Calls[i].Clauses))
			for range min(len(vals)*len(vals), 4000) {
				var args [6]uint64
				for k := range args {
					args[k] = vals[r.IntN(len(vals))]
				}
				want, got := x.Decide(c.Number, args), y.Decide(c.Number, args)
				if want.Action != got.Action {
					t.Fatalf("%s: %s%#x on %s: %v (%s), want %v (%s)", name, c.Syscall.Name(), args, a, got.Action, got.Why,
						want.Action, want.Why)
				}
			}
		}
	}
}

// bounds are values at and beside what clauses compare with.
func bounds(clauses []seccomp.Clause) []uint64 {
	out := []uint64{0, 1}
	for _, c := range clauses {
		for _, all := range c.Any {
			for _, k := range all {
				for _, r := range k.In {
					for _, v := range []uint64{r.Lo, r.Hi, r.Lo - 1, r.Hi + 1} {
						out = append(out, v, v|1<<32, v|1<<63, v&k.Mask, v|^k.Mask, v^1<<31)
					}
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestLibseccomp loads what was exported as runc does, and runs libseccomp's
// program: it answers as the policy for all calls that the installed libseccomp
// has names for.
func TestLibseccomp(t *testing.T) {
	native := seccomp.Native()
	all := odd(t)
	for name, p := range shipped(t) {
		all[name] = &p.Seccomp
	}
	for name, p := range all {
		data, _, err := oci.Export(p, native)
		if err != nil {
			t.Fatal(err)
		}
		vm := program(t, data)
		abis, err := p.ABIs(native)
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(5, 6))
		for _, a := range abis {
			answers, err := p.Answers(a)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range answers.Calls {
				if _, err := libseccomp.GetSyscallFromName(c.Syscall.Name()); err != nil {
					continue
				}
				vals := bounds(c.Clauses)
				for range min(len(vals)*len(vals), 500) {
					var args [6]uint64
					for k := range args {
						args[k] = vals[r.IntN(len(vals))]
					}
					want := answers.Decide(c.Number, args).Action
					if got := run(t, vm, a.Audit(), c.Number, args); got != want.Return() {
						t.Fatalf("%s: %s%#x on %s: %#x, want %v", name, c.Syscall.Name(), args, a, got, want)
					}
				}
			}
			if got := run(t, vm, a.Audit(), 1000, [6]uint64{}); a == native && got != answers.Unknown.Action.Return() {
				t.Errorf("%s: number 1000: %#x", name, got)
			}
		}
	}
}

// program makes libseccomp's program of a profile in the way runc does.
func program(t *testing.T, data []byte) *bpf.VM {
	t.Helper()
	var p specs.LinuxSeccomp
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	act := func(a specs.LinuxSeccompAction, ret *uint) libseccomp.ScmpAction {
		return map[seccomp.ActionKind]libseccomp.ScmpAction{
			seccomp.Allow: libseccomp.ActAllow, seccomp.Log: libseccomp.ActLog, seccomp.Trap: libseccomp.ActTrap,
			seccomp.KillThread: libseccomp.ActKillThread, seccomp.KillProcess: libseccomp.ActKillProcess,
			seccomp.Errno: libseccomp.ActErrno.SetReturnCode(int16(oci.ActionOf(a, ret).Errno)),
		}[oci.ActionOf(a, ret).Kind]
	}
	deflt := act(p.DefaultAction, p.DefaultErrnoRet)
	f, err := libseccomp.NewFilter(deflt)
	must(err)
	defer f.Release()
	for _, a := range p.Architectures {
		known, err := seccomp.ParseArch(string(a))
		must(err)
		arch, err := libseccomp.GetArchFromString(strings.Replace(known.String(), "386", "x86", 1))
		must(err)
		must(f.AddArch(arch))
	}
	ops := map[specs.LinuxSeccompOperator]libseccomp.ScmpCompareOp{
		specs.OpNotEqual: libseccomp.CompareNotEqual, specs.OpLessThan: libseccomp.CompareLess,
		specs.OpLessEqual: libseccomp.CompareLessOrEqual,
		specs.OpEqualTo:   libseccomp.CompareEqual, specs.OpGreaterEqual: libseccomp.CompareGreaterEqual,
		specs.OpGreaterThan: libseccomp.CompareGreater,
		specs.OpMaskedEqual: libseccomp.CompareMaskedEqual,
	}
	for _, s := range p.Syscalls {
		a := act(s.Action, s.ErrnoRet)
		if a == deflt {
			continue
		}
		for _, n := range s.Names {
			nr, err := libseccomp.GetSyscallFromName(n)
			if err != nil {
				continue
			}
			if len(s.Args) == 0 {
				must(f.AddRule(nr, a))
				continue
			}
			var conds []libseccomp.ScmpCondition
			for _, x := range s.Args {
				c, err := libseccomp.MakeCondition(x.Index, ops[x.Op], x.Value, x.ValueTwo)
				must(err)
				conds = append(conds, c)
			}
			must(f.AddRuleConditional(nr, a, conds))
		}
	}
	file, err := os.Create(t.TempDir() + "/program")
	must(err)
	defer file.Close()
	must(f.ExportBPF(file))
	code, err := os.ReadFile(file.Name())
	must(err)
	if len(code)/8 > 4096 {
		t.Fatalf("%d instructions", len(code)/8)
	}
	var raw []bpf.RawInstruction
	for i := 0; i < len(code); i += 8 {
		raw = append(raw, bpf.RawInstruction{
			Op: binary.NativeEndian.Uint16(code[i:]),
			Jt: code[i+2],
			Jf: code[i+3],
			K:  binary.NativeEndian.Uint32(code[i+4:]),
		})
	}
	instructions, whole := bpf.Disassemble(raw)
	if !whole {
		t.Fatal("instructions that are none")
	}
	vm, err := bpf.NewVM(instructions)
	must(err)
	return vm
}

// run gives a program a call. The VM's words are big-endian.
func run(t *testing.T, vm *bpf.VM, audit, nr uint32, args [6]uint64) uint32 {
	t.Helper()
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data, nr)
	binary.BigEndian.PutUint32(data[4:], audit)
	for i, a := range args {
		binary.BigEndian.PutUint32(data[16+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[20+8*i:], uint32(a>>32))
	}
	ret, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(ret)
}
