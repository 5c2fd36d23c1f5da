package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/cgroup"
	"sbx/sandbox/internal/process"
)

// TestLimits: what holds a limit, on machines on paper. A limit that nothing
// can hold is an error with a hint, or, with a "?", a note.
func TestLimits(t *testing.T) {
	const all = cgroup.Memory | cgroup.Pids | cgroup.CPU | cgroup.IO
	user := []cgroup.Place{{Path: "/sys/fs/cgroup/app.slice", FD: 90, Have: cgroup.Memory | cgroup.Pids | cgroup.CPU, Enabled: cgroup.Memory | cgroup.Pids | cgroup.CPU, Pids: 400}}
	root := []cgroup.Place{{Path: "/sys/fs/cgroup/a", FD: 91, Have: cgroup.Pids, Enabled: cgroup.Pids}, {Path: "/sys/fs/cgroup", FD: 92, Have: all, Enabled: cgroup.Pids}}
	alone := []cgroup.Place{{Path: "/sys/fs/cgroup/x.service", FD: 93, Have: all, Alone: true}}
	vda := []cgroup.Disk{{Name: "vda", Major: 254}}
	for _, c := range []struct {
		name   string
		uid    int
		limits policy.Limits
		edit   func(*policy.Policy, *Host)
		places []cgroup.Place
		want   []string // lines of the plan; "!": not there; or what the error says
		hint   string   // of an error
	}{
		{"none", 1000, policy.Limits{}, nil, user, []string{"!limit processes", "!limit memory", "!end all", "!janitor", "!undo", "ipc uts cgroup\n"}, ""},
		{"memory", 1000, policy.Limits{Memory: "256M"}, nil, user, []string{"make a cgroup of a random name in /sys/fs/cgroup/app.slice\n", "memory.max = 268435456\n",
			"memory.swap.max = 0\n", "memory.oom.group = 1\n", "pids.max = 400\n", "ipc uts\n", "make a cgroup namespace", "undo     kill"}, ""},
		{"memory is whole pages", 1000, policy.Limits{Memory: "4097"}, nil, user, []string{"memory.max = 4096\n"}, ""},
		{"in the machine's pages", 1000, policy.Limits{Memory: "100000"}, func(_ *policy.Policy, h *Host) { h.PageSize = 65536 }, user, []string{"memory.max = 65536\n"}, ""},
		{"nobody has more than the launcher", 1000, policy.Limits{Processes: "1000"}, nil, user, []string{"pids.max = 400\n"}, ""},
		{"fewer", 1000, policy.Limits{Processes: "10"}, nil, user, []string{"pids.max = 11\n", "!RLIMIT", "!user namespace to"}, ""},
		{"the first that has all", 0, policy.Limits{Memory: "1M", Processes: "5"}, nil, root, []string{"in /sys/fs/cgroup, enable memory there\n", "memory.max = 1048576\n", "pids.max = 6\n"}, ""},
		{"the nearest that does", 0, policy.Limits{Processes: "5"}, nil, root, []string{"in /sys/fs/cgroup/a\n"}, ""},
		{"making room", 1000, policy.Limits{CPU: "150%"}, nil, alone, []string{"x.service, enable cpu there, move the launcher out of the way\n", "cpu.max = 150000 100000\n"}, ""},
		{"io takes memory", 0, policy.Limits{IO: "1M"}, func(_ *policy.Policy, h *Host) { h.Disks = vda }, root,
			[]string{"enable memory io there\n", "io.max = 254:0 rbps=1048576 wbps=1048576\n"}, ""},
		{"io without a disk", 0, policy.Limits{IO: "1M"}, nil, root, []string{"hold limits.io: this machine has no disk"}, "put a ?"},
		{"io lacking", 1000, policy.Limits{IO: "1M", CPU: "5%"}, nil, user, []string{"hold limits.cpu, limits.io: no cgroup that the caller may use has the controllers memory cpu io"}, "systemd-run --user --scope -p Delegate=yes sbx"},
		{"optional io", 1000, policy.Limits{IO: "?1M", CPU: "5%"}, nil, user, []string{"cpu.max = 5000 100000\n", "note: limits.io is not held: no cgroup that", "!io.max"}, ""},
		{"nothing", 1000, policy.Limits{Memory: "1M"}, nil, nil, []string{"hold limits.memory: no cgroup of yours"}, "systemd-run"},
		{"nothing for root", 0, policy.Limits{Processes: "10"}, nil, nil, []string{"hold limits.processes: no cgroup of yours"}, "Delegate=yes"},
		{"version 1", 0, policy.Limits{Memory: "1M"}, func(_ *policy.Policy, h *Host) { h.CgroupUnified = false }, nil, []string{"hold limits.memory"}, "boot with cgroup v2"},
		{"a kernel without", 0, policy.Limits{Memory: "1M"}, func(_ *policy.Policy, h *Host) { h.CgroupAll = cgroup.Pids }, nil, []string{"hold limits.memory: cgroup v2 of this kernel has no controller memory"}, "boot without cgroup_disable="},
		{"optional nothing", 1000, policy.Limits{Memory: "?1M"}, nil, nil, []string{"note: limits.memory is not held: no cgroup of yours", "!janitor"}, ""},
		{"processes by the namespace", 1000, policy.Limits{Processes: "10"}, nil, nil, []string{"limit processes of the user namespace to 10 and the init\n", "!note"}, ""},
		{"processes before 5.14", 1000, policy.Limits{Processes: "10"}, func(_ *policy.Policy, h *Host) { h.CountsPerNamespace = false }, nil, []string{"hold limits.processes"}, "systemd-run"},
		{"root's processes in a namespace", 0, policy.Limits{Processes: "?10"}, func(p *policy.Policy, _ *Host) { p.Namespaces.User = "new" }, nil, []string{"note: limits.processes is not held"}, ""},
		{"both ways", 1000, policy.Limits{Processes: "10", Memory: "?1M"}, nil, nil, []string{"user namespace to 10", "note: limits.memory"}, ""},
		{"of a process", 1000, policy.Limits{CPUTime: "1500ms", FileSize: "1M"}, nil, nil, []string{"time \"1500ms\""}, ""},
		{"rounded up", 1000, policy.Limits{CPUTime: "1m1s", OpenFiles: "20", Core: "0", Time: "1h"}, nil, nil,
			[]string{"limit processor time to 1m1s for each process\n", "limit open files to 20\n", "forbid core dumps\n", "end all after 1h0m0s\n", "!restore the limit on open files"}, ""},
		{"the caller has less", 1000, policy.Limits{FileSize: "1M"}, func(_ *policy.Policy, h *Host) { h.Hard[unix.RLIMIT_FSIZE] = 4096 }, nil, []string{"limit file size to 1M, of which the caller has only 4096 itself\n"}, ""},
		{"who can raise it", 0, policy.Limits{FileSize: "1M"}, func(p *policy.Policy, _ *Host) { p.Process.Capabilities = []string{"sys_resource"} }, nil, []string{"hold limits.file_size: the target keeps the capability sys_resource"}, "take sys_resource out"},
		{"who may", 0, policy.Limits{FileSize: "?1M"}, func(p *policy.Policy, _ *Host) { p.Process.Capabilities = []string{"sys_resource"} }, nil, []string{"note: limits.file_size is not held", "limit file size to 1M\n"}, ""},
		{"cgroups to write", 0, policy.Limits{Memory: "1M"}, func(p *policy.Policy, _ *Host) { p.Files.Write = []string{"/sys"} }, root, []string{"the policy lets the target write to /sys/fs/cgroup"}, "files.read"},
		{"cgroups of the host", 0, policy.Limits{Memory: "1M"}, func(p *policy.Policy, _ *Host) { p.Namespaces.Mount = "host" }, root, []string{"not its own the target could write to /sys/fs/cgroup"}, "mount = "},
		{"cgroups in a part", 0, policy.Limits{Memory: "1M"}, func(p *policy.Policy, _ *Host) {
			p.Files.Write, p.Files.Read = []string{"?/sys/fs/cgroup/a"}, []string{"/sys"}
		}, root, []string{"write to /sys/fs/cgroup"}, "files.read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &policy.Policy{Name: "p", Files: policy.Files{Tmpfs: []string{"/tmp"}}, Limits: c.limits}
			h := debian(p, c.uid)
			h.CountsPerNamespace, h.CgroupUnified, h.CgroupAll, h.Cgroups, h.Hard = true, true, all, c.places, map[int]uint64{}
			for r := range 16 {
				h.Hard[r] = unix.RLIM_INFINITY
			}
			if c.places == nil {
				h.CgroupWhy = "no cgroup of yours"
			}
			if c.edit != nil {
				c.edit(p, h)
			}
			plan, err := Build(p, allowAll, Target{Path: "x", Args: []string{"x"}, Dir: "/tmp", PID: 1}, h)
			text := ""
			if err != nil {
				text = err.Error()
				var need *NeedError
				if errors.As(err, &need) != (c.hint != "") || need != nil && !strings.Contains(need.Fix, c.hint) {
					t.Errorf("error %v, hint %+v, want %q", err, need, c.hint)
				}
			} else {
				text = plan.String()
				if c.hint != "" {
					t.Errorf("no error")
				}
			}
			for _, w := range c.want {
				if w, not := strings.CutPrefix(w, "!"); strings.Contains(text, w) == not {
					t.Errorf("want %v %q in\n%s", !not, w, text)
				}
			}
		})
	}
}

