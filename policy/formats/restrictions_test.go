package formats

import (
	"slices"
	"strings"
	"testing"

	"sbx/policy/seccomp"
)

// TestRestrictionLosses: what a policy says besides calls is named, with the
// word that the other program has for it.
func TestRestrictionLosses(t *testing.T) {
	p := resolved(t, `version = 1
[namespaces]
user = "new"
time = "new"
net = "host"
uid = 0
ranges = true
hostname = "box"
monotonic = "1h"
[files]
overlay = ["/o"]
directories = ["/d"]
sockets = ["/s"]
file."/f" = "x"
symlink."/l" = "y"
path."/o".exec = false
[network]
bind = []
connect = [80, 443]
[process]
ambient = true
terminal = "new-session"
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
tmp = "1M"
[expect]
`)
	for format, want := range map[string][]string{
		"docker": {
			"namespaces.uid: 0", "namespaces.ranges: the caller's ranges of ids",
			"namespaces.hostname: box; give docker run --hostname=box", "namespaces.monotonic: 1h",
			"files.overlay: /o", "files.directories: /d", "files.sockets: /s", "files.file: /f", "files.symlink: /l",
			"files.path: /o",
			"network.bind: no TCP port", "network.connect: no TCP port but 80, 443",
			"process.ambient: the capabilities kept are ambient too", "process.terminal: new-session",
			"process.apparmor: aa; give docker run --security-opt=apparmor=aa", "process.selinux: se",
			"limits.processes: 5; give docker run --pids-limit=5", "limits.cpu: 150%; give docker run --cpus=1.5",
			"limits.io: 1M",
			"limits.cpu_time: 1m; give docker run --ulimit=cpu=60", "limits.file_size: 1K; give docker run --ulimit=fsize=1024",
			"limits.open_files: 64; give docker run --ulimit=nofile=64", "limits.core: 0; give docker run --ulimit=core=0",
			"limits.tmp: 1M",
		},
		"bwrap": {
			"namespaces.uid: 0; give bwrap --uid 0", "namespaces.hostname: box; give bwrap --hostname box",
			"process.terminal: new-session; give bwrap --new-session", "process.selinux: se; give bwrap --exec-label se",
			"limits.cpu: 150%",
		},
	} {
		_, losses, err := Export(p, format, seccomp.AMD64)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !slices.Contains(losses, w) {
				t.Errorf("%s: no %q in\n%s", format, w, strings.Join(losses, "\n"))
			}
		}
	}
}
