package policy

import (
	"fmt"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// answers are what the filter of this machine says to every call: of its own ABI
// first, then of those that the policy lists.
func (l *linter) answers(calls *seccomp.Policy) ([]*seccomp.Answers, error) {
	abis, err := calls.ABIs(seccomp.Native())
	if err != nil {
		return nil, err
	}
	var all []*seccomp.Answers
	for _, a := range abis {
		answers, err := calls.Answers(a)
		if err != nil {
			return nil, err
		}
		all = append(all, answers)
	}
	return all, nil
}

// idleRules finds rules of the file itself that are to let calls through, and of
// which a list, another rule or a built-in one leaves nothing.
func (l *linter) idleRules(file *Policy, calls *seccomp.Policy, answers []*seccomp.Answers) {
	for i, r := range calls.Rules {
		o, ok := l.whole.RuleOrigin(r)
		if !ok || o.Policy != file.Name || !r.Action.Passes() && r.Action.Kind != seccomp.Notify {
			continue
		}
		var instead seccomp.Clause
		name, idle := "", true
		for call := range callsOf(r.Syscalls) {
			s, err := seccomp.LookupSyscall(call)
			if err != nil {
				continue // Parse refuses such a policy
			}
			for _, on := range answers {
				answer, ok := on.Lookup(s)
				if !ok {
					continue
				}
				if slices.ContainsFunc(reached(answer), func(c seccomp.Clause) bool { return c.Why.Rule == i+1 }) {
					idle = false
				}
				if name == "" || call < name {
					name, instead = call, answer.Clauses[0]
				}
			}
		}
		if !idle || name == "" {
			continue
		}
		if len(r.Syscalls) > 1 {
			name += " for one"
		}
		l.found = append(l.found, Finding{o, "no-effect", fmt.Sprintf("this rule has no effect: the answer to %s is %s by %s",
			name, instead.Action, l.whole.Because(calls, instead.Why)), l.lift(calls, instead.Why, r)})
	}
}

// reached are the clauses of an answer that can decide.
func reached(a seccomp.Answer) (out []seccomp.Clause) {
	for i, c := range a.Clauses {
		if a.Reached(i) {
			out = append(out, c)
		}
	}
	return out
}

// lift is how to take back what keeps a rule from having an effect, or "".
func (l *linter) lift(calls *seccomp.Policy, why seccomp.Reason, r seccomp.Rule) string {
	switch {
	case why.List == "deny":
		return fmt.Sprintf("deny beats allow, always; deny = [%s] takes an inherited entry out", quote("!"+why.Entry))
	case l.whole.isSetIDRule(calls, why):
		if slices.Contains(r.Syscalls, "openat2") {
			return "without the rule a user gets the call, and root where no directory of the host can be written"
		}
		return "files.set_id = true is without that"
	case why.Rule > 0:
		for _, s := range r.Syscalls {
			if slices.Contains(calls.Rules[why.Rule-1].Syscalls, s) {
				return fmt.Sprintf("the stricter of two rules counts; another [[seccomp.rule]] with [%s] takes it out of an "+
					"inherited one", quote("!"+s))
			}
		}
	}
	for _, b := range seccomp.Builtins() {
		if why.Note == b.Why && slices.Contains(r.Syscalls, b.Syscall) {
			return "seccomp.allow lifts what is built in, if it has " + strings.Join(b.LiftedBy, " or ")
		}
	}
	return ""
}

// pairing is a capability and the calls that ask for it.
type pairing struct {
	capability string
	// calls are all that it is for: kept without one of them it is of no use.
	// Empty where it is asked for elsewhere too.
	calls string
	// only are calls that always ask for it: allowed without it they fail.
	only string
}

// pairings lists capabilities that go with system calls, see capabilities(7). What
// is asked for in many places has no calls here: sys_admin, net_admin,
// sys_resource, and those that files, /proc and /sys ask for.
func pairings(p *Policy) []pairing {
	device := "" // they are asked for by clocks and consoles, too
	if len(p.Files.Devices) > 0 || p.Namespaces.Mount == "host" || p.Namespaces.All == "host" {
		device = " ioctl"
	}
	return []pairing{
		{"chown", "chown chown32 fchown fchown32 lchown lchown32 fchownat", ""},
		{"kill", "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal", ""},
		{"setgid", "setgid setgid32 setregid setregid32 setresgid setresgid32 setfsgid setfsgid32 setgroups setgroups32",
			"setgroups setgroups32"},
		{"setuid", "setuid setuid32 setreuid setreuid32 setresuid setresuid32 setfsuid setfsuid32", ""},
		{"setpcap", "capset prctl", ""},
		{"net_bind_service", "bind", ""},
		{"net_raw", "socket", ""},
		{"ipc_owner", "shmget shmat shmctl semget semop semtimedop semctl msgget msgsnd msgrcv msgctl ipc", ""},
		{"sys_module", "init_module finit_module delete_module", "init_module finit_module delete_module"},
		{"sys_rawio", "", "iopl ioperm"},
		{"sys_chroot", "chroot setns", "chroot"},
		{"sys_pacct", "acct", "acct"},
		{"sys_boot", "reboot kexec_load kexec_file_load", "reboot kexec_load kexec_file_load"},
		{"sys_time", "settimeofday clock_settime clock_settime64 adjtimex clock_adjtime clock_adjtime64 stime" + device,
			"settimeofday stime"},
		{"sys_tty_config", "vhangup" + device, "vhangup"},
		{"mknod", "mknod mknodat", ""},
		{"wake_alarm", "timer_create timerfd_create", ""},
		{"sys_admin", "", "mount umount umount2 pivot_root fsopen fsconfig fsmount fspick move_mount mount_setattr swapon " +
			"swapoff sethostname setdomainname"},
	}
}

// capabilityCalls finds capabilities without the calls that ask for them, and
// calls that always fail without theirs. A policy that allows no program to start
// is part of others, and inside nested user namespaces all capabilities are there.
func (l *linter) capabilityCalls(calls *seccomp.Policy, on *seccomp.Answers) {
	p := l.whole
	passes := func(name string) bool {
		s, err := seccomp.LookupSyscall(name)
		if err != nil {
			return false
		}
		answer, ok := on.Lookup(s)
		return ok && slices.ContainsFunc(reached(answer), func(c seccomp.Clause) bool {
			return c.Action.Passes() || c.Action.Kind == seccomp.Notify
		})
	}
	if !passes("execve") && !passes("execveat") {
		return
	}
	missing := map[string]string{} // calls that always fail, to the capability
	for _, x := range pairings(p) {
		entry := ""
		for _, e := range p.Process.Capabilities {
			if withoutMark(e) == x.capability {
				entry = e
			}
		}
		if entry == "" {
			for _, name := range strings.Fields(x.only) {
				missing[name] = x.capability
			}
			continue
		}
		what := "none of the system calls that ask for it is allowed: " + strings.Join(strings.Fields(x.calls), ", ")
		if strings.Count(x.calls, " ") == 0 {
			what = x.calls + " is not allowed, which it is for"
		}
		if x.calls == "" || slices.ContainsFunc(strings.Fields(x.calls), passes) {
			if x.capability != "net_raw" || rawSockets(on) {
				continue
			}
			what = "socket makes neither AF_PACKET nor SOCK_RAW sockets, which it is for"
		}
		l.add("capability-call", "process.capabilities", entry, "%q is kept in vain: %s", entry, what)
	}
	if IsTrue(p.Process.Nest) || slices.Contains(p.Seccomp.Allow, "@nest") {
		return
	}
	// needs is what all of an entry's calls fail without, or "".
	needs := func(entries ...string) string {
		var caps []string
		for name := range callsOf(entries) {
			if !passes(name) {
				continue
			}
			if missing[name] == "" {
				return ""
			}
			if !slices.Contains(caps, missing[name]) {
				caps = append(caps, missing[name])
			}
		}
		slices.Sort(caps)
		return strings.Join(caps, " and ")
	}
	for _, e := range calls.Allow {
		if caps := needs(e); caps != "" {
			l.add("capability-call", "seccomp.allow", e,
				"%q is allowed in vain: without %s in process.capabilities it always fails", e, caps)
		}
	}
	for _, r := range calls.Rules {
		o, ok := p.RuleOrigin(r)
		if caps := needs(r.Syscalls...); caps != "" && ok && r.Action.Passes() {
			l.found = append(l.found, Finding{Where: o, Rule: "capability-call", Msg: fmt.Sprintf(
				"this rule allows %s in vain: without %s in process.capabilities it always fails",
				strings.Join(r.Syscalls, ", "), caps)})
		}
	}
}

// rawSockets says whether a socket that asks for net_raw can be made.
func rawSockets(on *seccomp.Answers) bool {
	s, err := seccomp.LookupSyscall("socket")
	if err != nil {
		return false
	}
	answer, ok := on.Lookup(s)
	if !ok {
		return true // by socketcall
	}
	const inet, inet6, packet, raw, dgram = 2, 10, 17, 3, 2
	for protocol := range uint64(256) {
		for _, kind := range [][2]uint64{{inet, raw}, {inet6, raw}, {packet, raw}, {packet, dgram}} {
			for _, c := range answer.Clauses {
				if c.Holds([6]uint64{kind[0], kind[1], protocol}) {
					if c.Action.Passes() || c.Action.Kind == seccomp.Notify {
						return true
					}
					break
				}
			}
		}
	}
	return false
}