// TestGuarded: cgroups that the target could write to, by whatever name, hold
// nothing.
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

// inCgroup gives the plan a cgroup of version 2 without any controller, for
// machines on which that is all there is to have, below dir. Only root may.
func inCgroup(t testing.TB, plan *Plan, dir string) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	plan.held = &held{cgroup: &cgroup.Make{Place: cgroup.Place{Path: dir, FD: fd}, Launcher: os.Getpid()}}
	plan.held.outside(plan, false)
	plan.Setup = append([]step.Step{cgroup.Namespace{}}, plan.Setup...)
}

// testCgroup is a cgroup of this test's own: others test here as well.
func testCgroup(t testing.TB) string {
	t.Helper()
	launches(t)
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if err := unix.Statfs(mount, &st); err != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		dir, err := os.MkdirTemp(mount, "test-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Rmdir(dir); err != nil {
				t.Error(err)
			}
		})
		return dir
	}
	t.Fatal("no cgroup v2 is mounted")
	return ""
}

// cgroupsOf lists what sandboxes have below the mount.
func cgroupsOf(t testing.TB, mount string) []string {
	t.Helper()
	list, err := filepath.Glob(mount + "/sbx-*")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestCgroup is the life of a sandbox's cgroup: it is born into it, cannot see
// that, and nothing of it stays.
func TestCgroup(t *testing.T) {
	if os.Getuid() != 0 {
		return // guest-limits has a user's
	}
	plan := planFor(t, "default", "/bin/sh", "-c", "grep -q ^0::/$ /proc/self/cgroup && exec sleep 1000")
	mount := testCgroup(t)
	inCgroup(t, plan, mount)
	ps, err := plan.Start()
	if err != nil {
		t.Fatal(err)
	}
	list := cgroupsOf(t, mount)
	if len(list) != 1 {
		t.Fatalf("cgroups %v, want one", list)
	}
	if b, err := os.ReadFile("/proc/" + strconv.Itoa(ps.pid) + "/cgroup"); err != nil || !strings.HasSuffix(string(b), "/"+filepath.Base(list[0])+"/box\n") {
		t.Errorf("the init's cgroup is %q, %v", b, err)
	}
	for name, want := range map[string]string{"cgroup.procs": "", "cgroup.max.descendants": "1\n"} {
		if b, err := os.ReadFile(list[0] + "/" + name); err != nil || string(b) != want {
			t.Errorf("%s is %q, %v", name, b, err)
		}
	}
	if err := os.Mkdir(list[0]+"/box/more", 0o755); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("another cgroup could be made in it: %v", err)
	}
	until(t, "sleep", func() bool {
		procs, err := os.ReadFile(list[0] + "/box/cgroup.procs")
		comm, _ := filepath.Glob("/proc/[0-9]*/comm")
		for _, name := range comm {
			if b, err := os.ReadFile(name); err == nil && string(b) == "sleep\n" && strings.Contains(string(procs), filepath.Base(filepath.Dir(name))+"\n") {
				return true
			}
		}
		return err != nil
	})
	if err := ps.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	exit, err := ps.Wait()
	if err != nil || exit.Code() != 143 || len(exit.Notes) != 0 {
		t.Errorf("exit %+v, %v", exit, err)
	}
	if list := cgroupsOf(t, mount); len(list) != 0 {
		t.Errorf("left: %v", list)
	}
}

