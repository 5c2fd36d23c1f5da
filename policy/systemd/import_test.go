package systemd

import (
	"os"
	"slices"
	"strings"
	"testing"

	"sbx/policy"
	"sbx/policy/seccomp"
)

const unit = `# a service
[Unit]
Description=Has nothing to do with it
After=network.target

[Service]
ExecStart=/usr/bin/thing --flag
Restart=always
User=www-data
AmbientCapabilities=CAP_NET_BIND_SERVICE CAP_CHOWN
CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_SETUID
NoNewPrivileges=yes
SystemCallFilter=@system-service \
    # a comment between
    ptrace
SystemCallFilter=~@privileged kill
SystemCallErrorNumber=EACCES
SystemCallArchitectures=native x86
RestrictAddressFamilies=AF_UNIX AF_INET
MemoryDenyWriteExecute=true
LockPersonality=1
ProtectSystem=strict
ProtectHome=yes
ReadWritePaths=/var/lib/thing -/var/cache/thing
InaccessiblePaths=-/boot
PrivateTmp=yes
PrivateNetwork=no
Environment="A=b c" B=d
PassEnvironment=LANG
TasksMax=64
MemoryMax=512M
RuntimeMaxSec=5min
`

func TestImport(t *testing.T) {
	p, losses, _, err := Import("thing.service", []byte(unit), Options{Native: seccomp.AMD64})
	if err != nil {
		t.Fatal(err)
	}
	if len(losses) != 1 || !strings.HasPrefix(losses[0], "thing.service:9: User=www-data: a policy has no word for it") {
		t.Errorf("losses %q", losses)
	}
	for what, lists := range map[string][2][]string{
		"capabilities": {p.Process.Capabilities, {"?net_bind_service"}},
		"read":         {p.Files.Read, {"/"}},
		"write":        {p.Files.Write, {"?/var/cache/thing", "/var/lib/thing"}},
		"hide":         {p.Files.Hide, {"?/boot", "?/home", "?/root", "?/run/user"}},
		"tmpfs":        {p.Files.Tmpfs, {"/tmp", "/var/tmp"}},
		"env":          {p.Process.Env, {"LANG", "A=b c", "B=d"}},
		"arches":       {p.Seccomp.Architectures, {"386"}},
	} {
		if !slices.Equal(lists[0], lists[1]) {
			t.Errorf("%s: %q, want %q", what, lists[0], lists[1])
		}
	}
	if l := (policy.Limits{Processes: "64", Memory: "512M", Time: "5m"}); p.Limits != l || p.Namespaces.Net != "host" {
		t.Errorf("%+v %+v", p.Limits, p.Namespaces)
	}
	eacces, eperm := seccomp.Action{Kind: seccomp.Errno, Errno: 13}, seccomp.Action{Kind: seccomp.Errno, Errno: 1}
	allow := seccomp.Action{Kind: seccomp.Allow}
	for _, c := range []struct {
		call string
		args [6]uint64
		want seccomp.Action
	}{
		{"read", [6]uint64{}, allow},
		{"ptrace", [6]uint64{}, allow},
		{"kill", [6]uint64{}, eacces},
		{"setuid", [6]uint64{}, eacces}, // in @system-service and @privileged
		{"reboot", [6]uint64{}, eacces},
		{"socket", [6]uint64{2}, allow},
		{"socket", [6]uint64{16}, seccomp.Action{Kind: seccomp.Errno, Errno: 97}},
		{"mmap", [6]uint64{0, 0, 3}, allow},
		{"mmap", [6]uint64{0, 0, 7}, eperm},
		{"mprotect", [6]uint64{0, 0, 5}, eperm},
		{"personality", [6]uint64{0}, allow},
		{"personality", [6]uint64{8}, eperm},
	} {
		check(t, p, c.call, c.args, c.want)
	}
}

func check(t *testing.T, p *policy.Policy, call string, args [6]uint64, want seccomp.Action) {
	t.Helper()
	s, err := seccomp.LookupSyscall(call)
	if err != nil {
		t.Fatal(err)
	}
	nr, _ := s.Number(seccomp.AMD64)
	got, err := p.Seccomp.Decide(seccomp.AMD64, seccomp.AMD64.Audit(), nr, args)
	if err != nil || got.Action != want {
		t.Errorf("%s%v: %v, want %v (%v)", call, args, got.Action, want, err)
	}
}

