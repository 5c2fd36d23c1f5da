package policy

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// Finding is something in a policy that is allowed and seldom meant.
type Finding struct {
	// Where the entry was written; Line 0: the policy as a whole.
	Where Origin
	// Rule names the kind of finding: "shadowed", "path-writable", ...
	Rule string
	// Msg says what is the matter, and what follows from it; Fix, if not empty,
	// what to do about it.
	Msg, Fix string
}

// String is the place, the message and the rule.
func (f Finding) String() string {
	if f.Where.Line == 0 {
		return fmt.Sprintf("%s: %s (%s)", f.Where.Policy, f.Msg, f.Rule)
	}
	return fmt.Sprintf("%s:%d:%d: %s (%s)", f.Where.Policy, f.Where.Line, f.Where.Col, f.Msg, f.Rule)
}

// Lint looks for what a policy's author would want to know, for the architecture
// that sbx was built for. file is what the policy says itself, parents what it
// extends, resolved, and whole the resolved policy. untried is how many lines of
// [expect] only a run can try.
func Lint(file *Policy, parents []*Policy, whole *Policy) (found []Finding, untried int, err error) {
	l := &linter{whole: whole}
	l.redundant(file, parents)
	l.shadowed()
	l.settings()
	l.hidesNothing()
	l.unhidden()
	l.writable()
	l.sockets()
	l.network()
	l.process()
	l.seccomp()
	calls := whole.Calls()
	answers, err := l.answers(calls)
	if err != nil {
		return nil, 0, err
	}
	l.idleRules(file, calls, answers)
	l.capabilityCalls(calls, answers[0])
	untried = l.expectations(calls, answers)
	for _, text := range whole.idle {
		l.add("no-effect", "", "", "%s", text)
	}
	slices.SortStableFunc(l.found, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Where.Policy, b.Where.Policy), a.Where.Line-b.Where.Line, a.Where.Col-b.Where.Col)
	})
	return l.found, untried, nil
}

type linter struct {
	whole *Policy
	found []Finding
}

// add reports an entry of a list, or if key is "" the whole policy.
func (l *linter) add(rule, key, entry, format string, args ...any) {
	where, ok := l.whole.Origin(key, entry)
	if !ok {
		where.Policy = l.whole.Name
	}
	l.found = append(l.found, Finding{Where: where, Rule: rule, Msg: fmt.Sprintf(format, args...)})
}

// redundant finds entries that are inherited as they stand.
func (l *linter) redundant(file *Policy, parents []*Policy) {
	for _, f := range fields() {
		if f.texts != nil && len(*f.texts(file)) > 0 {
			for _, path := range f.paths(file) {
				for _, p := range parents {
					if have, ok := (*f.texts(p))[path]; ok && have == (*f.texts(file))[path] {
						o, _ := file.Origin(f.key, path)
						l.found = append(l.found, Finding{
							Where: o,
							Rule:  "inherited",
							Msg:   fmt.Sprintf("%s has %q already, from %s", f.key, path, p.Name),
						})
						break
					}
				}
			}
		}
		if f.list == nil || f.key == "extends" {
			continue
		}
		for _, e := range *f.list(file) {
			for _, p := range parents {
				if slices.Contains(*f.list(p), e) {
					o, _ := file.Origin(f.key, e)
					l.found = append(l.found, Finding{
						Where: o,
						Rule:  "inherited",
						Msg:   fmt.Sprintf("%s has %q already, from %s", f.key, e, p.Name),
					})
					break
				}
			}
		}
	}
}

// shadowed finds entries that another one covers.
func (l *linter) shadowed() {
	t := l.whole.Tree()
	for _, e := range t.Entries {
		up := t.At(path.Dir(e.Name))
		if e.Kind != KindRead && e.Kind != KindWrite || up.Kind != e.Kind || up.Name == e.Name || e.Name == "/" ||
			l.says(e, up) {
			continue
		}
		mark := map[bool]string{true: "?"}
		entry, by := mark[e.Optional]+e.Name, mark[up.Optional]+up.Name
		if e.Kind == KindRead {
			l.add("shadowed", "files.read", entry, "%q is shown already by %q", entry, by)
			continue
		}
		// A directory around a read-only part is named on purpose: as a mount
		// of its own it cannot be renamed away with that part.
		if !slices.ContainsFunc(t.Entries, func(r Entry) bool { return r.Kind == KindRead && Within(r.Name, e.Name) }) {
			l.add("shadowed", "files.write", entry, "%q is writable already by %q", entry, by)
		}
	}
	for _, list := range []struct {
		key     string
		entries []string
	}{{"process.env", l.whole.Process.Env}} {
		for _, e := range list.entries {
			for _, by := range list.entries {
				if prefix, ok := strings.CutSuffix(by, "*"); ok && by != e && !strings.Contains(e, "=") &&
					strings.HasPrefix(e, prefix) {
					l.add("shadowed", list.key, e, "%q crosses already by %q", e, by)
					break
				}
			}
		}
	}
	l.shadowedCalls()
}

