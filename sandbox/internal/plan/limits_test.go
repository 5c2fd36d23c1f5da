package plan

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/sandbox/internal/cgroup"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
)

// TestLimits checks which mechanism enforces a limit, on invented machines. A limit that
// cannot be enforced is an error, or, with a "?", a note.
func TestLimits(t *testing.T) {
	const all = cgroup.Memory | cgroup.Pids | cgroup.CPU | cgroup.IO
	user := []cgroup.Parent{
		{Path: "/sys/fs/cgroup/app.slice", FD: 90, Have: cgroup.Memory | cgroup.Pids | cgroup.CPU,
			Enabled: cgroup.Memory | cgroup.Pids | cgroup.CPU, Pids: 400},
	}
	root := []cgroup.Parent{
		{Path: "/sys/fs/cgroup/a", FD: 91, Have: cgroup.Pids, Enabled: cgroup.Pids},
		{Path: "/sys/fs/cgroup", FD: 92, Have: all, Enabled: cgroup.Pids},
	}
	alone := []cgroup.Parent{{Path: "/sys/fs/cgroup/x.service", FD: 93, Have: all, SoleMember: true}}
	vda := []cgroup.Disk{{Name: "vda", Major: 254}}
	words := &refusals{}
	for _, c := range []struct {
		name    string
		uid     int
		limits  policy.Limits
		edit    func(*policy.Policy, *host.Facts)
		places  []cgroup.Parent
		want    []string // lines of the plan; with "!" in front, none of them
		refused error
	}{
		{"none", 1000, policy.Limits{}, nil, user, []string{"!limit processes", "!limit memory", "!end all", "!janitor",
			"!cleanup", "ipc uts cgroup\n"}, nil},
		{"memory", 1000, policy.Limits{Memory: "256M"}, nil, user,
			[]string{"make a cgroup of a random name in /sys/fs/cgroup/app.slice\n", "memory.max = 268435456\n",
				"memory.swap.max = 0\n", "memory.oom.group = 1\n", "pids.max = 400\n", "ipc uts\n", "make a cgroup namespace",
				"cleanup  kill"}, nil},
		{"memory is whole pages", 1000, policy.Limits{Memory: "4097"}, nil, user, []string{"memory.max = 4096\n"}, nil},
		{"in the machine's pages", 1000, policy.Limits{Memory: "100000"}, func(_ *policy.Policy, h *host.Facts) {
			h.Limits.PageSize = 65536
		}, user, []string{"memory.max = 65536\n"}, nil},
		{"no more than the launcher has", 1000, policy.Limits{Processes: "1000"}, nil, user,
			[]string{"pids.max = 400\n"}, nil},
		{"fewer", 1000, policy.Limits{Processes: "10"}, nil, user,
			[]string{"pids.max = 11\n", "!RLIMIT", "!user namespace to"}, nil},
		{"the first that has all", 0, policy.Limits{Memory: "1M", Processes: "5"}, nil, root,
			[]string{"in /sys/fs/cgroup, enable memory there\n", "memory.max = 1048576\n", "pids.max = 6\n"}, nil},
		{"the nearest that does", 0, policy.Limits{Processes: "5"}, nil, root, []string{"in /sys/fs/cgroup/a\n"}, nil},
		{"making room", 1000, policy.Limits{CPU: "150%"}, nil, alone,
			[]string{"x.service, enable cpu there, move the launcher to a leaf\n", "cpu.max = 150000 100000\n"}, nil},
		{"io takes memory", 0, policy.Limits{IO: "1M"}, func(_ *policy.Policy, h *host.Facts) { h.Limits.Disks = vda }, root,
			[]string{"enable memory io there\n", "io.max = 254:0 rbps=1048576 wbps=1048576\n"}, nil},
		{"io without a disk", 0, policy.Limits{IO: "1M"}, nil, root, nil, host.NoLimit},
		{"io lacking", 1000, policy.Limits{IO: "1M", CPU: "5%"}, nil, user, nil, host.NoLimit},
		{"optional io", 1000, policy.Limits{IO: "?1M", CPU: "5%"}, nil, user,
			[]string{"cpu.max = 5000 100000\n", "note: limits.io is not enforced: no cgroup that", "!io.max"}, nil},
		{"memory of each process", 1000, policy.Limits{Memory: "1M"}, nil, nil, []string{
			"target   limit private memory of each process to 1M\n", "!janitor",
			"note: limits.memory holds for each process by itself, not for all together, and for no shared memory: " +
				"no cgroup of yours\n",
		}, nil},
		{"memory of each process, the caller has less", 0, policy.Limits{Memory: "?1M"}, func(_ *policy.Policy,
			h *host.Facts) {
			h.Limits.Hard[unix.RLIMIT_DATA] = 4096
		}, nil, []string{"each process to 1M, lowered to the caller's own limit of 4096\n"}, nil},
		{"memory of each process, which it can raise", 0, policy.Limits{Memory: "1M"}, func(p *policy.Policy, _ *host.Facts) {
			p.Process.Capabilities = []string{"sys_resource"}
		}, nil, nil, host.NoLimit},
		{"memory of each process, beside processor time", 1000, policy.Limits{Memory: "1M", CPU: "5%"}, nil, nil, nil,
			host.NoLimit},
		{"nothing", 1000, policy.Limits{CPU: "5%"}, nil, nil, nil, host.NoLimit},
		{"nothing for root", 0, policy.Limits{Processes: "10"}, nil, nil, nil, host.NoLimit},
		{"version 1", 0, policy.Limits{CPU: "5%"}, func(_ *policy.Policy, h *host.Facts) {
			h.Limits.CgroupUnified = false
		}, nil, nil, host.NoLimit},
		{"a kernel without", 0, policy.Limits{CPU: "5%"}, func(_ *policy.Policy, h *host.Facts) {
			h.Limits.CgroupAll = cgroup.Pids
		}, nil, nil, host.NoLimit},
		{"optional nothing", 1000, policy.Limits{CPU: "?5%"}, nil, nil,
			[]string{"note: limits.cpu is not enforced: no cgroup of yours", "!janitor"}, nil},
		{"processes by the namespace", 1000, policy.Limits{Processes: "10"}, nil, nil,
			[]string{"limit processes of the user namespace to 10 and the init\n", "!note"}, nil},
		{"processes before 5.14", 1000, policy.Limits{Processes: "10"}, func(_ *policy.Policy, h *host.Facts) {
			h.Limits.CountsPerNamespace = false
		}, nil, nil, host.NoLimit},
		{"root's processes in a namespace", 0, policy.Limits{Processes: "?10"}, func(p *policy.Policy, _ *host.Facts) {
			p.Namespaces.User = "new"
		}, nil, []string{"note: limits.processes is not enforced"}, nil},
		{"both ways", 1000, policy.Limits{Processes: "10", Memory: "?1M"}, nil, nil,
			[]string{"user namespace to 10", "note: limits.memory"}, nil},
		{"of a process", 1000, policy.Limits{CPUTime: "1500ms", FileSize: "1M"}, nil, nil, nil, host.Invalid},
		{"rounded up", 1000, policy.Limits{CPUTime: "1m1s", OpenFiles: "20", Core: "0", Time: "1h"}, nil, nil,
			[]string{"limit processor time to 1m1s for each process\n", "limit open files to 20\n", "forbid core dumps\n",
				"end the sandbox after 1h0m0s\n", "!restore the limit on open files"}, nil},
		{"the caller has less", 1000, policy.Limits{FileSize: "1M"}, func(_ *policy.Policy, h *host.Facts) {
			h.Limits.Hard[unix.RLIMIT_FSIZE] = 4096
		}, nil, []string{"limit file size to 1M, lowered to the caller's own limit of 4096\n"}, nil},
		{"the target can raise it", 0, policy.Limits{FileSize: "1M"}, func(p *policy.Policy, _ *host.Facts) {
			p.Process.Capabilities = []string{"sys_resource"}
		}, nil, nil, host.NoLimit},
		{"the target can raise it, optional", 0, policy.Limits{FileSize: "?1M"}, func(p *policy.Policy, _ *host.Facts) {
			p.Process.Capabilities = []string{"sys_resource"}
		}, nil, []string{"note: limits.file_size is not enforced", "limit file size to 1M\n"}, nil},
		{"cgroups to write", 0, policy.Limits{Memory: "1M"}, func(p *policy.Policy, _ *host.Facts) {
			p.Files.Write = []string{"/sys"}
		}, root, nil, host.NoLimit},
		{"cgroups of the host", 0, policy.Limits{Memory: "1M"}, func(p *policy.Policy, _ *host.Facts) {
			p.Namespaces.Mount = "host"
		}, root, nil, host.NoLimit},
		{"cgroups in a part", 0, policy.Limits{Memory: "1M"}, func(p *policy.Policy, _ *host.Facts) {
			p.Files.Write, p.Files.Read = []string{"?/sys/fs/cgroup/a"}, []string{"/sys"}
		}, root, nil, host.NoLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &policy.Policy{Name: "p", Files: policy.Files{Tmpfs: []string{"/tmp"}}, Limits: c.limits}
			h := plantest.Debian(p, c.uid)
			h.Limits.CountsPerNamespace, h.Limits.CgroupUnified = true, true
			h.Limits.CgroupAll, h.Limits.Cgroups, h.Limits.Hard = all, c.places, map[int]uint64{}
			for r := range 16 {
				h.Limits.Hard[r] = unix.RLIM_INFINITY
			}
			if c.places == nil {
				h.Limits.CgroupWhy = "no cgroup of yours"
			}
			if c.edit != nil {
				c.edit(p, h)
			}
			plan, err := Build(p, plantest.AllowAll, host.Target{Path: "x", Args: []string{"x"}, Dir: "/tmp", PID: 1}, h)
			if !errors.Is(err, c.refused) {
				t.Fatalf("got %v, want %v", err, c.refused)
			}
			words.add(c.name, err)
			if err != nil {
				return
			}
			text := plan.String()
			for _, w := range c.want {
				if w, not := strings.CutPrefix(w, "!"); strings.Contains(text, w) == not {
					t.Errorf("want %v %q in\n%s", !not, w, text)
				}
			}
		})
	}
	golden(t, "refusals-limits.txt", words.String())
}