// TestCgroupFaults: a limit that is not as asked, or cannot be set, is a
// refusal, and nothing stays.
func TestCgroupFaults(t *testing.T) {
	if os.Getuid() != 0 {
		return
	}
	for _, c := range []struct {
		limit cgroup.Limit
		want  string // of the error; empty: it runs
	}{
		{cgroup.Limit{Say: "depth to 3", File: "cgroup.max.depth", Text: "3"}, ""},
		{cgroup.Limit{Say: "depth to 03", File: "cgroup.max.depth", Text: "03"}, `limit depth to 03: cgroup.max.depth = 03: found "3" there`},
		{cgroup.Limit{Say: "depth to many", File: "cgroup.max.depth", Text: "many"}, "limit depth to many: cgroup.max.depth = many: invalid argument"},
		{cgroup.Limit{Say: "nothing", File: "cgroup.nothing", Text: "1"}, "limit nothing: cgroup.nothing = 1: no such file or directory"},
		{cgroup.Limit{Say: "nothing", File: "cgroup.nothing", Text: "1", Optional: true}, ""},
	} {
		plan := planFor(t, "default", "/bin/touch", "ran")
		mount := testCgroup(t)
		inCgroup(t, plan, mount)
		c.limit.Place = plan.held.cgroup.Place
		plan.held.files = []cgroup.Limit{c.limit}
		plan.Prepare = append(plan.Prepare, c.limit)
		left := leavesNothing(t, mount)
		ps, err := plan.Start()
		if err == nil {
			_, err = ps.Wait()
		}
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%v: %v, want %q", c.limit, err, c.want)
		}
		if _, err := os.Stat(filepath.Join(workDir(plan), "ran")); (err == nil) != (c.want == "") {
			t.Errorf("%v: ran %v", c.limit, err == nil)
		}
		left("%v", c.limit)
	}
}