// says is whether an entry says more than the one over it: another file, execution, a
// file that a pattern hides or guards but by its name, or a size of its own.
func (l *linter) says(e, up Entry) bool {
	f := &l.whole.Files
	if e.Options != (PathOptions{}) || up.Options != (PathOptions{}) {
		return true
	}
	below := strings.TrimPrefix(e.Name, up.Name)
	for name := range strings.SplitSeq(strings.Trim(below, "/"), "/") {
		for _, list := range [...][]string{f.Hide, f.Guard} {
			if slices.ContainsFunc(list, func(pattern string) bool {
				return hides(strings.TrimSuffix(withoutMark(pattern), "/"), strings.ToLower(name)) ||
					hides(strings.TrimSuffix(withoutMark(pattern), "/"), name)
			}) {
				return true
			}
		}
	}
	// A path of hide beats the entry: then it is in vain, not shadowed.
	return false
}

// shadowedCalls finds allowed system calls that are denied, and single ones
// that a group has.
func (l *linter) shadowedCalls() {
	s := &l.whole.Seccomp
	denied := callsOf(s.Deny)
	for _, e := range s.Allow {
		if calls, err := seccomp.Expand(e); err == nil && len(calls) > 0 &&
			!slices.ContainsFunc(calls, func(c string) bool { return !denied[c] }) {
			l.add("shadowed", "seccomp.allow", e, "all of %q is denied, and deny beats allow", e)
		}
	}
	for _, list := range []struct {
		key     string
		entries []string
	}{{"seccomp.allow", s.Allow}, {"seccomp.deny", s.Deny}} {
		for _, e := range list.entries {
			for _, by := range list.entries {
				if e != by && strings.HasPrefix(by, "@") && !strings.HasPrefix(e, "@") && callsOf([]string{by})[e] {
					l.add("shadowed", list.key, e, "%q is part of %q", e, by)
					break
				}
			}
		}
	}
}

func callsOf(entries []string) map[string]bool {
	set := map[string]bool{}
	for _, e := range entries {
		calls, err := seccomp.Expand(e)
		if err != nil {
			continue // Parse refuses such a policy
		}
		for _, c := range calls {
			set[c] = true
		}
	}
	return set
}

// hidesNothing finds paths to hide where nothing is shown.
func (l *linter) hidesNothing() {
	f := &l.whole.Files
	for _, e := range f.Hide {
		p := withoutMark(e)
		if p[0] != '/' && p[0] != '$' {
			continue
		}
		shown := slices.ContainsFunc(slices.Concat(f.Read, f.Write, f.Overlay), func(s string) bool {
			return Within(p, withoutMark(s)) || Within(withoutMark(s), p)
		})
		if !shown && !strings.HasPrefix(p, "${CWD}") { // base hides what only other roles show
			l.add("hides-nothing", "files.hide", e, "%q is hidden, but nothing there is shown", e)
		}
	}
}

