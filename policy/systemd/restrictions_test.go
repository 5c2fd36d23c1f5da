package systemd

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sbx/policy"
	"sbx/policy/seccomp"
)

func TestExportRestrictions(t *testing.T) {
	parsed, err := policy.Parse("p", []byte(`version = 1
[namespaces]
net = "host"
hostname = "box"
[files]
read = ["?/in", "/fd"]
write = ["/w"]
tmpfs = ["/tmp", "/t"]
directories = ["/d"]
overlay = ["/o"]
sockets = ["/s"]
file."/f" = "x"
symlink."/l" = "y"
path."/in".from = "/else"
path."/fd".from = "fd:7"
path."/w".exec = false
path."/tmp" = { size = "64M", mode = "1777" }
[network]
bind = [0, 80]
connect = []
[process]
capabilities = ["net_raw"]
ambient = true
apparmor = "aa"
selinux = "se"
[limits]
processes = "?5"
cpu = "150%"
io = "1M"
cpu_time = "1m"
file_size = "1K"
open_files = 64
core = 0
tmp = "?1M"
[expect]
`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Resolve(parsed, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, losses, err := Export(p, seccomp.AMD64)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"BindReadOnlyPaths=-/else:/in", "NoExecPaths=/w", "TemporaryFileSystem=/tmp:size=64M,mode=1777",
		"TemporaryFileSystem=/t:size=1M", "TemporaryFileSystem=/d:ro", "SocketBindAllow=tcp:80", "SocketBindDeny=any",
		"AmbientCapabilities=CAP_NET_RAW",
		"AppArmorProfile=aa", "SELinuxContext=se", "TasksMax=5", "CPUQuota=150%", "LimitCPU=60", "LimitFSIZE=1K",
		"LimitNOFILE=64", "LimitCORE=0",
	} {
		if !slices.Contains(strings.Split(string(text), "\n"), line) {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
	if strings.Contains(string(text), "/fd") {
		t.Errorf("another thing is shown at /fd:\n%s", text)
	}
	for _, key := range []string{
		"namespaces.hostname", "files.overlay", "files.sockets", "files.file", "files.symlink", "files.path", "network.bind",
		"network.connect", "limits.io",
	} {
		if !slices.ContainsFunc(losses, func(l string) bool { return strings.HasPrefix(l, key+": ") }) {
			t.Errorf("nothing about %s in %q", key, losses)
		}
	}
}

func TestImportRestrictions(t *testing.T) {
	p, losses, _, err := Import("x.service", []byte(`[Service]
User=www-data
AmbientCapabilities=CAP_NET_RAW
BindReadOnlyPaths=-/else:/in /gone:/out
BindReadOnlyPaths=
BindReadOnlyPaths=-/else:/in:rbind
BindPaths=/w:/w
TemporaryFileSystem=/t:size=64m,mode=1777,noexec
NoExecPaths=/w -/in
AppArmorProfile=aa
SELinuxContext=u:r:t:s0
CPUQuota=150%
LimitCPU=60
LimitFSIZE=1K
LimitNOFILE=64
LimitCORE=0
`), Options{Native: seccomp.AMD64})
	if err != nil || len(losses) != 1 {
		t.Fatal(losses, err)
	}
	no := false
	if want := (map[string]policy.PathOptions{
		"/in": {From: "/else", Exec: &no}, "/w": {Exec: &no}, "/t": {Size: "64M", Mode: "1777", Exec: &no},
	}); !reflect.DeepEqual(p.Files.Paths, want) {
		t.Errorf("options %+v", p.Files.Paths)
	}
	if want := (policy.Limits{CPU: "150%", CPUTime: "1m", FileSize: "1K", OpenFiles: "64", Core: "0"}); p.Limits != want {
		t.Errorf("limits %+v", p.Limits)
	}
	if r := p.Process; r.Ambient == nil || !*r.Ambient || r.AppArmor != "aa" || r.SELinux != "u:r:t:s0" {
		t.Errorf("process %+v", r)
	}
	if got := fmt.Sprint(p.Files.Read, p.Files.Tmpfs); got != "[?/in ?/sys] [/t]" {
		t.Errorf("lists %s", got)
	}
	if _, err := policy.Resolve(p, nil); err != nil {
		t.Error(err)
	}
}
