package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/cgroup"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
	"sbx/sandbox/internal/process"
)

// inPlace is a policy and a machine whose plan is executed in place: by root with the host's
// pid namespace, by a user without any.
func inPlace(uid int) (*policy.Policy, *host.Facts, host.Target) {
	p := &policy.Policy{Name: "p"}
	p.Process.Supervise = plantest.Ptr(false)
	target := host.Target{Path: "tool", Args: []string{"tool"}, Dir: "/", PID: 77,
		Env: []string{"PATH=/usr/bin", "LISTEN_PID=77", "LISTEN_FDS=1", "WATCHDOG_PID=77", "WATCHDOG_USEC=5"}}
	p.Process.Env = []string{"PATH"}
	if uid != 0 {
		p.Files.Read = []string{"/usr"}
		h := bareFacts(p, uid)
		h.Files["/usr"] = host.File{Real: "/usr", Mode: unix.S_IFDIR, Ino: 2}
		return p, h, target
	}
	p.Namespaces.PID = "host"
	h := plantest.Debian(p, 0)
	h.LSM.Landlock, h.DeathSignal = 7, int(unix.SIGHUP)
	h.Files["/proc"] = host.File{Real: "/proc", Mode: unix.S_IFDIR, Ino: 1}
	return p, h, target
}

// TestGoldenInPlace checks the plans: no process but this one has a step.
func TestGoldenInPlace(t *testing.T) {
	for name, uid := range map[string]int{"root": 0, "bare": 1000} {
		p, h, target := inPlace(uid)
		plan, err := Build(p, plantest.AllowAll, target, h)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		golden(t, "inplace."+name+".plan", plan.String())
		for _, v := range []string{"LISTEN_PID=77", "LISTEN_FDS=1", "WATCHDOG_PID=77", "WATCHDOG_USEC=5"} {
			if exec := plan.Target[len(plan.Target)-1].(process.Exec); !slices.Contains(exec.Env, v) {
				t.Errorf("%s: %q does not have %s", name, exec.Env, v)
			}
		}
		if !plan.InPlace || len(plan.Join)+len(plan.Init)+len(plan.Prepare)+len(plan.Cleanup) > 0 {
			t.Errorf("%s: another process has steps:\n%s", name, plan)
		}
		if text, err := plan.MarshalJSON(); err != nil || !strings.Contains(string(text), `"in_place":true`) {
			t.Errorf("%s: %s, %v", name, text, err)
		}
	}
}

