package policy

import (
	"slices"
	"strings"
	"testing"

	"sbx/policy/capability"
	"sbx/policy/seccomp"
)

// of are the lines of findings of one rule, with their fixes.
func of(rule, text string) string {
	var out []string
	take := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, "  ") {
			take = strings.HasSuffix(line, "("+rule+")")
		}
		if take {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// TestIdleRules: a rule of the policy's own that lets nothing through is found,
// with what answers in its place and how to take that back.
func TestIdleRules(t *testing.T) {
	const base = "[seccomp]\nallow = ['@system-service']\ndeny = ['@clock']\n[[seccomp.rule]]\nsyscalls = " +
		"['openat2']\naction = 'errno:ENOSYS'\n" +
		"[[seccomp.rule]]\nsyscalls = ['socket']\nwhen = ['arg0 == AF_NETLINK']\naction = 'errno:EPERM'\n"
	rule := func(calls, when, action string) string {
		if when != "" {
			when = "when = ['" + when + "']\n"
		}
		return "extends = ['a']\n[[seccomp.rule]]\nsyscalls = [" + calls + "]\n" + when + "action = '" + action + "'\n"
	}
	for _, c := range []struct{ text, want string }{
		{rule("'openat2'", "", "allow"), `p:3:3: this rule has no effect: the answer to openat2 is errno:ENOSYS by rule ` +
			`1 (a:5) (no-effect)
  the stricter of two rules counts; another [[seccomp.rule]] with ["!openat2"] takes it out of an inherited one`},
		{rule("'openat2'", "", "allow") + "[[seccomp.rule]]\nsyscalls = ['!openat2']\n", ""},
		{"process.nest = true\n" + rule("'openat2'", "", "allow"), ""}, // nesting takes the call
		{rule("'clock_settime'", "", "log"), `p:3:3: this rule has no effect: the answer to clock_settime is errno:EPERM ` +
			`by deny @clock (a:4) (no-effect)
  deny beats allow, always; deny = ["!@clock"] takes an inherited entry out`},
		{rule("'clone3'", "", "allow"), `p:3:3: this rule has no effect: the answer to clone3 is errno:ENOSYS by built ` +
			`in: flags of clone3 cannot be seen (no-effect)
  seccomp.allow lifts what is built in, if it has @nest or clone3`},
		{"files.set_id = false\n" + rule("'fchmod'", "arg1 & S_ISUID != 0", "allow"), `p:4:3: this rule has ` +
			`no effect: the answer to fchmod is errno:EPERM by files.set_id = false (no-effect)
  files.set_id = true is without that`},
		{"files.set_id = false\n" + rule("'openat2'", "", "allow")[len("extends = ['a']\n"):] +
			"[seccomp]\nallow = ['read']\n",
			`p:3:3: this rule has no effect: the answer to openat2 is errno:ENOSYS by files.set_id = false (no-effect)
  without the rule a user gets the call, and root where no directory of the host can be written`},
		{rule("'setns'", "arg1 == CLONE_NEWNET", "notify"), `p:3:3: this rule has no effect: the answer to setns is ` +
			`errno:EPERM by built in: no namespaces inside (no-effect)
  seccomp.allow lifts what is built in, if it has @nest`},
		{rule("'socket'", "arg0 == AF_NETLINK", "allow"), `p:3:3: this rule has no effect: the answer to socket is ` +
			`errno:EPERM by rule 2 (a:8) (no-effect)
  the stricter of two rules counts; another [[seccomp.rule]] with ["!socket"] takes it out of an inherited one`},
		{rule("'openat2', 'setns'", "", "allow"), `p:3:3: this rule has no effect: the answer to openat2 for one is ` +
			`errno:ENOSYS by rule 1 (a:5) (no-effect)
  the stricter of two rules counts; another [[seccomp.rule]] with ["!openat2"] takes it out of an inherited one`},
		{rule("'openat2', 'mount'", "", "allow"), ""},
		{rule("'socket'", "arg0 in {AF_NETLINK, AF_INET}", "allow"), ""},
		{rule("'openat2'", "", "errno:EPERM"), ""}, // who refuses, refuses
		{rule("'mount'", "", "errno:EPERM"), ""},
		{rule("'@timer'", "", "allow"), ""},
		{rule("'_llseek'", "", "allow"), ""}, // another machine's
	} {
		got, _ := lintText(t, map[string]string{"p": c.text, "a": base})
		if g := of("no-effect", got); g != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.text, g, c.want)
		}
	}
	// What is inherited is not the author's to fix.
	got, _ := lintText(t, map[string]string{"p": "extends = ['a']",
		"a": base + "[[seccomp.rule]]\nsyscalls = ['openat2']\naction = 'allow'\n"})
	if of("no-effect", got) != "" {
		t.Errorf("an inherited rule: %s", got)
	}
}

