package launch

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
	"sbx/sandbox/internal/cgroup"
	"sbx/sandbox/internal/plan"
	"sbx/sandbox/internal/process"
)

// inCgroup gives the plan a cgroup of version 2 without any controller, for
// machines on which that is all there is to have, below dir. Only root may.
func inCgroup(t testing.TB, plan *plan.Plan, dir string) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	plan.Limits.Cgroup = &cgroup.Make{Parent: cgroup.Parent{Path: dir, FD: fd}, Launcher: os.Getpid()}
	plan.New &^= ns.Cgroup
	plan.Prepare = append(plan.Prepare, *plan.Limits.Cgroup)
	plan.Cleanup = append(plan.Cleanup, cgroup.Remove{Make: *plan.Limits.Cgroup})
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
	ps, err := Start(plan)
	if err != nil {
		t.Fatal(err)
	}
	list := cgroupsOf(t, mount)
	if len(list) != 1 {
		t.Fatalf("cgroups %v, want one", list)
	}
	if b, err := os.ReadFile("/proc/" + strconv.Itoa(ps.pid) + "/cgroup"); err != nil ||
		!strings.HasSuffix(string(b), "/"+filepath.Base(list[0])+"/box\n") {
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
			if b, err := os.ReadFile(name); err == nil && string(b) == "sleep\n" &&
				strings.Contains(string(procs), filepath.Base(filepath.Dir(name))+"\n") {
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
		{cgroup.Limit{Name: "depth to 3", File: "cgroup.max.depth", Text: "3"}, ""},
		{cgroup.Limit{Name: "depth to 03", File: "cgroup.max.depth", Text: "03"},
			`limit depth to 03: cgroup.max.depth = 03: found "3" there`},
		{cgroup.Limit{Name: "depth to many", File: "cgroup.max.depth", Text: "many"},
			"limit depth to many: cgroup.max.depth = many: invalid argument"},
		{cgroup.Limit{Name: "nothing", File: "cgroup.nothing", Text: "1"},
			"limit nothing: cgroup.nothing = 1: no such file or directory"},
		{cgroup.Limit{Name: "nothing", File: "cgroup.nothing", Text: "1", Optional: true}, ""},
	} {
		plan := planFor(t, "default", "/bin/touch", "ran")
		mount := testCgroup(t)
		inCgroup(t, plan, mount)
		c.limit.Parent = plan.Limits.Cgroup.Parent
		plan.Limits.Files = []cgroup.Limit{c.limit}
		plan.Prepare = append(plan.Prepare, c.limit)
		left := leavesNothing(t, mount)
		ps, err := Start(plan)
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
		case cgroup.Namespace, ns.MakePrivate, process.NoNewPrivs, process.Exec:
			return true
		}
		return false
	})
	l := cgroup.Limit{Parent: plan.Limits.Cgroup.Parent, Name: "depth", File: "cgroup.max.depth", Text: "3"}
	plan.Limits.Files = append(plan.Limits.Files, l)
	plan.Prepare = append(plan.Prepare, l)
	k := &janitor{}
	k.prepare, k.undo = plan.JanitorSteps()
	calls := k.compile(999).Len()
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