// TestInPlaceRefusals: what takes a process that stays is refused, with what to change.
func TestInPlaceRefusals(t *testing.T) {
	descriptor := 5
	file := func(read, write bool) host.Stdio {
		return host.Stdio{FD: 1, As: 1, Mode: unix.S_IFREG, OnHost: true, Seeks: true, Read: read, Write: write,
			Source: host.File{Real: "/var/log/x", Mode: unix.S_IFREG, FD: 9}, Metadata: host.Metadata{FD: 10}}
	}
	words := &refusals{}
	for _, c := range []struct {
		name string
		uid  int
		edit func(*policy.Policy, *host.Facts, *host.Target)
		want error
	}{
		{"as root", 0, func(*policy.Policy, *host.Facts, *host.Target) {}, nil},
		{"as a user", 1000, func(*policy.Policy, *host.Facts, *host.Target) {}, nil},
		{"a pid namespace", 0, func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Namespaces.PID = "" },
			host.Conflict},
		{"a user namespace", 0, func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Namespaces.User = "new" },
			host.Conflict},
		{"namespaces of a user", 1000, func(p *policy.Policy, _ *host.Facts, _ *host.Target) {
			p.Namespaces.All, p.Namespaces.PID = "", "host"
		}, host.Conflict},
		{"a time namespace", 0, func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Namespaces.Time = "new" },
			host.Conflict},
		{"a receipt", 0, func(_ *policy.Policy, _ *host.Facts, t *host.Target) { t.Receipt = &descriptor }, host.Conflict},
		{"a message before it is made", 0, func(_ *policy.Policy, _ *host.Facts, t *host.Target) { t.Hold = true },
			host.Conflict},
		{"a message at the exec", 0, func(_ *policy.Policy, _ *host.Facts, t *host.Target) { t.Announce = true },
			host.Conflict},
		{"explained", 0, func(_ *policy.Policy, _ *host.Facts, t *host.Target) { t.Explain = true }, host.Conflict},
		{"explained files", 0, func(_ *policy.Policy, _ *host.Facts, t *host.Target) {
			t.Explain, t.ExplainFiles = true, true
		}, host.Conflict},
		{"denials kept", 0, func(p *policy.Policy, _ *host.Facts, t *host.Target) {
			t.Explain, p.Report.Keep = true, plantest.Ptr(true)
		}, host.Conflict},
		{"a review", 0, func(_ *policy.Policy, _ *host.Facts, t *host.Target) { t.Review = &host.Review{} }, host.Conflict},
		{"a library's caller", 0, func(_ *policy.Policy, _ *host.Facts, t *host.Target) { t.Given = []int{7, 8, 9} },
			host.Conflict},
		{"single hosts", 0, func(p *policy.Policy, _ *host.Facts, _ *host.Target) {
			p.Network.Hosts = []string{"example.org:443"}
		}, host.Conflict},
		{"a published port", 0, func(p *policy.Policy, _ *host.Facts, _ *host.Target) {
			p.Network.Listen = []string{"8080"}
		}, host.Conflict},
		{"a pseudo-terminal", 0, func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Process.Terminal = "pty" },
			host.Conflict},
		{"a new session", 0, func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Process.Terminal = "new-session" },
			host.Conflict},
		{"a time limit", 0, func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Limits.Time = "5s" }, host.NoLimit},
		{"an optional time limit", 0, func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Limits.Time = "?5s" }, nil},
		{"a cgroup", 0, func(p *policy.Policy, h *host.Facts, _ *host.Target) {
			p.Limits.Processes = "5"
			h.Limits.Cgroups = []cgroup.Parent{{Path: "/sys/fs/cgroup/a", Have: cgroup.Pids}}
		}, host.NoLimit},
		{"a limit of each process", 0, func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Limits.CPUTime = "5s" },
			nil},
		{"a relayed notify socket", 0, func(_ *policy.Policy, h *host.Facts, t *host.Target) {
			h.Files["/run/systemd/notify"] = host.File{Real: "/run/systemd/notify", Mode: unix.S_IFSOCK, FD: 9}
			t.Env = append(t.Env, "NOTIFY_SOCKET=/run/systemd/notify")
		}, host.Conflict},
		{"a private home and /tmp", 1000, func(p *policy.Policy, h *host.Facts, t *host.Target) {
			p.Files.Tmpfs, t.Home = []string{"/tmp", "/home/u"}, "/home/u"
		}, host.Conflict},
		{"a file to restore", 1000, func(_ *policy.Policy, h *host.Facts, _ *host.Target) {
			h.Stdio[1] = file(false, true)
		}, host.Conflict},
		{"a file that is read", 0, func(_ *policy.Policy, h *host.Facts, _ *host.Target) {
			h.Stdio[0] = file(true, false)
			h.Stdio[0].FD, h.Stdio[0].As = 0, 0
		}, host.Conflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, h, target := inPlace(c.uid)
			c.edit(p, h, &target)
			plan, err := Build(p, plantest.AllowAll, target, h)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err == nil && (len(plan.Init)+len(plan.Prepare)+len(plan.Cleanup) > 0 || plan.Limits.Duration != 0) {
				t.Errorf("another process has steps:\n%s", plan)
			}
			words.add(c.name, err)
		})
	}
	golden(t, "inplace.txt", words.String())
}

// TestInPlaceSetID: nobody answers a filter, and nobody looks for files afterwards. So no call
// is left that could make a set-id file unseen.
func TestInPlaceSetID(t *testing.T) {
	p, h, target := inPlace(1000)
	p.Files.SetID = plantest.Ptr(false)
	p.Files.Write = []string{"/w"}
	h.Files["/w"] = host.File{Real: "/w", Mode: unix.S_IFDIR, UID: 1000, Perm: 0o755, Ino: 3}
	plan, err := Build(p, plantest.AllowAll, target, h)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.SetID.Dirs) > 0 || plan.SetID.Listens || plan.SetID.Metadata {
		t.Errorf("the launcher is to look: %+v", plan.SetID)
	}
	for _, f := range seccompSteps(plan.Target) {
		decoded, err := decode([]seccomp.Program{seccomp.Program(f.Program)}, f.Name)
		if err != nil {
			t.Fatal(err)
		}
		if !decoded.allow(unix.SYS_OPENAT2) {
			return
		}
	}
	t.Errorf("openat2 is not refused:\n%s", plan)
}
