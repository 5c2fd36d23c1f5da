package systemd

import (
	"fmt"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// familySet is what RestrictAddressFamilies= has said so far: those that can
// be had (allow), or all but those.
type familySet struct {
	allow bool
	names []string
	// none says that the last word was "none", after which the next list
	// begins anew.
	none bool
}

// addressFamilies takes one RestrictAddressFamilies=. As with calls, the first
// says whether the list allows or refuses, and later ones of the other kind
// take back.
func (m *importer) addressFamilies(value string) error {
	switch value {
	case "":
		m.families = nil
		return nil
	case "none":
		m.families = &familySet{allow: true, none: true}
		return nil
	}
	list, invert := strings.CutPrefix(value, "~")
	names, err := words(list)
	if err != nil {
		return err
	}
	f := m.families
	if f == nil || f.none {
		f = &familySet{allow: !invert}
		m.families = f
	}
	for _, n := range names {
		if n == "none" {
			return fmt.Errorf("none stands alone")
		}
		if !strings.HasPrefix(n, "AF_") {
			return fmt.Errorf("%q is no address family", n)
		}
		if _, err := seccomp.LookupConstant(n, m.o.Native); err != nil {
			return err
		}
		f.names = slices.DeleteFunc(f.names, func(have string) bool { return have == n })
		if invert != f.allow {
			f.names = append(f.names, n)
		}
	}
	return nil
}

// restrictNamespaces takes RestrictNamespaces=. A policy has no namespaces
// inside, which is as strict as any value.
func (m *importer) restrictNamespaces(s setting) error {
	list, err := words(strings.TrimPrefix(s.value, "~"))
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return nil
	}
	if on, err := truth(s.value); err == nil {
		if on {
			m.said[s.key] = setting{s.line, s.key, "yes"}
		}
		return nil
	}
	for _, n := range list {
		if !slices.Contains(strings.Fields("cgroup ipc net mnt pid user uts time"), n) {
			return fmt.Errorf("%q is no kind of namespace", n)
		}
	}
	m.lose("a policy lets no namespaces be made inside, of whatever kind")
	return nil
}

// restrictions adds the rules that the unit's switches stand for. What systemd
// does by filters a policy can, too.
func (m *importer) restrictions() error {
	eperm := seccomp.Action{Kind: seccomp.Errno, Errno: 1}
	add := func(a seccomp.Action, when string, calls ...string) {
		r := seccomp.Rule{Syscalls: calls, Action: a}
		if when != "" {
			r.When = strings.Split(when, " || ")
		}
		m.p.Seccomp.Rules = append(m.p.Seccomp.Rules, r)
	}
	refuse := func(when string, calls ...string) { add(eperm, when, calls...) }
	if f := m.families; f != nil {
		refused := seccomp.Action{Kind: seccomp.Errno, Errno: 97} // EAFNOSUPPORT
		set := "in {" + strings.Join(f.names, ", ") + "}"
		switch {
		case len(f.names) > 0 && f.allow:
			add(refused, "arg0 not "+set, "socket")
		case len(f.names) > 0:
			add(refused, "arg0 "+set, "socket")
		case f.allow:
			add(refused, "", "socket")
		}
	}
	if m.on["MemoryDenyWriteExecute"] {
		refuse("arg2 & (PROT_WRITE|PROT_EXEC) == PROT_WRITE|PROT_EXEC", "mmap")
		refuse("arg2 & PROT_EXEC == PROT_EXEC", "mprotect", "pkey_mprotect")
		refuse("arg2 & 0o100000 != 0", "shmat") // SHM_EXEC
	}
	if m.on["LockPersonality"] {
		refuse("arg0 != 0", "personality") // to ask for the present one, too
	}
	if m.on["RestrictRealtime"] {
		refuse("arg1 not in {0, 3, 5}", "sched_setscheduler") // other, batch, idle
		refuse("", "sched_setattr")
	}
	if m.on["RestrictSUIDSGID"] || m.on["DynamicUser"] {
		const bits = " & 0o6000 != 0"
		refuse("arg1"+bits, "chmod", "fchmod", "creat", "mkdir", "mknod")
		refuse("arg2"+bits, "fchmodat", "fchmodat2", "mkdirat", "mknodat")
		refuse("arg1 & O_CREAT != 0 && arg2"+bits+" || arg1 & O_TMPFILE == O_TMPFILE && arg2"+bits, "open")
		refuse("arg2 & O_CREAT != 0 && arg3"+bits+" || arg2 & O_TMPFILE == O_TMPFILE && arg3"+bits, "openat")
		// Its mode lies in memory.
		add(seccomp.Action{Kind: seccomp.Errno, Errno: 38}, "", "openat2")
	}
	for _, x := range []struct {
		on    bool
		calls string
	}{
		{m.on["PrivateDevices"], "@raw-io"}, {m.on["ProtectKernelModules"], "@module"}, {m.on["ProtectKernelLogs"], "syslog"},
		{m.on["ProtectClock"], "@clock"}, {m.on["ProtectHostname"], "sethostname setdomainname"},
		// A unit has a keyring of its own unless it says otherwise, and a
		// sandbox has its caller's.
		{m.modes["KeyringMode"] != "inherit", "@keyring"},
	} {
		if x.on {
			refuse("", strings.Fields(x.calls)...)
		}
	}
	return nil
}
