package policy

import (
	"cmp"
	"fmt"
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
	l.writable()
	l.sockets()
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
	f := &l.whole.Files
	shown := append(slices.Clone(f.Read), f.Write...)
	for _, e := range f.Read {
		if by := deepest(withoutMark(e), shown, f.Tmpfs); by != "" && slices.Contains(f.Read, by) {
			l.add("shadowed", "files.read", e, "%q is shown already by %q", e, by)
		}
	}
	for _, e := range f.Write {
		by := deepest(withoutMark(e), shown, f.Tmpfs)
		// A directory around a read-only part is named on purpose: as a mount
		// of its own it cannot be renamed away with that part.
		pins := slices.ContainsFunc(f.Read, func(r string) bool { return Within(withoutMark(r), withoutMark(e)) })
		if by != "" && slices.Contains(f.Write, by) && !pins {
			l.add("shadowed", "files.write", e, "%q is writable already by %q", e, by)
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

// deepest is the entry of lists that covers p and lies nearest above it. It
// is "" if that is among opaque, which show nothing of what is below them.
func deepest(p string, shown, opaque []string) string {
	best, isOpaque := "", false
	for i, list := range [][]string{shown, opaque} {
		for _, e := range list {
			d := withoutMark(e)
			if d != p && Within(p, d) && len(d) > len(withoutMark(best)) {
				best, isOpaque = e, i == 1
			}
		}
	}
	if isOpaque {
		return ""
	}
	return best
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

// writable finds directories whose contents run or are obeyed on the host.
func (l *linter) writable() {
	for _, e := range l.whole.Files.Write {
		p := withoutMark(e)
		for _, d := range strings.Fields("/usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin ${HOME}/bin " +
			"${HOME}/.local/bin ${HOME}/.cargo/bin ${HOME}/go/bin ${HOME}/.npm-global/bin") {
			if Within(d, p) || Within(p, d) {
				l.add("path-writable", "files.write", e,
					"%q makes %s writable, which is in PATH: what is left there runs on the host", e, d)
				break
			}
		}
		for _, d := range strings.Fields("/etc /root /boot /var/spool/cron ${HOME}/.bashrc ${HOME}/.profile ${HOME}/.ssh " +
			"${HOME}/.config/autostart ${HOME}/.config/systemd ${XDG_CONFIG_HOME} ${HOME}/.config/sbx /etc/sbx") {
			if Within(d, p) || Within(p, d) {
				l.add("startup-writable", "files.write", e, "%q makes %s writable, which other programs obey", e, d)
				break
			}
		}
	}
	for _, list := range []struct {
		key     string
		entries []string
	}{{"files.read", l.whole.Files.Read}, {"files.write", l.whole.Files.Write}, {"files.overlay", l.whole.Files.Overlay}} {
		for _, e := range list.entries {
			if p := withoutMark(e); Within(p, "/proc") {
				l.add("host-proc", list.key, e, "%q shows the machine's processes", e)
			} else if Within(p, "/dev") && p != "/dev" && !strings.HasPrefix(p, "/dev/null") {
				l.add("host-device", list.key, e, "%q shows a device of the machine", e)
			}
		}
	}
	for _, e := range l.whole.Files.Devices {
		in := strings.TrimPrefix(withoutMark(e), "/dev/")
		for _, prefix := range strings.Fields("sd vd xvd nvme mmcblk dm- mapper disk block loop md sr mem kmem port kmsg " +
			"input uinput hidraw uhid bus usb raw vcs tty console pts mei ipmi watchdog") {
			if strings.HasPrefix(in, prefix) {
				l.add("host-device", "files.devices", e,
					"%q is near to the whole machine: disks, memory, keyboards and consoles know nothing of this policy", e)
				break
			}
		}
	}
	if l.whole.Namespaces.PID == "host" && NotFalse(l.whole.Files.Proc) {
		l.add("host-proc", "", "",
			"namespaces.pid is \"host\": /proc shows the machine's processes, and without Landlock the target can signal them")
	}
	if m := l.whole.Namespaces.Mount; m != "" && m != "new" {
		l.add("host-mount", "", "",
			"namespaces.mount is %q: the host's files are there, and Landlock alone keeps them from being read and written", m)
	}
}

// sockets finds sockets by which services do what the policy denies, and those
// that are shown in vain: only sockets lets the target connect.
func (l *linter) sockets() {
	services := strings.Fields("/run/docker.sock /var/run/docker.sock /run/containerd/containerd.sock " +
		"/run/podman/podman.sock /run/dbus/system_bus_socket /var/run/dbus/system_bus_socket /run/systemd/private " +
		"/tmp/.X11-unix ${XDG_RUNTIME_DIR}/bus ${XDG_RUNTIME_DIR}/podman ${XDG_RUNTIME_DIR}/docker.sock " +
		"${XDG_RUNTIME_DIR}/gnupg /run/user/${UID}/bus ${SSH_AUTH_SOCK} /tmp/.X11-unix/X${DISPLAY} " +
		"${XDG_RUNTIME_DIR}/${WAYLAND_DISPLAY}")
	f := &l.whole.Files
	for _, e := range f.Sockets {
		p := withoutMark(e)
		if slices.ContainsFunc(f.Tmpfs, func(d string) bool { return withoutMark(d) == p }) {
			continue // the sandbox's own
		}
		if i := slices.IndexFunc(services, func(s string) bool { return Within(s, p) }); i >= 0 {
			l.add("socket", "files.sockets", e, "%q opens %s: the service behind it acts without this policy", e, services[i])
		}
	}
	named := func(p string) bool {
		return slices.ContainsFunc(f.Sockets, func(e string) bool { return Within(p, withoutMark(e)) })
	}
	for _, list := range []struct {
		key     string
		entries []string
	}{{"files.read", f.Read}, {"files.write", f.Write}} {
		for _, e := range list.entries {
			if p := withoutMark(e); slices.Contains(services, p) && !named(p) {
				l.add("socket", list.key, e, "%q is shown in vain: the target can connect only to what files.sockets names", e)
			}
		}
	}
}

// process finds capabilities and variables that undo much of the rest.
func (l *linter) process() {
	p := &l.whole.Process
	for _, e := range p.Capabilities {
		switch withoutMark(e) {
		case "sys_admin", "sys_module", "sys_rawio", "sys_ptrace", "sys_boot", "bpf", "mknod", "setfcap", "mac_admin",
			"mac_override", "dac_read_search":
			l.add("capability", "process.capabilities", e, "%q is near to all of root's power", e)
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
		if loader := envName(e); strings.HasPrefix(loader, "LD_") && !strings.Contains(e, "=") {
			l.add("env-code", "process.env", e, "%q lets the caller's environment choose code that runs inside", e)
		}
		if strings.Contains(e, "=") {
			continue
		}
		for _, secret := range strings.Fields("AWS_SECRET_ACCESS_KEY GITHUB_TOKEN OPENAI_API_KEY ANTHROPIC_API_KEY " +
			"SSH_AUTH_SOCK DBUS_SESSION_BUS_ADDRESS DATABASE_URL PGPASSWORD NPM_TOKEN") {
			prefix, isPrefix := strings.CutSuffix(e, "*")
			if e == secret || isPrefix && strings.HasPrefix(secret, prefix) {
				l.add("env-secret", "process.env", e, "%q lets secrets such as %s cross", e, secret)
				break
			}
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
			"kexec_load init_module finit_module open_by_handle_at mount fsmount move_mount pivot_root iopl") {
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
