package systemd

import (
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"sbx/internal/many"

	"sbx/policy"
	"sbx/policy/seccomp"
)

// TestNeverLooser generates units and compares what they grant with what their
// imports do: files that may be written, read and executed, system calls,
// families of sockets, capabilities, processes. The unit's side is worked out
// here from systemd.exec(5), setting by setting and path by path, with nothing
// of the importer's.
func TestNeverLooser(t *testing.T) {
	granted := 0
	for seed := range uint64(many.Times(1000)) {
		r := rand.New(rand.NewPCG(seed, 11))
		u := randomUnit(r)
		p, losses, _, err := Import("x.service", []byte(u.text()), Options{Native: seccomp.AMD64})
		if err != nil {
			t.Fatalf("%v\n%s", err, u.text())
		}
		parsed, err := policy.Parse("x", p.Print())
		if err != nil {
			t.Fatalf("%v\n%s", err, p.Print())
		}
		resolved, err := policy.Resolve(parsed, nil)
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, u.text(), p.Print())
		}
		for _, at := range probes() {
			got := u.compareFiles(t, resolved, losses, at)
			if got.write {
				granted++
			}
		}
		u.compareCalls(t, resolved)
	}
	if granted < 1000 {
		t.Errorf("of all paths only %d may be written: this compares nothing", granted)
	}
}

// probes are paths at and below those that units name.
func probes() (out []string) {
	for _, p := range names() {
		out = append(out, p, path.Join(p, "file"))
	}
	return append(out, "/", "/usr/bin/x", "/etc/x", "/opt/x", "/sys/fs/cgroup/x", "/sys/kernel/debug/x")
}

func names() []string {
	return strings.Fields(`/a /a/b /a/b/c /d /usr /usr/lib /etc /var /var/lib /var/lib/x /tmp /tmp/y /home /home/u
		/root /run /run/z /sys /sys/fs/cgroup /boot /srv /dev/shm`)
}

// reference is a unit's settings, in order, with what they mean.
type reference struct{ settings []setting }

func (u *reference) text() string {
	var b strings.Builder
	b.WriteString("[Service]\n")
	for _, s := range u.settings {
		fmt.Fprintf(&b, "%s=%s\n", s.key, s.value)
	}
	return b.String()
}

func randomUnit(r *rand.Rand) *reference {
	u := &reference{}
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	add := func(key, value string) { u.settings = append(u.settings, setting{key: key, value: value}) }
	for range 1 + r.IntN(9) {
		switch r.IntN(12) {
		case 0:
			add("ProtectSystem", pick("yes", "no", "full", "strict", "strict"))
		case 1:
			add("ProtectHome", pick("yes", "no", "read-only", "tmpfs"))
		case 2:
			add(pick("PrivateTmp", "ProtectKernelTunables", "ProtectControlGroups", "ProtectKernelModules", "PrivateDevices",
				"DynamicUser",
				"ProtectClock", "ProtectKernelLogs", "ProtectHostname", "RestrictSUIDSGID", "LockPersonality"),
				pick("yes", "yes", "no"))
		case 3, 4, 5, 6:
			key := pick("ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths", "ReadWritePaths",
				"ReadOnlyPaths")
			if r.IntN(8) == 0 {
				add(key, "")
				break
			}
			list := []string{}
			for range 1 + r.IntN(2) {
				p := pick(append(names(), "/")...)
				if key == "InaccessiblePaths" && p == "/" {
					p = "/srv"
				}
				list = append(list, pick("", "-")+p)
			}
			add(key, strings.Join(list, " "))
		case 7:
			add("TemporaryFileSystem", pick("/a", "/a/b:ro", "/var", "/tmp", "/home:ro", "/srv:noexec", ""))
		case 8:
			add(pick("BindPaths", "BindReadOnlyPaths"), pick("/d:/a", "/srv:/a/b", "/d", "/srv:/tmp",
				"/etc:/var/lib/x", "/a/b", ""))
		case 9:
			add(pick("StateDirectory", "RuntimeDirectory"), pick("x", "z", ""))
		case 10:
			add("SystemCallFilter", pick("@system-service", "~@clock", "~@mount:EPERM", "read write", "~read:EACCES write", "",
				"@mount", "~@privileged"))
		case 11:
			switch r.IntN(4) {
			case 0:
				add("RestrictAddressFamilies", pick("AF_UNIX", "AF_UNIX AF_INET", "~AF_INET", "none", "", "~AF_UNIX"))
			case 1:
				add("CapabilityBoundingSet", pick("CAP_MKNOD CAP_KILL CAP_SYS_TIME", "~CAP_SYS_MODULE", "", "~", "~CAP_KILL",
					"CAP_SYS_RAWIO"))
			case 2:
				add(pick("TasksMax", "LimitNPROC"), pick("5", "10", "infinity", "7"))
			case 3:
				add("SystemCallErrorNumber", pick("EPERM", "EACCES", ""))
			}
		}
	}
	return u
}