// TestCgroupSweep makes each call fail by which the janitor makes and removes a
// cgroup with a limit. A start that fails leaves nothing; a removal that does
// is told. Where it is the sandbox that fails, the cgroup goes as well.
func TestCgroupSweep(t *testing.T) {
	if os.Getuid() != 0 {
		return
	}
	mount := testCgroup(t)
	plan := planFor(t, "default", "/bin/touch", "ran")
	inCgroup(t, plan, mount)
	sweep(t, plan, func(s step.Step) bool {
		switch s.(type) {
		case cgroup.Namespace, ns.Private, process.NoNewPrivs, process.Exec:
			return true
		}
		return false
	})
	l := cgroup.Limit{Place: plan.held.cgroup.Place, Say: "depth", File: "cgroup.max.depth", Text: "3"}
	plan.held.files = append(plan.held.files, l)
	plan.Prepare = append(plan.Prepare, l)
	k := &janitor{plan: plan}
	calls := plan.compileJanitor(k, 999).Len()
	left := leavesNothing(t, "") // and of cgroups below
	for i := range calls {
		exit, applied, err := failJanitor(plan, i)
		undo := i >= k.undoAt
		left("call %d", i)
		if applied && !undo && !errors.Is(err, unix.EPERM) || (!applied || undo) && err != nil {
			t.Errorf("call %d: %v", i, err)
		}
		if told := len(exit.Notes) > 0; told != (applied && undo) {
			t.Errorf("call %d: notes %q", i, exit.Notes)
		}
		for _, dir := range cgroupsOf(t, mount) {
			if len(exit.Notes) == 0 {
				t.Errorf("call %d: left %s", i, dir)
			}
			os.Remove(dir + "/box")
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		}
	}
}
