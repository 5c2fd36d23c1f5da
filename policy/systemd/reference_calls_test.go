package systemd

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sbx/policy"
	"sbx/policy/seccomp"
)

// expandGroup lists the calls of an entry of SystemCallFilter=.
var expandGroup = func(entry string) []string {
	calls, err := seccomp.Expand(entry)
	if err != nil {
		panic(err)
	}
	return calls
}

// compareCalls compares the filters: what is granted, and which capabilities.
func (u *reference) compareCalls(t *testing.T, p *policy.Policy) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf(format+"\n%s\n%s", append(args, u.text(), p.Print())...)
	}
	answers, err := p.Seccomp.Answers(seccomp.AMD64)
	if err != nil {
		t.Fatal(err)
	}
	refused := u.refusedCalls()
	for _, c := range answers.Calls {
		if refused(c.Syscall.Name()) && answers.Decide(c.Number, [6]uint64{}).Action.Kind == seccomp.Allow {
			fail("%s is allowed", c.Syscall.Name())
		}
	}
	families := u.families()
	for _, family := range []uint64{1, 2, 10, 16} {
		if answers.Decide(41, [6]uint64{family, 1}).Action.Kind == seccomp.Allow && !families(family) {
			fail("sockets of family %d are allowed", family)
		}
	}
	bounding := u.bounding()
	for _, c := range p.Process.Capabilities {
		if !bounding[bare(c)] {
			fail("%s is kept", c)
		}
	}
	least := 0
	for _, key := range []string{"TasksMax", "LimitNPROC"} {
		n := 0
		if _, err := fmt.Sscan(u.last(key), &n); err == nil && !strings.HasSuffix(u.last(key), "%") &&
			(least == 0 || n < least) {
			least = n
		}
	}
	if least > 0 && p.Limits.Processes != fmt.Sprint(least) {
		fail("%s processes, not %d", p.Limits.Processes, least)
	}
}

// refusedCalls says of calls whether the unit's filters refuse them.
func (u *reference) refusedCalls() func(string) bool {
	set := func(group string) map[string]bool {
		m := map[string]bool{}
		for _, entry := range strings.Fields(group) {
			for _, c := range expandGroup(entry) {
				m[c] = true
			}
		}
		return m
	}
	allowList, started := false, false
	listed := map[string]bool{}
	for _, s := range u.settings {
		if s.key != "SystemCallFilter" {
			continue
		}
		if s.value == "" {
			started, allowList, listed = false, false, map[string]bool{}
			continue
		}
		list, invert := strings.CutPrefix(s.value, "~")
		if !started {
			started, allowList = true, !invert
			if allowList {
				listed = set("@default")
			}
		}
		for _, w := range strings.Fields(list) {
			name, _, _ := strings.Cut(w, ":")
			for c := range set(name) {
				// In the list is what it is about; a call with an errno stays
				// in a list of what is allowed, and is refused all the same.
				if invert != allowList {
					listed[c] = true
				} else {
					delete(listed, c)
				}
			}
		}
	}
	switches := map[string]bool{}
	for key, calls := range map[string]string{
		"PrivateDevices": "@raw-io", "ProtectClock": "@clock", "ProtectKernelModules": "@module",
		"ProtectKernelLogs": "syslog",
		"ProtectHostname":   "sethostname setdomainname",
	} {
		if u.isOn(key) {
			for c := range set(calls) {
				switches[c] = true
			}
		}
	}
	return func(name string) bool {
		return switches[name] || started && listed[name] != allowList
	}
}

func (u *reference) families() func(uint64) bool {
	allowed := map[uint64]bool{}
	number := func(name string) uint64 {
		n, err := seccomp.LookupConstant(name, seccomp.AMD64)
		if err != nil {
			panic(err)
		}
		return n
	}
	allowList, set := false, false
	for _, s := range u.settings {
		if s.key != "RestrictAddressFamilies" {
			continue
		}
		list, invert := strings.CutPrefix(s.value, "~")
		switch {
		case s.value == "":
			allowed, allowList, set = map[uint64]bool{}, false, false
			continue
		case s.value == "none":
			allowed, allowList, set = map[uint64]bool{}, true, false
			continue
		case !set:
			allowList, set = !invert, true
		}
		for _, w := range strings.Fields(list) {
			if invert != allowList {
				allowed[number(w)] = true
			} else {
				delete(allowed, number(w))
			}
		}
	}
	return func(f uint64) bool { return allowed[f] == allowList }
}

// bounding is the unit's bounding set.
func (u *reference) bounding() map[string]bool {
	all := capabilitySet{}
	if err := assignCapabilities(&all, "~", true); err != nil {
		panic(err)
	}
	set := map[string]bool{}
	for c := range all {
		set[c] = true
	}
	full := true
	for _, s := range u.settings {
		if s.key != "CapabilityBoundingSet" {
			continue
		}
		list, invert := strings.CutPrefix(s.value, "~")
		named := map[string]bool{}
		for _, w := range strings.Fields(list) {
			named[strings.ToLower(strings.TrimPrefix(w, "CAP_"))] = true
		}
		for c := range all {
			switch {
			case len(named) == 0 || full:
				set[c] = named[c] != invert
			case invert:
				set[c] = set[c] && !named[c]
			default:
				set[c] = set[c] || named[c]
			}
		}
		full = !slices.ContainsFunc(slices.Collect(func(yield func(bool) bool) {
			for c := range all {
				if !yield(set[c]) {
					return
				}
			}
		}), func(has bool) bool { return !has })
	}
	for key, dropped := range map[string]string{
		"PrivateDevices": "mknod sys_rawio", "ProtectClock": "sys_time wake_alarm", "ProtectKernelModules": "sys_module",
		"ProtectKernelLogs": "syslog",
	} {
		if u.isOn(key) {
			for _, c := range strings.Fields(dropped) {
				set[c] = false
			}
		}
	}
	return set
}
