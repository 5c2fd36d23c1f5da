package systemd

import (
	"fmt"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// callFilter takes one SystemCallFilter=. The first one says whether calls are
// allowed or refused, later ones of the other kind take back.
func (m *importer) callFilter(s setting) error {
	if s.value == "" {
		m.calls, m.words, m.mixed = nil, nil, false
		return nil
	}
	list, invert := strings.CutPrefix(s.value, "~")
	entries, err := words(list)
	if err != nil {
		return err
	}
	if m.calls == nil {
		m.calls, m.words = map[string]seccomp.Action{}, map[string]seccomp.Action{}
		m.allowList, m.line = !invert, s.line
		if m.allowList {
			entries = append([]string{"@default"}, entries...)
		}
	}
	for _, e := range entries {
		name, suffix, has := strings.Cut(e, ":")
		var a seccomp.Action
		if m.allowList {
			a.Kind = seccomp.Allow
		}
		if has && m.allowList {
			return fmt.Errorf("%q: an errno is for calls that are refused, and this is a list of what is allowed", e)
		}
		if has {
			if a, err = answer(suffix); err != nil {
				return err
			}
		}
		calls, err := seccomp.Expand(name)
		if err != nil {
			return err
		}
		add := invert != m.allowList
		for _, c := range calls {
			old, there := m.calls[c]
			m.mixed = m.mixed || there && (!add || old != a)
			if add {
				m.calls[c] = a
			} else {
				delete(m.calls, c)
			}
		}
		if add {
			m.words[name] = a
		}
	}
	return nil
}

// answer reads what a refused call is answered: an errno by name or number, or
// "kill".
func answer(s string) (seccomp.Action, error) {
	if s == "kill" {
		return seccomp.Action{Kind: seccomp.KillProcess}, nil
	}
	n, err := seccomp.LookupErrno(s)
	return seccomp.Action{Kind: seccomp.Errno, Errno: uint16(n)}, err
}

// architectures takes SystemCallArchitectures=.
func (m *importer) architectures(value string) error {
	list, err := words(value)
	if err != nil {
		return err
	}
	if value == "" {
		m.p.Seccomp.Architectures = nil
	}
	for _, name := range list {
		if name == "native" {
			continue
		}
		a, err := seccomp.ParseArch(name)
		if err != nil {
			return err
		}
		if a == m.native || !a.Compiles() || slices.Contains(m.p.Seccomp.Architectures, a.String()) {
			continue
		}
		m.p.Seccomp.Architectures = append(m.p.Seccomp.Architectures, a.String())
	}
	return nil
}

// families takes RestrictAddressFamilies=.
func (m *importer) families(value string) error {
	const refused = 97 // EAFNOSUPPORT
	list, invert := strings.CutPrefix(value, "~")
	names, err := words(list)
	if err != nil {
		return err
	}
	for _, n := range names {
		if !strings.HasPrefix(n, "AF_") && n != "none" {
			return fmt.Errorf("%q is no address family", n)
		}
	}
	rule := seccomp.Rule{Syscalls: []string{"socket"}, Action: seccomp.Action{Kind: seccomp.Errno, Errno: refused}}
	switch {
	case len(names) == 0:
		return nil
	case len(names) == 1 && names[0] == "none" && !invert:
	case slices.Contains(names, "none"):
		return fmt.Errorf("none stands alone")
	case invert:
		rule.When = []string{"arg0 in {" + strings.Join(names, ", ") + "}"}
	default:
		rule.When = []string{"arg0 not in {" + strings.Join(names, ", ") + "}"}
	}
	if err := rule.Check(); err != nil {
		return err
	}
	if slices.ContainsFunc(m.p.Seccomp.Rules, func(r seccomp.Rule) bool { return r.Syscalls[0] == "socket" }) {
		return fmt.Errorf("said twice, and what that means together is not understood here")
	}
	m.p.Seccomp.Rules = append(m.p.Seccomp.Rules, rule)
	return nil
}

// refuse adds the rules that a switch of a unit stands for. What systemd does
// by filters a policy can, too.
func (m *importer) refuse(key string) {
	eperm := seccomp.Action{Kind: seccomp.Errno, Errno: 1}
	add := func(when string, calls ...string) {
		r := seccomp.Rule{Syscalls: calls, Action: eperm}
		if when != "" {
			r.When = strings.Split(when, " || ")
		}
		m.p.Seccomp.Rules = append(m.p.Seccomp.Rules, r)
	}
	switch key {
	case "MemoryDenyWriteExecute":
		add("arg2 & (PROT_WRITE|PROT_EXEC) == PROT_WRITE|PROT_EXEC", "mmap")
		add("arg2 & PROT_EXEC == PROT_EXEC", "mprotect", "pkey_mprotect")
		add("arg2 & 0o100000 != 0", "shmat") // SHM_EXEC
	case "LockPersonality":
		add("arg0 not in {0, 0xffffffff}", "personality")
	case "RestrictRealtime":
		add("arg1 not in {0, 3, 5}", "sched_setscheduler") // other, batch, idle
		add("", "sched_setattr")
	case "RestrictSUIDSGID":
		const bits = " & 0o6000 != 0"
		add("arg1"+bits, "chmod", "fchmod", "creat", "mkdir", "mknod")
		add("arg2"+bits, "fchmodat", "fchmodat2", "mkdirat", "mknodat")
		add("arg1 & O_CREAT != 0 && arg2"+bits+" || arg1 & O_TMPFILE == O_TMPFILE && arg2"+bits, "open")
		add("arg2 & O_CREAT != 0 && arg3"+bits+" || arg2 & O_TMPFILE == O_TMPFILE && arg3"+bits, "openat")
		m.p.Seccomp.Rules = append(m.p.Seccomp.Rules, seccomp.Rule{
			Syscalls: []string{"openat2"}, Action: seccomp.Action{Kind: seccomp.Errno, Errno: 38}, // its mode lies in memory
		})
	case "ProtectKernelModules":
		add("", "@module")
	case "ProtectKernelLogs":
		add("", "syslog")
	case "ProtectClock":
		add("", "@clock")
	case "ProtectHostname":
		add("", "sethostname", "setdomainname")
	}
}
