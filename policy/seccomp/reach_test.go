package seccomp

import "testing"

// TestReached: an allow rule that a built-in one, a list or another rule leaves
// nothing of is told from one that decides for some arguments.
func TestReached(t *testing.T) {
	const ns = "CLONE_NEWNS|CLONE_NEWCGROUP|CLONE_NEWUTS|CLONE_NEWIPC|CLONE_NEWUSER|CLONE_NEWPID|CLONE_NEWNET"
	rule := func(action ActionKind, call string, when ...string) Rule {
		a := Action{Kind: action}
		if action == Errno {
			a.Errno = eperm
		}
		return Rule{Syscalls: []string{call}, When: when, Action: a}
	}
	for _, c := range []struct {
		name  string
		call  string
		allow []string
		deny  []string
		rules []Rule // the first is asked about
		want  bool
	}{
		{"alone", "read", nil, nil, []Rule{rule(Allow, "read")}, true},
		{"with a condition", "socket", nil, nil, []Rule{rule(Allow, "socket", "arg0 == AF_UNIX")}, true},
		{"denied", "read", nil, []string{"read"}, []Rule{rule(Allow, "read")}, false},
		{"refused by another", "openat2", nil, nil, []Rule{rule(Allow, "openat2"), rule(Errno, "openat2")}, false},
		{"refused by another for some arguments", "socket", nil, nil,
			[]Rule{rule(Allow, "socket"), rule(Errno, "socket", "arg0 == AF_INET")}, true},
		{"refused for the same arguments", "socket", nil, nil,
			[]Rule{rule(Allow, "socket", "arg0 == AF_INET"), rule(Errno, "socket", "arg0 == AF_INET")}, false},
		{"refused for more arguments", "socket", nil, nil,
			[]Rule{rule(Allow, "socket", "arg0 == AF_INET"), rule(Errno, "socket", "arg0 in {AF_INET, AF_INET6}")}, false},
		{"refused for fewer arguments", "socket", nil, nil,
			[]Rule{rule(Allow, "socket", "arg0 in {AF_INET, AF_INET6}"), rule(Errno, "socket", "arg0 == AF_INET")}, true},
		{"refused for one of two", "socket", nil, nil, []Rule{rule(Allow, "socket", "arg0 == AF_INET", "arg0 == AF_INET6"),
			rule(Errno, "socket", "arg0 == AF_INET")}, true},
		{"refused on another argument too", "socket", nil, nil,
			[]Rule{rule(Allow, "socket", "arg0 == AF_INET"), rule(Errno, "socket", "arg0 == AF_INET && arg1 == 1")}, true},
		{"built in", "clone3", nil, nil, []Rule{rule(Allow, "clone3")}, false},
		{"built in, lifted", "clone3", []string{"clone3"}, nil, []Rule{rule(Allow, "clone3")}, true},
		{"setns", "setns", nil, nil, []Rule{rule(Allow, "setns")}, false},
		{"setns, for one kind", "setns", nil, nil, []Rule{rule(Allow, "setns", "arg1 == CLONE_NEWNET")}, false},
		{"setns, lifted", "setns", []string{"@nest"}, nil, []Rule{rule(Allow, "setns", "arg1 == CLONE_NEWNET")}, true},
		{"unshare, without namespaces", "unshare", nil, nil, []Rule{rule(Allow, "unshare", "arg0 & ("+ns+") == 0")}, true},
		{"unshare, for one kind", "unshare", nil, nil, []Rule{rule(Allow, "unshare", "arg0 & CLONE_NEWUSER != 0")}, false},
		{"clone", "clone", nil, nil, []Rule{rule(Allow, "clone")}, true},
	} {
		p := &Policy{Allow: c.allow, Deny: c.deny, Rules: c.rules}
		answers, err := p.Answers(AMD64)
		if err != nil {
			t.Fatal(err)
		}
		call, err := LookupSyscall(c.call)
		if err != nil {
			t.Fatal(err)
		}
		answer, ok := answers.Lookup(call)
		if !ok {
			t.Fatalf("%s: no answer", c.call)
		}
		got := false
		for i, clause := range answer.Clauses {
			got = got || clause.Why.Rule == 1 && answer.Reached(i)
		}
		if got != c.want {
			t.Errorf("%s: reached is %v: %+v", c.name, got, answer.Clauses)
		}
	}
}

// TestImplies: what is proved is so, whatever the argument.
func TestImplies(t *testing.T) {
	var checks []Check
	for _, mask := range []uint64{1, 2, 3, 6, 7} {
		for lo := uint64(0); lo <= mask; lo++ {
			for hi := lo; hi <= mask; hi++ {
				checks = append(checks, Check{Mask: mask, In: []Range{{lo, hi}}})
				if hi+2 <= mask {
					checks = append(checks, Check{Mask: mask, In: []Range{{lo, hi}, {hi + 2, mask}}})
				}
			}
		}
	}
	proved := 0
	for _, a := range checks {
		for _, b := range checks {
			if !a.implies(b) {
				continue
			}
			proved++
			for x := range uint64(8) {
				if args := [6]uint64{x}; a.Holds(args) && !b.Holds(args) {
					t.Fatalf("%v implies %v, but not for %d", a, b, x)
				}
			}
		}
	}
	if proved < len(checks) {
		t.Errorf("only %d are proved", proved)
	}
	if (Check{Arg: 1, Mask: 1, In: []Range{{1, 1}}}).implies(Check{Mask: 1, In: []Range{{1, 1}}}) {
		t.Error("of two arguments one is taken for the other")
	}
}
