//lint:file-ignore SA1019 old profiles say Name, and runc reads it

package oci

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"sbx/policy/seccomp"
)

// reference answers calls as Docker and runc would, read from their
// documentation and nothing of this package: what Docker makes of includes and
// excludes, runc of actions and of unknown numbers, libseccomp of rules.
// Comparisons are of 64 bits here.
type reference struct {
	native  seccomp.Arch
	arches  []seccomp.Arch
	deflt   seccomp.Action
	rules   []specs.LinuxSyscall
	byName  map[string][]specs.LinuxSyscall
	patched bool // runc's answer of ENOSYS to numbers above the last
	last    map[seccomp.Arch]uint32
}

// conflict says that runtimes do not define an answer.
var conflict = seccomp.Action{Kind: 99}

func decode(data []byte) (*moby.Seccomp, error) {
	p := &moby.Seccomp{}
	return p, json.Unmarshal(data, p)
}

func newReference(p *moby.Seccomp, t Target) *reference {
	r := &reference{native: t.Arch, arches: []seccomp.Arch{t.Arch}}
	add := func(a specs.Arch) {
		if x, err := seccomp.ParseArch(string(a)); err == nil && x.Compiles() && t.Arch.Runs(x) &&
			!slices.Contains(r.arches, x) {
			r.arches = append(r.arches, x)
		}
	}
	for _, a := range p.Architectures {
		add(a)
	}
	for _, m := range p.ArchMap {
		if x, err := seccomp.ParseArch(string(m.Arch)); err == nil && x == t.Arch {
			for _, a := range m.SubArches {
				add(a)
			}
		}
	}
	kernel := func(k *moby.KernelVersion) bool {
		return t.Kernel.Major > int(k.Kernel) || t.Kernel.Major == int(k.Kernel) && t.Kernel.Minor >= int(k.Major)
	}
	has := func(c string) bool { return slices.Contains(t.Capabilities, strings.ToLower(c[4:])) }
	for _, s := range p.Syscalls {
		if x := s.Excludes; x != nil && (slices.Contains(x.Arches, t.Arch.String()) || slices.ContainsFunc(x.Caps, has) ||
			x.MinKernel != nil && kernel(x.MinKernel)) {
			continue
		}
		if x := s.Includes; x != nil && (len(x.Arches) > 0 && !slices.Contains(x.Arches, t.Arch.String()) ||
			slices.ContainsFunc(x.Caps, func(c string) bool { return !has(c) }) || x.MinKernel != nil && !kernel(x.MinKernel)) {
			continue
		}
		one := s.LinuxSyscall
		if s.Name != "" {
			one.Names = []string{s.Name}
		}
		r.rules = append(r.rules, one)
	}
	r.deflt = actionOf(p.DefaultAction, p.DefaultErrnoRet)
	r.patched = r.deflt.Kind != seccomp.Allow && r.deflt.Kind != seccomp.Log
	r.byName = map[string][]specs.LinuxSyscall{}
	for _, rule := range r.rules {
		for _, n := range rule.Names {
			r.byName[n] = append(r.byName[n], rule)
		}
	}
	r.last = map[seccomp.Arch]uint32{}
	for _, a := range r.arches {
		r.last[a] = r.lastNumber(a)
	}
	return r
}

func actionOf(a specs.LinuxSeccompAction, ret *uint) seccomp.Action {
	switch a {
	case specs.ActKill, specs.ActKillThread:
		return seccomp.Action{Kind: seccomp.KillThread}
	case specs.ActKillProcess:
		return seccomp.Action{Kind: seccomp.KillProcess}
	case specs.ActTrap:
		return seccomp.Action{Kind: seccomp.Trap}
	case specs.ActAllow:
		return seccomp.Action{Kind: seccomp.Allow}
	case specs.ActLog:
		return seccomp.Action{Kind: seccomp.Log}
	case specs.ActErrno:
		if ret != nil {
			return seccomp.Action{Kind: seccomp.Errno, Errno: uint16(*ret)}
		}
		return seccomp.Action{Kind: seccomp.Errno, Errno: 1}
	}
	panic(fmt.Sprintf("action %q was accepted", a))
}

