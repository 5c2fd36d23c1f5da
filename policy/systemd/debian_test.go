//go:build formats

package systemd

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sbx/policy"
	"sbx/policy/seccomp"
)

// TestDebian imports the units in the directory that SBX_UNITS names, compares
// each with what its settings mean, with what systemd-analyze says of it and
// with its groups of system calls, and has the sbx that SBX_BIN names show what
// the imported policy lets be written. integration/formats.sh fetches the units.
func TestDebian(t *testing.T) {
	dir, bin := os.Getenv("SBX_UNITS"), os.Getenv("SBX_BIN")
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.service"))
	if err != nil || len(files) < 100 || bin == "" {
		t.Fatalf("SBX_UNITS=%q has %d units, SBX_BIN=%q: %v", dir, len(files), bin, err)
	}
	theirs := groups(t)
	counts := map[string]int{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			o := Options{Native: seccomp.AMD64, Machine: func(byte) (string, error) { return "m", nil }}
			if strings.HasSuffix(file, "@.service") {
				o.Instance = "inst"
			}
			p, losses, _, err := Import(file, data, o)
			if err != nil {
				counts["refused"]++
				t.Fatal(err)
			}
			counts["imported"]++
			counts["differences named"] += len(losses)
			if len(losses) > 0 {
				counts["imported with differences"]++
			}
			resolved, err := policy.Resolve(p, nil)
			if err != nil {
				t.Fatal(err)
			}
			u := debianUnit(t, file, data, o)
			at := append(probes(), u.named()...)
			for _, x := range at {
				if !strings.HasPrefix(x, "/proc") && (!strings.HasPrefix(x, "/dev") || x == "/dev/shm") {
					u.compareFiles(t, resolved, losses, x)
				}
			}
			u.compareWithSystemd(t, resolved, theirs)
			counts["answers of systemd-analyze"] += u.compareAnalysis(t, resolved, losses, file, data)
			if u.written(t, p, bin, at) {
				counts["started"]++
			}
		})
	}
	t.Logf("%d units: %v", len(files), counts)
}

// debianUnit reads a unit for the reference, without the importer.
func debianUnit(t *testing.T, file string, data []byte, o Options) *reference {
	t.Helper()
	settings, err := parseUnit(file, data)
	if err != nil {
		t.Fatal(err)
	}
	stem := strings.TrimSuffix(filepath.Base(file), ".service")
	prefix, _, _ := strings.Cut(stem, "@")
	expand := strings.NewReplacer("%i", o.Instance, "%I", o.Instance, "%n", prefix+"@"+o.Instance+".service", "%N", stem,
		"%p", prefix,
		"%t", "/run", "%S", "/var/lib", "%C", "/var/cache", "%L", "/var/log", "%E", "/etc", "%%", "%")
	u := &reference{}
	for _, s := range settings {
		s.value = expand.Replace(s.value)
		if on, err := truth(s.value); err == nil {
			s.value = map[bool]string{true: "yes", false: "no"}[on]
		}
		if strings.HasSuffix(s.key, "Paths") {
			s.value = strings.ReplaceAll(s.value, "/var/run", "/run")
		}
		u.settings = append(u.settings, s)
	}
	return u
}

// named are the paths that the unit's settings name.
func (u *reference) named() (out []string) {
	for _, m := range u.mounts() {
		out = append(out, m.at, m.at+"/below")
	}
	return out
}

// groups are systemd's own, as systemd-analyze prints them.
func groups(t *testing.T) map[string][]string {
	t.Helper()
	data, err := exec.Command("systemd-analyze", "syscall-filter", "--no-pager").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	name := ""
	for line := range strings.Lines(string(data)) {
		switch word := strings.TrimSpace(line); {
		case strings.HasPrefix(line, "@"):
			name = word
		case !strings.HasPrefix(line, " ") && word != "":
			name = "" // a heading
		case word != "" && !strings.HasPrefix(word, "#") && name != "":
			all[name] = append(all[name], word)
		}
	}
	if len(all) < 20 {
		t.Fatalf("%d groups", len(all))
	}
	return all
}