// TestFilters tries the ways of SystemCallFilter=, as seen with systemd 252.
func TestFilters(t *testing.T) {
	kill, allow := seccomp.Action{Kind: seccomp.KillProcess}, seccomp.Action{Kind: seccomp.Allow}
	errno := func(n uint16) seccomp.Action { return seccomp.Action{Kind: seccomp.Errno, Errno: n} }
	for text, want := range map[string]map[string]seccomp.Action{
		"SystemCallFilter=read":   {"read": allow, "exit_group": allow, "mount": kill},
		"SystemCallFilter=~mount": {"read": allow, "mount": kill},
		"SystemCallFilter=~mount:EBUSY umount2:kill ptrace\nSystemCallErrorNumber=EPERM": {"mount": errno(16),
			"umount2": kill, "ptrace": errno(1), "read": allow},
		"SystemCallFilter=~@mount\nSystemCallFilter=mount":                        {"mount": allow, "umount2": kill},
		"SystemCallFilter=read mount\nSystemCallFilter=":                          {"mount": allow},
		"SystemCallFilter=read mount\nSystemCallFilter=\nSystemCallFilter=~mount": {"mount": kill, "ptrace": allow},
		"ProtectProc=invisible\nProcSubset=all":                                   {"read": allow},
		"SystemCallFilter=@system-service\nSystemCallFilter=~@clock:EPERM read:kill": {"settimeofday": errno(1),
			"read": kill, "write": allow, "mount": kill},
		"SystemCallFilter=read\nSystemCallFilter=~read:EPERM\nSystemCallFilter=read": {"read": allow},
		"SystemCallFilter=~@mount\nSystemCallErrorNumber=EPERM": {"open_tree": errno(1),
			"mount": errno(1), "read": allow},
		"SystemCallFilter=@system-service open_tree\nSystemCallFilter=~@mount": {"open_tree": errno(38),
			"read": allow},
		"SystemCallErrorNumber=EPERM\nSystemCallErrorNumber=\nSystemCallFilter=~read": {"read": kill},
		"RestrictSUIDSGID=yes":                      {"read": allow, "openat2": errno(38)},
		"ProtectClock=yes\nProtectKernelModules=on": {"settimeofday": errno(1), "init_module": errno(1), "read": allow},
	} {
		p, losses, _, err := Import("x.service", []byte(text+"\n"), Options{Native: seccomp.AMD64})
		if err != nil || len(losses) > 0 {
			t.Errorf("%s: %v %v", text, losses, err)
			continue
		}
		for call, a := range want {
			check(t, p, call, [6]uint64{}, a)
		}
	}
}

// TestRefused: what is not understood is an error with its line.
func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"SystemCallFilter=raed":                         `did you mean "read"`,
		"SystemCallFilter=@nonsense":                    "unknown group",
		"SystemCallFilter=read:EPERM":                   "list of what is allowed",
		"SystemCallFilter=~read:EPREM":                  "unknown errno",
		"SystemCallFilter=\"read":                       "quote that does not end",
		"SystemCallErrorNumber=0":                       "not a number from 1",
		"SystemCallArchitectures=vax":                   "unknown architecture",
		"CapabilityBoundingSet=CAP_ROOT":                "unknown capability",
		"CapabilityBoundingSet=chown":                   "unknown capability",
		"RestrictAddressFamilies=INET":                  "no address family",
		"RestrictAddressFamilies=AF_NOWHERE":            "AF_NOWHERE",
		"NoNewPrivileges=perhaps":                       "neither yes nor no",
		"ProtectSystem=maybe":                           "none of",
		"ReadWritePaths=var":                            "no plain absolute path",
		"ReadWritePaths=/srv/%d":                        "only systemd knows",
		"ReadWritePaths=/srv/%H":                        "only systemd knows",
		"BindPaths=%h/x:/srv/%h":                        "stands only in front",
		"ReadWritePaths=/a\\x20b":                       "backslashes",
		"Environment=A":                                 "not understood",
		"Environment=A='b":                              "quote that does not end",
		"Environment=A=\\q":                             "no escape",
		"PassEnvironment=A=b":                           "not understood",
		"MemoryMax=lots":                                "size",
		"RuntimeMaxSec=5 fortnights":                    "time",
		"LimitNOFILE=many":                              "no number",
		"CPUQuota=half":                                 "percent",
		"RestrictNamespaces=mounts":                     "no kind of namespace",
		"RestrictAddressFamilies=AF_UNIX none":          "none stands alone",
		"StateDirectory=../x":                           "no plain relative path",
		"StateDirectory=/x":                             "no plain relative path",
		"ReadWritePaths=/a/../b":                        "has a ..",
		"NetworkNamespacePath=net":                      "no plain absolute path",
		"SystemCallFilter=~raed":                        `did you mean "read"`,
		"NoNewPrivileges":                               "no KEY=VALUE",
		"[Service":                                      "no section",
		"SystemCallFilter=read \\":                      "goes on",
		"Environment=" + strings.Repeat("A=b ", 10_001): "more than 10000 words",
	} {
		_, _, _, err := Import("x.service", []byte(text), Options{Native: seccomp.AMD64})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "x.service:1: ") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestLosses: a setting that a policy cannot say is named, not passed over.
