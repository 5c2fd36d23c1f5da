package oci_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	libseccomp "github.com/seccomp/libseccomp-golang"

	"sbx/policy/oci"
	"sbx/policy/seccomp"
)

// TestExportLoads: libseccomp takes what is exported where it has narrower
// bounds than a policy, and what it then answers is never looser; each
// difference is named.
func TestExportLoads(t *testing.T) {
	allow, trap := seccomp.Action{Kind: seccomp.Allow}, seccomp.Action{Kind: seccomp.Trap}
	errno := func(n uint16) seccomp.Action { return seccomp.Action{Kind: seccomp.Errno, Errno: n} }
	rules := func(calls string, second seccomp.Action) []seccomp.Rule {
		return []seccomp.Rule{
			{Syscalls: strings.Fields(calls), When: []string{"arg0 == 1"}, Action: allow},
			{Syscalls: strings.Fields(calls), When: []string{"arg0 == 2"}, Action: second},
			{Syscalls: strings.Fields(calls), When: []string{"arg0 == 3"}, Action: trap},
		}
	}
	for name, c := range map[string]struct {
		p    seccomp.Policy
		want []string // in the losses
	}{
		"socketcall": {seccomp.Policy{
			Allow:         []string{"@default"},
			Architectures: []string{"386"},
			Rules:         rules("socket socketpair listen", errno(18)),
		},
			[]string{"socket: 386 makes it through another call", "listen: 386"}},
		"ipc": {seccomp.Policy{Allow: []string{"@default"}, Architectures: []string{"386"},
			Rules: rules("shmget semget", errno(18))}, []string{"shmget: 386"}},
		"deny list": {seccomp.Policy{
			Default: allow, Unknown: allow, Architectures: []string{"386"}, Rules: rules("socket", errno(18))[1:],
		},
			[]string{"socket: 386"}},
		"deny list that logs": {seccomp.Policy{Default: seccomp.Action{Kind: seccomp.Log},
			Unknown:       seccomp.Action{Kind: seccomp.Log},
			Architectures: []string{"386"}, Rules: rules("socket", errno(18))}, []string{"socket: 386"}},
		"errno": {seccomp.Policy{
			Allow: []string{"@default"},
			Rules: []seccomp.Rule{{Syscalls: []string{"sysinfo"}, Action: errno(4095)}},
		},
			[]string{"sysinfo answer EPERM, not errno:4095"}},
		"errno by default": {seccomp.Policy{Unknown: errno(4095), Allow: []string{"@default"}},
			[]string{"unknown calls answer EPERM"}},
	} {
		p := &c.p
		data, losses, err := oci.Export(p, seccomp.AMD64)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range c.want {
			if !slices.ContainsFunc(losses, func(l string) bool { return strings.Contains(l, w) }) {
				t.Errorf("%s: no %q in %q", name, w, losses)
			}
		}
		vm := program(t, data) // fails where libseccomp does not take it
		answers, err := p.Answers(seccomp.AMD64)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range answers.Calls {
			if _, err := libseccomp.GetSyscallFromName(call.Syscall.Name()); err != nil {
				continue
			}
			for first := range uint64(5) {
				args := [6]uint64{first, 1, 1}
				want := answers.Decide(call.Number, args).Action
				granted := run(t, vm, seccomp.AMD64.Audit(), call.Number, args) >= 0x7ffc0000 // SECCOMP_RET_LOG
				if granted && want.Kind != seccomp.Allow && want.Kind != seccomp.Log {
					t.Errorf("%s: %s%v is granted, and the policy answers %v", name, call.Syscall.Name(), args, want)
				}
				if name == "socketcall" && call.Syscall.Name() == "socket" && granted != (want == allow) {
					t.Errorf("socket%v: granted %v, and the policy answers %v", args, granted, want)
				}
			}
		}
	}
}

// TestExportNumbers: comparisons of 64 bits take the plain operators, whose
// numbers every program reads as they are; masks would need numbers that JSON
// readers round.
func TestExportNumbers(t *testing.T) {
	allow := seccomp.Action{Kind: seccomp.Allow}
	for _, when := range [][]string{
		{"arg2 == 0"}, {"arg2 != 0"}, {"arg0 == 0 && arg2 == 0"}, {"arg0 in {0, 3} && arg2 != 7"},
		{"arg2 <= 9 && arg0 == 1"}, {"arg2 >= 10 && arg3 == 0"}, {"arg2 < 10 && arg3 != 0 && arg1 == 5"},
	} {
		p := &seccomp.Policy{Rules: []seccomp.Rule{
			{Syscalls: []string{"prlimit64"}, When: when, Action: allow},
			{Syscalls: []string{"prlimit64"}, When: []string{"arg2 == 0 && arg1 == 4"},
				Action: seccomp.Action{Kind: seccomp.Trap}},
		}}
		if len(when) > 1 || len(when[0]) > 9 { // else too many masks for the 32-bit arguments
			p.Rules = p.Rules[:1]
		}
		data, losses, err := oci.Export(p, seccomp.AMD64)
		if err != nil || len(losses) > 0 {
			t.Fatal(when, losses, err)
		}
		var profile struct {
			Syscalls []struct {
				Args []struct{ Value, ValueTwo uint64 }
			}
		}
		if err := json.Unmarshal(data, &profile); err != nil {
			t.Fatal(err)
		}
		for _, s := range profile.Syscalls {
			for _, a := range s.Args {
				if a.Value > 1<<53 || a.ValueTwo > 1<<53 {
					t.Errorf("%q: %d, %d", when, a.Value, a.ValueTwo)
				}
			}
		}
		back, err := oci.Parse("p", data)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := back.Policy(oci.Target{Arch: seccomp.AMD64})
		if err != nil {
			t.Fatal(err)
		}
		same(t, strings.Join(when, " || "), p, again, seccomp.AMD64)
		vm, r := program(t, data), rand.New(rand.NewPCG(1, 2))
		answers, err := p.Answers(seccomp.AMD64)
		if err != nil {
			t.Fatal(err)
		}
		for range 2000 {
			var args [6]uint64
			for i := range args {
				args[i] = []uint64{0, 1, 2, 3, 4, 5, 7, 9, 10, 11, 1 << 32, 1<<32 | 9, 1<<64 - 1}[r.IntN(13)]
			}
			want := answers.Decide(302, args).Action
			if got := run(t, vm, seccomp.AMD64.Audit(), 302, args); got != want.Return() {
				t.Fatalf("%q: prlimit64%#x: %#x, want %v", when, args, got, want)
			}
		}
	}
}
