package policy

import (
	"slices"
	"strings"
	"testing"
)

// TestCallsTakenOut: "!x" takes a system call out of the groups that are inherited, of
// which the other members stay.
func TestCallsTakenOut(t *testing.T) {
	for _, c := range []struct {
		parent, child string
		out, left     string // system calls of seccomp.deny
		wrong, hint   string
	}{
		{"deny = ['@kernel-surface']", "deny = ['!ptrace']", "ptrace", "bpf kcmp userfaultfd process_vm_readv", "", ""},
		{"deny = ['@kernel-surface', 'ptrace']", "deny = ['!ptrace']", "ptrace", "bpf", "", ""},
		{"deny = ['@kernel-surface', '@debug']", "deny = ['!ptrace']", "ptrace", "bpf lookup_dcookie", "", ""},
		{"deny = ['@kernel-surface', 'acct']", "deny = ['!@debug']", "ptrace perf_event_open", "bpf acct", "", ""},
		{"deny = ['@kernel-surface', '@swap']", "deny = ['!@swap', '!ptrace', '!bpf']", "swapon ptrace bpf", "keyctl",
			"", ""},
		{"deny = ['@kernel-surface']", "deny = ['!getpid']", "", "",
			`"!getpid" takes out what seccomp.deny does not inherit`, ""},
		{"deny = ['@kernel-surface']\n[[seccomp.rule]]\nsyscalls = ['chmod']\naction = 'trap'", "deny = ['!chmod']", "", "",
			`"!chmod" takes out what seccomp.deny does not inherit`,
			`a rule names it; take it out of that: [[seccomp.rule]] with syscalls = ["!chmod"]`},
		{"allow = ['@nest']", "allow = ['!unshare']", "", "",
			`"!unshare" is part of @nest, which is taken out as a whole or not at all`, `"!@nest"`},
	} {
		parent, err := Parse("parent", []byte(head+"[seccomp]\n"+c.parent+"\n"+tail))
		if err != nil {
			t.Fatal(c.parent, err)
		}
		child, err := Parse("child", []byte(head+"extends = ['parent']\n[seccomp]\n"+c.child+"\n"+tail))
		if err != nil {
			t.Fatal(c.child, err)
		}
		sum, err := Resolve(child, func(string, *Policy) (*Policy, error) { return parent, nil })
		if c.wrong != "" {
			e, ok := err.(*Error)
			if !ok || e.Msg != c.wrong || c.hint != "" && e.Fix != c.hint || e.Line == 0 {
				t.Errorf("%s, %s: %v", c.parent, c.child, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s, %s: %v", c.parent, c.child, err)
			continue
		}
		denied := callsOf(sum.Seccomp.Deny)
		for _, s := range strings.Fields(c.out) {
			if denied[s] {
				t.Errorf("%s, %s: %s is still there", c.parent, c.child, s)
			}
		}
		for _, s := range strings.Fields(c.left) {
			if !denied[s] {
				t.Errorf("%s, %s: %s is gone", c.parent, c.child, s)
			}
			if o, ok := sum.Origin("seccomp.deny", s); slices.Contains(sum.Seccomp.Deny, s) && (!ok || o.Line == 0) {
				t.Errorf("%s, %s: %s comes from %+v", c.parent, c.child, s, o)
			}
		}
	}
}

// TestCallsTakenOutOfRules: the same of rules, which keep their place.
func TestCallsTakenOutOfRules(t *testing.T) {
	parent, err := Parse("parent", []byte(head+"[[seccomp.rule]]\nsyscalls = ['@swap', 'chmod']\naction = 'trap'\n"+tail))
	if err != nil {
		t.Fatal(err)
	}
	child, err := Parse("child", []byte(head+"extends = ['parent']\n[[seccomp.rule]]\nsyscalls = ['!swapon']\n"+tail))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := Resolve(child, func(string, *Policy) (*Policy, error) { return parent, nil })
	if err != nil {
		t.Fatal(err)
	}
	if len(sum.Seccomp.Rules) != 1 || strings.Join(sum.Seccomp.Rules[0].Syscalls, " ") != "chmod swapoff" {
		t.Errorf("%+v", sum.Seccomp.Rules)
	}
	if o, ok := sum.RuleOrigin(sum.Seccomp.Rules[0]); !ok || o.Policy != "parent" {
		t.Errorf("it comes from %+v", o)
	}
}