// TestGuarded checks that no limit is enforced by cgroups that the target could write to, by
// whatever name.
func TestGuarded(t *testing.T) {
	for _, c := range []struct {
		files policy.Files
		ok    bool
	}{
		{policy.Files{}, true},
		{policy.Files{Write: []string{"/srv", "?/sys2"}}, true},
		{policy.Files{Read: []string{"/sys"}}, true},
		{policy.Files{Write: []string{"?/"}, Read: []string{"?/sys"}}, true},
		{policy.Files{Write: []string{"/"}, Read: []string{"/sys/fs/cgroup"}}, true},
		{policy.Files{Write: []string{"/"}}, false},
		{policy.Files{Write: []string{"/"}, Read: []string{"/sys/fs/cgroup/a"}}, false},
		{policy.Files{Write: []string{"/sys"}, Read: []string{"/"}}, false},
		{policy.Files{Write: []string{"/sys/fs/cgroup"}}, false},
		{policy.Files{Write: []string{"?/sys/fs/cgroup/a"}, Read: []string{"/sys"}}, false},
		{policy.Files{Write: []string{"/x"}, Paths: map[string]policy.PathOptions{"/x": {From: "/sys/fs"}}}, false},
		{policy.Files{Write: []string{"/sys"}, Paths: map[string]policy.PathOptions{"/sys": {From: "/srv"}}}, true},
	} {
		if err := guarded(&policy.Policy{Files: c.files}, "/sys/fs/cgroup/a"); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.files, err)
		}
	}
}