func (r *reference) lastNumber(a seccomp.Arch) (last uint32) {
	for _, rule := range r.rules {
		for _, n := range rule.Names {
			if s, err := seccomp.LookupSyscall(n); err == nil {
				if nr, ok := s.Number(a); ok {
					last = max(last, nr)
				}
			}
		}
	}
	return last
}

// strictest checks an answer where rules with several actions hold: it is one
// of theirs, and none of theirs is stricter.
func (r *reference) strictest(t testing.TB, s seccomp.Syscall, got seccomp.Action, args [6]uint64) {
	t.Helper()
	found := r.found(s, args)
	for _, f := range found {
		if f.Stricter(got) {
			t.Fatalf("%s%#x: %v, and a rule that holds answers %v", s.Name(), args, got, f)
		}
	}
	if !slices.Contains(found, got) {
		t.Fatalf("%s%#x: %v, and none of the rules that hold says so: %v", s.Name(), args, got, found)
	}
}

// answer is what happens to a call on an architecture of the filter's.
func (r *reference) answer(s seccomp.Syscall, a seccomp.Arch, args [6]uint64) seccomp.Action {
	nr, _ := s.Number(a)
	if last := r.last[a]; r.patched && last > 0 && nr > last {
		return seccomp.Action{Kind: seccomp.Errno, Errno: 38}
	}
	for _, rule := range r.byName[s.Name()] {
		act := actionOf(rule.Action, rule.ErrnoRet)
		if act == r.deflt {
			continue
		}
		if len(rule.Args) == 0 {
			return act // the first of these counts, and no others
		}
	}
	found := r.found(s, args)
	for _, f := range found {
		if f != found[0] {
			return conflict
		}
	}
	if len(found) > 0 {
		return found[0]
	}
	return r.deflt
}

// found are the actions of the rules with comparisons that hold.
func (r *reference) found(s seccomp.Syscall, args [6]uint64) (found []seccomp.Action) {
	for _, rule := range r.byName[s.Name()] {
		act := actionOf(rule.Action, rule.ErrnoRet)
		if act == r.deflt {
			continue
		}
		any, all := false, true
		twice := map[uint]bool{}
		separate := false
		for _, x := range rule.Args {
			separate = separate || twice[x.Index]
			twice[x.Index] = true
			h := compare(x, args[x.Index])
			any, all = any || h, all && h
		}
		if separate && any || !separate && all {
			found = append(found, act)
		}
	}
	return found
}

func compare(x specs.LinuxSeccompArg, v uint64) bool {
	switch x.Op {
	case specs.OpNotEqual:
		return v != x.Value
	case specs.OpLessThan:
		return v < x.Value
	case specs.OpLessEqual:
		return v <= x.Value
	case specs.OpEqualTo:
		return v == x.Value
	case specs.OpGreaterEqual:
		return v >= x.Value
	case specs.OpGreaterThan:
		return v > x.Value
	case specs.OpMaskedEqual:
		return v&x.Value == x.ValueTwo&x.Value
	}
	panic(fmt.Sprintf("operator %q was accepted", x.Op))
}

// interesting lists values worth passing to a call of the profile.
func (r *reference) interesting() []uint64 {
	out := []uint64{0, 1, 2, 1 << 31, 1<<32 - 1, 1 << 32, 1<<64 - 1, 0x5412, 0x7e020000, 0x10000000, 0x80}
	for _, rule := range r.rules {
		for _, x := range rule.Args {
			for _, v := range []uint64{x.Value, x.ValueTwo} {
				out = append(out, v, v-1, v+1, v^1, v|1<<31, v|1<<32, v|1<<63, v&0xffffffff, v&0xffff, ^v)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// canonical cuts arguments to what the kernel reads of them.
func canonical(s seccomp.Syscall, a seccomp.Arch, args [6]uint64) [6]uint64 {
	for i := range args {
		if i < s.Args() {
			args[i] &= ^uint64(0) >> (64 - s.Width(i))
		}
		narrow := []string{"chown", "fchown", "lchown", "setfsgid", "setfsuid", "setgid", "setregid", "setresgid",
			"setresuid", "setreuid", "setuid"}
		if !a.Wide() && slices.Contains(narrow, s.Name()) {
			args[i] &= 0xffff // ids of old
		}
	}
	return args
}