// process finds capabilities and variables that undo much of the rest.
func (l *linter) process() {
	p := &l.whole.Process
	for _, e := range p.Capabilities {
		switch withoutMark(e) {
		case "sys_admin", "sys_module", "sys_rawio", "sys_ptrace", "sys_boot", "bpf", "mknod", "setfcap", "mac_admin",
			"mac_override", "dac_read_search", "perfmon", "checkpoint_restore", "syslog", "audit_control", "net_admin":
			l.add("capability", "process.capabilities", e, "%q is near to all of root's power", e)
		case "setuid", "setgid", "setpcap", "dac_override", "chown", "fowner", "fsetid", "ipc_owner", "lease",
			"linux_immutable", "net_raw", "sys_chroot", "sys_resource", "sys_nice", "sys_time", "sys_pacct",
			"sys_tty_config", "audit_write", "audit_read", "ipc_lock", "wake_alarm", "block_suspend", "net_broadcast":
			if o, ok := l.whole.Origin("process.capabilities", e); ok && strings.HasPrefix(o.Policy, "embedded:") {
				continue // the servers of a shipped role need it, and the role says why
			}
			l.add("capability", "process.capabilities", e,
				"%q, where root starts sbx, reaches what belongs to other users or to the machine", e)
		}
	}
	if IsTrue(p.Nest) {
		l.add("nest", "", "",
			"process.nest: in a user namespace of its own the target reaches kernel code that only root reaches otherwise")
	}
	if l.whole.Namespaces.User == "host" && len(p.Capabilities) > 0 {
		l.add("capability", "", "", "namespaces.user is \"host\": the capabilities kept are the machine's own")
	}
	for _, e := range p.Env {
		name := envName(e)
		prefix, isPrefix := strings.CutSuffix(name, "*")
		loader := strings.HasPrefix(name, "LD_") || slices.Contains(loaderNames[:], name)
		switch {
		case strings.Contains(e, "=") && loader:
			l.add("env-code", "process.env", e, "%q chooses code that runs in every program inside", e)
		case strings.Contains(e, "="):
			continue
		case loader || !isPrefix && slices.Contains(codeNames[:], name) || isPrefix && prefix != "" &&
			slices.ContainsFunc(codeNames[:], func(s string) bool { return strings.HasPrefix(s, prefix) }):
			l.add("env-code", "process.env", e, "%q lets the caller's environment choose code that runs inside", e)
		}
		if strings.Contains(e, "=") {
			continue
		}
		secret := ""
		if isPrefix {
			if i := slices.IndexFunc(secretVariables[:], func(s string) bool { return strings.HasPrefix(s, prefix) }); i >= 0 {
				secret = secretVariables[i]
			}
		} else if isSecretName(name) {
			secret = name
		}
		if secret != "" {
			l.add("env-secret", "process.env", e, "%q lets secrets such as %s cross", e, secret)
		}
	}
	if p.Landlock == "off" && !slices.Contains(l.whole.Files.Write, "/") && !slices.Contains(l.whole.Files.Write, "?/") {
		l.add("landlock-off", "", "", "process.landlock is \"off\": mounts alone protect the files")
	}
}

// seccomp finds answers that leave the kernel open.
func (l *linter) seccomp() {
	s := &l.whole.Seccomp
	if s.Default.Kind == seccomp.Allow {
		l.add("default-allow", "", "", "seccomp.default is \"allow\": every system call that deny does not name is allowed")
	}
	if s.Unknown.Kind == seccomp.Allow {
		l.add("default-allow", "", "", "seccomp.unknown is \"allow\": system calls of kernels to come are allowed unseen")
	}
	if s.Default.Kind == seccomp.Log || s.Unknown.Kind == seccomp.Log {
		l.add("default-allow", "", "", "action \"log\" lets the call happen")
	}
	denied, ruled := callsOf(s.Deny), map[string]bool{}
	for _, r := range s.Rules {
		for c := range callsOf(r.Syscalls) {
			ruled[c] = ruled[c] || r.Action.Kind != seccomp.Allow
		}
	}
	for _, e := range s.Allow {
		switch e {
		case "@terminal-input":
			l.add("terminal-input", "seccomp.allow", e, "%q lets the target type into the caller's terminal", e)
			continue
		case "@nest":
			l.add("nest", "seccomp.allow", e, "%q lets the target make namespaces", e)
			continue
		}
		calls := callsOf([]string{e})
		for _, c := range strings.Fields("ptrace process_vm_writev bpf perf_event_open userfaultfd io_uring_setup keyctl " +
			"kexec_load init_module finit_module open_by_handle_at mount fsmount move_mount pivot_root iopl " +
			"add_key request_key io_uring_enter io_uring_register process_vm_readv pidfd_getfd kcmp mount_setattr " +
			"fsopen fsconfig fspick umount umount2 delete_module create_module kexec_file_load ioperm reboot swapon swapoff " +
			"settimeofday clock_settime stime acct quotactl quotactl_fd syslog fanotify_init modify_ldt vm86 vm86old uselib " +
			"lookup_dcookie vhangup nfsservctl sethostname setdomainname chroot") {
			if calls[c] && !denied[c] && !ruled[c] {
				l.add("kernel-surface", "seccomp.allow", e, "%q allows %s", e, c)
				break
			}
		}
	}
	if e := &l.whole.Expect; len(e.Deny) == 0 && len(e.Allow) > 0 {
		l.add("no-expectation", "expect.allow", e.Allow[0], "expect.allow without expect.deny: nothing is tested to fail")
	}
}