// compareWithSystemd is compareCalls with the groups of the systemd that is
// installed. Calls that it has no name for it does not allow either, but knows
// no number for: those, and what releases since have added to groups, are
// younger than it.
func (u *reference) compareWithSystemd(t *testing.T, p *policy.Policy, theirs map[string][]string) {
	t.Helper()
	before := expandGroup
	defer func() { expandGroup = before }()
	var expand func(entry string) []string
	expand = func(entry string) (out []string) {
		if !strings.HasPrefix(entry, "@") {
			return []string{entry}
		}
		for _, m := range theirs[entry] {
			out = append(out, expand(m)...)
		}
		if entry == "@default" || entry == "@system-service" || entry == "@file-system" {
			out = append(out, younger()...)
		}
		return out
	}
	expandGroup = expand
	u.compareCalls(t, p)
}

// younger are the calls that systemd 258 has in groups that 252 has without
// them.
func younger() []string {
	return strings.Fields(`landlock_add_rule landlock_create_ruleset landlock_restrict_self lsm_get_self_attr
		lsm_list_modules mseal seccomp
		file_getattr file_setattr getxattrat listmount listxattrat open_tree removexattrat setxattrat statmount`)
}

// compareAnalysis asks systemd-analyze what it makes of the unit: what it says
// is restricted must be so in the policy. It gives how many answers that was.
func (u *reference) compareAnalysis(
	t *testing.T, p *policy.Policy, losses []string, file string, data []byte,
) (asked int) {
	t.Helper()
	// It wants a service that can be started, and an instance.
	at := filepath.Join(t.TempDir(), strings.Replace(filepath.Base(file), "@.", "@inst.", 1))
	err := os.WriteFile(at, append(data, "\n[Service]\nExecStart=\nExecStart=/bin/true\nType=simple\nRestart=no\n"...),
		0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("systemd-analyze", "security", "--offline=yes", "--no-pager", "--json=short", at)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil && len(out) == 0 {
		t.Fatalf("systemd-analyze: %v: %s", err, &said)
	}
	var fields []struct {
		Set   *bool  `json:"set"`
		Field string `json:"json_field"`
	}
	if err := json.Unmarshal(out, &fields); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	answers, err := p.Seccomp.Answers(seccomp.AMD64)
	if err != nil {
		t.Fatal(err)
	}
	allows := func(call string, args ...uint64) bool {
		s, err := seccomp.LookupSyscall(call)
		if err != nil {
			t.Fatal(err)
		}
		nr, _ := s.Number(seccomp.AMD64)
		var a [6]uint64
		copy(a[:], args)
		return answers.Decide(nr, a).Action.Kind == seccomp.Allow
	}
	keeps := func(names ...string) bool {
		return slices.ContainsFunc(p.Process.Capabilities, func(c string) bool { return slices.Contains(names, bare(c)) })
	}
	lost := func(key string) bool {
		return slices.ContainsFunc(losses, func(l string) bool { return strings.Contains(l, ": "+key+"=") })
	}
	writes := func(at string) bool { return shown(p, at).write && shown(p, at).source != "" }
	loose := map[string]func() bool{
		"PrivateNetwork":        func() bool { return p.Namespaces.Net == "host" },
		"PrivateUsers":          func() bool { return p.Namespaces.User != "new" },
		"IPAddressDeny":         func() bool { return p.Namespaces.Net == "host" && !lost("IPAddressDeny") },
		"PrivateTmp":            func() bool { return shown(p, "/tmp/x").source == "/tmp/x" },
		"ProtectControlGroups":  func() bool { return writes("/sys/fs/cgroup/x") },
		"ProtectKernelTunables": func() bool { return shown(p, "/proc/kallsyms").read },
		"ProtectKernelModules": func() bool {
			return allows("finit_module") || keeps("sys_module") || shown(p, "/usr/lib/modules/x").read
		},
		"ProtectKernelLogs": func() bool { return allows("syslog") || keeps("syslog") },
		"ProtectClock":      func() bool { return allows("settimeofday") || keeps("sys_time", "wake_alarm") },
		"ProtectHostname":   func() bool { return allows("sethostname") || p.Namespaces.UTS == "host" },
		"PrivateDevices": func() bool {
			return allows("iopl") || keeps("mknod", "sys_rawio") || p.Files.Dev != nil && !*p.Files.Dev
		},
		"MemoryDenyWriteExecute": func() bool { return allows("mmap", 0, 0, 7) || allows("mprotect", 0, 0, 5) },
		"LockPersonality":        func() bool { return allows("personality", 8) },
		"RestrictRealtime":       func() bool { return allows("sched_setscheduler", 0, 1) || allows("sched_setattr") },
		"RestrictSUIDSGID":       func() bool { return allows("chmod", 0, 0o4755) || allows("openat2") },
		"SystemCallArchitectures": func() bool {
			return len(p.Seccomp.Architectures) > 0 && u.last("SystemCallArchitectures") == "native"
		},
		"ProtectHome": func() bool {
			return writes("/home/u") && !slices.Contains(u.named(), "/home/u")
		},
		"ProcSubset": func() bool {
			return shown(p, "/proc/meminfo").read || !lost("ProcSubset")
		},
		"UMask":                              func() bool { return !lost("UMask") && u.last("UMask") != "" },
		"RestrictAddressFamilies_AF_PACKET":  func() bool { return allows("socket", 17, 3) },
		"RestrictAddressFamilies_AF_NETLINK": func() bool { return allows("socket", 16, 3) },
		"RestrictAddressFamilies_AF_UNIX":    func() bool { return allows("socket", 1, 1) },
		"RestrictAddressFamilies_AF_INET_INET6": func() bool {
			return allows("socket", 2, 1) || allows("socket", 10, 1)
		},
		"RestrictNamespaces_user": func() bool { return allows("unshare", 0x10000000) },
		"RestrictNamespaces_net": func() bool {
			return allows("unshare", 0x40000000) || allows("clone", 0x40000000)
		},
		"CapabilityBoundingSet_CAP_SYS_ADMIN":        func() bool { return keeps("sys_admin") },
		"CapabilityBoundingSet_CAP_SYS_PTRACE":       func() bool { return keeps("sys_ptrace") },
		"CapabilityBoundingSet_CAP_NET_ADMIN":        func() bool { return keeps("net_admin") },
		"CapabilityBoundingSet_CAP_SYS_RAWIO":        func() bool { return keeps("sys_rawio") },
		"CapabilityBoundingSet_CAP_MKNOD":            func() bool { return keeps("mknod") },
		"CapabilityBoundingSet_CAP_SYS_TIME":         func() bool { return keeps("sys_time") },
		"CapabilityBoundingSet_CAP_SYSLOG":           func() bool { return keeps("syslog") },
		"CapabilityBoundingSet_CAP_SYS_MODULE":       func() bool { return keeps("sys_module") },
		"CapabilityBoundingSet_CAP_SET_UID_GID_PCAP": func() bool { return keeps("setuid", "setgid", "setpcap") },
		"SystemCallFilter_clock":                     func() bool { return allows("settimeofday") },
		"SystemCallFilter_module":                    func() bool { return allows("init_module") },
		"SystemCallFilter_mount":                     func() bool { return allows("mount") || allows("move_mount") },
		"SystemCallFilter_reboot":                    func() bool { return allows("reboot") },
		"SystemCallFilter_swap":                      func() bool { return allows("swapon") },
		"SystemCallFilter_raw_io":                    func() bool { return allows("iopl") },
		"SystemCallFilter_debug":                     func() bool { return allows("ptrace") },
	}
	for _, f := range fields {
		if is := loose[f.Field]; f.Set != nil && *f.Set && is != nil {
			asked++
			if is() {
				t.Errorf("systemd says that %s= restricts the unit, and the policy does not\n%s", f.Field, p.Print())
			}
		}
	}
	if len(fields) < 60 {
		t.Errorf("systemd-analyze says %d things only", len(fields))
	}
	return asked
}

// written starts the policy with a shell that tries which of the paths may be
// written, and reports whether it could: a policy may need what this machine
// has not.
func (u *reference) written(t *testing.T, p *policy.Policy, bin string, paths []string) bool {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.toml")
	if err := os.WriteFile(file, p.Print(), 0o600); err != nil {
		t.Fatal(err)
	}
	script := `for p; do if [ -w "$p" ]; then echo "$p"; fi; done`
	cmd := exec.Command(bin, append([]string{"-C", "/", "--policy", file, "--", "/bin/sh", "-c", script, "sh"},
		paths...)...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Logf("not started: %v: %s", err, &said)
		return false
	}
	for at := range strings.Lines(string(out)) {
		at = strings.TrimSpace(at)
		real, err := filepath.EvalSymlinks(at)
		if err == nil && real != at {
			continue // another path's business
		}
		if s := shown(p, at); s.source != "" && !u.access(at).write {
			t.Errorf("%s can be written, and the unit cannot", at)
		} else if s.source != "" && !s.write {
			t.Errorf("%s can be written, and the policy says no", at)
		}
	}
	return true
}