func TestLosses(t *testing.T) {
	for _, s := range []string{
		"NoNewPrivileges=no", "DynamicUser=yes", "RestrictNamespaces=net", "SystemCallLog=kill", "IPAddressDeny=10.0.0.0/8",
		"MemoryMax=50%", "BindPaths=/a:/b:x", "SELinuxContext=-x", "AppArmorProfile=-x", "LimitNOFILE=1:2",
		"CPUQuota=1.5%", "TasksMax=10%", "TemporaryFileSystem=/x:nr_inodes=3", "TemporaryFileSystem=/x:size=10%",
		"TemporaryFileSystem=/", "KeyringMode=shared", "RootImage=/x", "UMask=077", "WorkingDirectory=/x",
		"WorkingDirectory=~", "LogsDirectory=x", "StateDirectory=x", "StateDirectory=x:y", "RuntimeDirectory=x",
		"EnvironmentFile=/x", "ProcSubset=pid", "Environment=A=$B", "Environment=\"A=\x01\"", "Environment=A=\\n",
		"ProtectHomes=yes", "Group=x", "DeviceAllow=/dev/kvm rw", "ReadWritePaths=/dev/kvm", "BindPaths=/dev/kvm",
		"ReadWritePaths=/proc/sys/net", "SocketBindDeny=ipv4:udp", "RestrictNetworkInterfaces=lo", "PrivateTmp=",
		"MountAPIVFS=no", "SystemCallFilter=~read:0", "LimitNPROC=0", "LimitCPU=100ms", "MemorySwapMax=0",
		"LimitMEMLOCK=1", "RuntimeDirectory=x:y:ro",
	} {
		_, losses, _, err := Import("x.service", []byte("[Service]\n"+s+"\n"), Options{Native: seccomp.AMD64})
		key, _, _ := strings.Cut(s, "=")
		if err != nil || len(losses) == 0 || len(losses) > 2 || !strings.HasPrefix(losses[0], "x.service:2: "+key+"=") {
			t.Errorf("%s: %q, %v", s, losses, err)
		}
	}
}

// TestExport reads what was written for every shipped policy: the lines are
// understood again, and calls without conditions allowed or refused alike.
func TestExport(t *testing.T) {
	parse := func(name string, _ *policy.Policy) (*policy.Policy, error) {
		data, err := os.ReadFile("../../policies/" + name + ".toml")
		if err != nil {
			return nil, err
		}
		return policy.Parse(name, data)
	}
	parsed, err := parse("base", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Resolve(parsed, parse)
	if err != nil {
		t.Fatal(err)
	}
	text, losses, err := Export(p, seccomp.AMD64)
	if err != nil || len(losses) < 4 {
		t.Fatal(losses, err)
	}
	for _, line := range []string{
		"NoNewPrivileges=yes", "CapabilityBoundingSet=", "PrivateNetwork=yes", "BindReadOnlyPaths=/usr",
		"BindReadOnlyPaths=-/bin", "TemporaryFileSystem=%h", "RestrictNamespaces=yes", "SystemCallErrorNumber=EPERM",
		"SystemCallArchitectures=native", "PassEnvironment=LANG",
		"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
	} {
		if !slices.Contains(strings.Split(string(text), "\n"), line) {
			t.Errorf("no line %s", line)
		}
	}
	again, _, _, err := Import("x.service", text, Options{Native: seccomp.AMD64})
	if err != nil {
		t.Fatal(err)
	}
	x, err := p.Calls().Answers(seccomp.AMD64)
	if err != nil {
		t.Fatal(err)
	}
	y, err := again.Seccomp.Answers(seccomp.AMD64)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range x.Calls {
		if len(c.Clauses) > 1 || c.Syscall.Name() == "clone3" {
			continue
		}
		if got, want := y.Decide(c.Number, [6]uint64{}).Action, c.Clauses[0].Action; got.Kind != want.Kind {
			t.Errorf("%s: %v, want %v", c.Syscall.Name(), got, want)
		}
	}
}

// FuzzImport: any unit is read or refused, and what is read a policy file can
// say.
func FuzzImport(f *testing.F) {
	f.Add([]byte(unit))
	f.Add([]byte("SystemCallFilter=~@mount:EBUSY\nSystemCallFilter=mount\nProtectHome=tmpfs\nStateDirectory=x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, _, _, err := Import("x", data, Options{Native: seccomp.AMD64})
		if err != nil {
			return
		}
		q, err := policy.Parse("x", p.Print())
		if err != nil {
			t.Fatalf("%v\n%s", err, p.Print())
		}
		if _, err := q.Seccomp.Answers(seccomp.AMD64); err != nil {
			t.Fatal(err)
		}
	})
}
