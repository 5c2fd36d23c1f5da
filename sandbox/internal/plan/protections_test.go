package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
)

// TestMissing: a receipt names each optional protection that is not in force, and lists no
// limit that is not enforced.
func TestMissing(t *testing.T) {
	const newest = 9
	for _, c := range []struct {
		name    string
		abi     int
		edit    func(*policy.Policy, *host.Target, *host.Facts)
		missing string
		limits  []string
	}{
		{"nothing", newest, nil, "", nil},
		{"no Landlock", 0, nil, "landlock", nil},
		{"not wanted", 0, func(p *policy.Policy, _ *host.Target, _ *host.Facts) { p.Process.Landlock = "off" }, "", nil},
		{"not for a nested sandbox", 0, func(p *policy.Policy, _ *host.Target, _ *host.Facts) {
			yes := true
			p.Process.Nest, p.Process.LandlockLog = &yes, &yes
		}, "landlock_log", nil},
		{"the first Landlock", 1, nil, "landlock_truncate landlock_ioctl landlock_scopes", nil},
		{"Landlock 6", 6, func(p *policy.Policy, _ *host.Target, _ *host.Facts) {
			yes := true
			p.Process.LandlockLog, p.Files.OwnSockets = &yes, &yes
		}, "landlock_log landlock_sockets", nil},
		{"sockets not looked at", 6, func(p *policy.Policy, _ *host.Target, h *host.Facts) {
			p.Files.Sockets, h.SearchTruncatedAt = []string{"?/none"}, "/srv"
		}, "landlock_sockets socket_masks", nil},
		{"limits", newest, func(p *policy.Policy, _ *host.Target, _ *host.Facts) {
			p.Limits = policy.Limits{Memory: "1G", CPU: "?50%", IO: "?1M", Time: "3s", Processes: "?9"}
		}, "limits.memory.total limits.cpu limits.io", []string{"processes", "memory", "time"}},
		{"in place", newest, func(p *policy.Policy, _ *host.Target, h *host.Facts) {
			no := false
			p.Process.Supervise, p.Limits, p.Namespaces.PID = &no, policy.Limits{Time: "?3s", CPUTime: "1s"}, "host"
			h.Files["/proc"] = host.File{Real: "/proc", Mode: unix.S_IFDIR}
		}, "limits.time", []string{"cpu_time"}},
		{"no listener", newest, func(_ *policy.Policy, t *host.Target, h *host.Facts) {
			t.Explain, h.Listener.Err = true, errors.New("there is one")
		}, "explain", nil},
		{"files not seen", newest, func(p *policy.Policy, t *host.Target, _ *host.Facts) {
			yes := true
			t.Explain, t.ExplainFiles, p.Process.Nest = true, true, &yes
		}, "explain_files", nil},
	} {
		uid := 1000
		if c.name == "in place" {
			uid = 0
		}
		p := &policy.Policy{Name: "p", Files: policy.Files{Tmpfs: []string{"/tmp"}}}
		h := plantest.Debian(p, uid)
		h.ListsChildren, h.Limits.CountsPerNamespace, h.Limits.CgroupWhy = true, true, "no cgroup of yours"
		h.Limits.Hard = map[int]uint64{unix.RLIMIT_DATA: unix.RLIM_INFINITY, unix.RLIMIT_NPROC: unix.RLIM_INFINITY}
		target := host.Target{Path: "x", Args: []string{"x"}, Dir: "/tmp", PID: 1}
		h.LSM.Landlock = c.abi
		if c.edit != nil {
			c.edit(p, &target, h)
		}
		plan, err := Build(p, plantest.AllowAll, target, h)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := plan.Protections()
		if m := strings.Join(got.Missing, " "); m != c.missing || c.limits != nil && !slices.Equal(got.Limits, c.limits) {
			t.Errorf("%s: missing %q, limits %q; want %q, %q", c.name, m, got.Limits, c.missing, c.limits)
		}
	}
}
