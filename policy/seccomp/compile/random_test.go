package compile

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"

	"sbx/policy/seccomp"
)

// randomPolicy makes a policy from what policies are made of.
func randomPolicy(r *rand.Rand) *seccomp.Policy {
	p := &seccomp.Policy{Default: randomAction(r), Unknown: randomAction(r)}
	groups := seccomp.Groups()
	entry := func() string {
		if r.IntN(3) == 0 {
			return groups[r.IntN(len(groups))].Name()
		}
		return []string{"read", "openat", "socket", "ioctl", "clone", "clone3", "unshare", "setns", "mmap", "mmap2",
			"personality", "prctl", "execve", "ipc", "socketcall", "mseal", "select", "chown", "kill", "fcntl",
			"futex"}[r.IntN(21)]
	}
	for range r.IntN(6) {
		p.Allow = append(p.Allow, entry())
	}
	for range r.IntN(4) {
		p.Deny = append(p.Deny, entry())
	}
	for range r.IntN(5) {
		p.Rules = append(p.Rules, randomRule(r))
	}
	for _, a := range []string{"386", "x32", "arm"} {
		if r.IntN(3) == 0 {
			p.Architectures = append(p.Architectures, a)
		}
	}
	return p
}

func randomAction(r *rand.Rand) seccomp.Action {
	k := []seccomp.ActionKind{seccomp.Allow, seccomp.Errno, seccomp.Errno, seccomp.Errno, seccomp.KillProcess,
		seccomp.KillThread,
		seccomp.Trap, seccomp.Log, seccomp.Notify}[r.IntN(9)]
	a := seccomp.Action{Kind: k}
	if k == seccomp.Errno {
		a.Errno = []uint16{1, 13, 38, 4095}[r.IntN(4)]
	}
	return a
}

// ruled lists calls that random rules are about, with how many arguments the
// naive evaluator knows the width of.
var ruled = []struct {
	name string
	args int
}{
	{"socket", 3}, {"ioctl", 3}, {"clone", 3}, {"mmap", 6}, {"mmap2", 6}, {"personality", 1}, {"prctl", 5}, {"fcntl", 3},
	{"kill", 2}, {"openat", 4}, {"mprotect", 3}, {"setns", 2}, {"clone3", 2}, {"unshare", 1},
}

func randomRule(r *rand.Rand) seccomp.Rule {
	rule := seccomp.Rule{Action: randomAction(r)}
	args := 6
	for range 1 + r.IntN(2) {
		c := ruled[r.IntN(len(ruled))]
		rule.Syscalls = append(rule.Syscalls, c.name)
		args = min(args, c.args)
	}
	for range r.IntN(4) {
		when := ""
		for i := range 1 + r.IntN(3) {
			if i > 0 {
				when += " && "
			}
			when += randomComparison(r, args)
		}
		rule.When = append(rule.When, when)
	}
	return rule
}

func randomComparison(r *rand.Rand, args int) string {
	wide := r.IntN(4) == 0
	value := func() uint64 {
		// What fits the narrowest argument unless the width is said.
		v := []uint64{0, 1, 2, 3, 7, 8, 0xff, 0x100, 0x5412, 0x7fff, 0x8000, 0xffff}[r.IntN(12)]
		if wide {
			v = []uint64{v, v << 16, v << 31, v << 32, v<<32 | v, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1}[r.IntN(10)]
		}
		return v
	}
	text := func(v uint64) string {
		if r.IntN(2) == 0 {
			return strconv.FormatUint(v, 10)
		}
		return fmt.Sprintf("%#x", v)
	}
	s := fmt.Sprintf("arg%d", r.IntN(args))
	if wide {
		s += ":64"
	}
	if r.IntN(3) == 0 {
		s += " & " + text(value())
	}
	op := []string{"==", "!=", "<", "<=", ">", ">=", "in", "not in"}[r.IntN(8)]
	if op != "in" && op != "not in" {
		return s + " " + op + " " + text(value())
	}
	s += " " + op + " {"
	for i := range 1 + r.IntN(6) {
		if i > 0 {
			s += ", "
		}
		v := value()
		s += text(v)
		if w := value(); r.IntN(2) == 0 && w >= v {
			s += ".." + text(w)
		}
	}
	return s + "}"
}

var numeral = regexp.MustCompile(`\b(0x[0-9a-f]+|\d+)\b`)

// values lists what is worth passing as an argument to a call of the policy:
// what its conditions name, and that one more, one less, and with the other
// half set.
func values(p *seccomp.Policy) []uint64 {
	out := []uint64{
		0, 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<64 - 1, 0x5412, 0x541c, 0x5423, 1<<32 | 0x5412, 0x10000000, 0x7e020000, 0x80,
		0x11, 40, 1<<32 | 40, 16, 9,
	}
	for _, r := range p.Rules {
		for _, w := range r.When {
			for _, n := range numeral.FindAllString(w, -1) {
				v, err := strconv.ParseUint(n, 0, 64)
				if err != nil {
					continue
				}
				out = append(out, v, v-1, v+1, v|1<<32, v|1<<63, v<<32, v^0xffffffff, v&0xffffffff)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