func TestCapabilityCalls(t *testing.T) {
	kept := func(name, deny string) string {
		return "process.capabilities = ['" + name + "']\n[seccomp]\nallow = ['@system-service', '@mount']\ndeny = [" + deny +
			"]\n"
	}
	allowed := func(calls, caps string) string {
		return "process.capabilities = [" + caps + "]\n[seccomp]\nallow = ['@basic-io', 'execve', " + calls + "]\n"
	}
	for _, c := range []struct{ text, want string }{
		{kept("sys_chroot", "'chroot', 'setns'"),
			`p:2:25: "sys_chroot" is kept in vain: none of the system calls that ask for it is allowed: chroot, setns ` +
				`(capability-call)`},
		{kept("sys_chroot", ""), ""},
		{kept("?kill", "'kill', 'tkill', 'tgkill', 'rt_sigqueueinfo', 'rt_tgsigqueueinfo', 'pidfd_send_signal'"),
			`p:2:25: "?kill" is kept in vain: none of the system calls that ask for it is allowed: kill, tkill, tgkill, ` +
				`rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_send_signal (capability-call)`},
		{kept("kill", "'kill'"), ""},
		{kept("net_bind_service", "'bind'"),
			`p:2:25: "net_bind_service" is kept in vain: bind is not allowed, which it is for (capability-call)`},
		{kept("net_bind_service", ""), ""},
		{kept("net_raw", "'socket'"),
			`p:2:25: "net_raw" is kept in vain: socket is not allowed, which it is for (capability-call)`},
		{kept("net_raw", ""), ""},
		{kept("net_raw", "") + "[[seccomp.rule]]\nsyscalls = ['socket']\nwhen = ['arg0 == AF_PACKET', " +
			"'arg1 & SOCK_TYPE_MASK == SOCK_RAW']\naction = 'errno:EPERM'\n",
			`p:2:25: "net_raw" is kept in vain: socket makes neither AF_PACKET nor SOCK_RAW sockets, which it is for ` +
				`(capability-call)`},
		{kept("net_raw", "") + "[[seccomp.rule]]\nsyscalls = ['socket']\nwhen = ['arg0 == AF_PACKET', " +
			"'arg1 & SOCK_TYPE_MASK == SOCK_RAW && arg2 != IPPROTO_ICMP']\naction = 'errno:EPERM'\n", ""},
		{kept("sys_time", ""), `p:2:25: "sys_time" is kept in vain: none of the system calls that ask for it is allowed: ` +
			`settimeofday, clock_settime, clock_settime64, adjtimex, clock_adjtime, clock_adjtime64, stime (capability-call)`},
		{"files.devices = ['?/dev/rtc0']\n" + kept("sys_time", ""), ""}, // by ioctl
		{kept("sys_admin", ""), ""},
		{kept("dac_override", ""), ""},
		{"process.capabilities = ['kill']\n", ""}, // a part of other policies: nothing starts

		{allowed("'chroot'", ""), `p:4:33: "chroot" is allowed in vain: without sys_chroot in process.capabilities it ` +
			`always fails (capability-call)`},
		{allowed("'chroot'", "'?sys_chroot'"), ""},
		{allowed("'@module'", ""), `p:4:33: "@module" is allowed in vain: without sys_module in process.capabilities it ` +
			`always fails (capability-call)`},
		{allowed("'swapon', 'setgroups'", "'sys_admin'"),
			`p:4:43: "setgroups" is allowed in vain: without setgid in process.capabilities it always fails (capability-call)`},
		{allowed("'@system-service'", ""), ""}, // among others
		{allowed("'chroot'", "") + "deny = ['chroot']\n", ""},
		{"process.nest = true\n" + allowed("'chroot'", ""), ""},
		{allowed("'chroot', '@nest'", ""), ""},
		{"[seccomp]\nallow = ['execve']\n[[seccomp.rule]]\nsyscalls = ['reboot', 'acct']\naction = 'allow'\n",
			`p:4:3: this rule allows acct, reboot in vain: without sys_boot and sys_pacct in process.capabilities it always ` +
				`fails (capability-call)`},
	} {
		got, _ := lintText(t, map[string]string{"p": c.text})
		if g := of("capability-call", got); g != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.text, g, c.want)
		}
	}
}

// TestPairings: the table names what there is.
func TestPairings(t *testing.T) {
	var seen []string
	for _, x := range pairings(&Policy{}) {
		if !slices.Contains(capability.Names(), x.capability) || slices.Contains(seen, x.capability) || x.calls+x.only == "" {
			t.Errorf("%+v", x)
		}
		seen = append(seen, x.capability)
		for _, name := range strings.Fields(x.calls + " " + x.only) {
			if _, err := seccomp.LookupSyscall(name); err != nil {
				t.Errorf("%s: %v", x.capability, err)
			}
		}
	}
}
