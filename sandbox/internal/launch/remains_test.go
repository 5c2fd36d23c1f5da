package launch

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// remains is what a launch could leave behind, one line each: descriptors and
// children of this process, mounts that it sees, and cgroups.
type remains map[string]bool

// remaining reads what there is. The cgroups are the sandboxes' below a
// directory, if it is not empty.
func remaining(t testing.TB, cgroups string) remains {
	t.Helper()
	r := remains{}
	const fds = "/proc/self/fd"
	for _, fd := range entries(t, fds) {
		if to, err := os.Readlink(fds + "/" + fd); err == nil { // not the one that reads the list
			r["descriptor "+fd+" of "+to] = true
		}
	}
	// The whole of /proc is read only if there is a child at all.
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|
		unix.WALL, nil); err != unix.ECHILD {
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range childrenOf(t, os.Getpid()) {
			r["process "+p] = true
		}
	}
	mounts, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for m := range strings.Lines(string(mounts)) {
		r["mount "+m] = true
	}
	if cgroups != "" {
		for _, c := range cgroupsOf(t, cgroups) {
			r["cgroup "+c] = true
		}
	}
	return r
}

// since are the lines that were not there before.
func (r remains) since(before remains) (list []string) {
	for line := range r {
		if !before[line] {
			list = append(list, line)
		}
	}
	slices.Sort(list)
	return list
}

// childrenOf lists the children of a process with their names and states.
func childrenOf(t testing.TB, parent int) (list []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		end := strings.LastIndex(string(b), ") ")
		var state string
		var ppid int
		if _, err := fmt.Sscan(string(b[end+2:]), &state, &ppid); err == nil && ppid == parent {
			list = append(list, string(b[:end+3]))
		}
	}
	return list
}

// leavesNothing is a check that what came since the last one has gone again.
// What a launch of the test's would leave to the machine's init comes to the test.
func leavesNothing(t testing.TB, cgroups string) (check func(what string, args ...any)) {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); err != nil {
			t.Error(err)
		}
	})
	remaining(t, cgroups) // Go's poller comes with the first file
	before := remaining(t, cgroups)
	return func(what string, args ...any) {
		t.Helper()
		after := remaining(t, cgroups)
		if left := after.since(before); len(left) > 0 {
			t.Errorf("%s left\n%s", fmt.Sprintf(what, args...), strings.Join(left, "\n"))
		}
		maps.Copy(before, after) // told once
	}
}

// reapOrphans waits until all children have ended, of a process that orphans
// come to. A target that shares the host's pid namespace dies with its init,
// but nobody in the sandbox is there any more to reap it.
func reapOrphans(t testing.TB) {
	t.Helper()
	until(t, "all children gone", func() bool {
		for {
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil); err == unix.ECHILD {
				return true
			} else if pid <= 0 {
				return false
			}
		}
	})
}

// TestRemains: each kind of thing that could be left is noticed.
func TestRemains(t *testing.T) {
	// A mount namespace of this thread's, which ends with the test.
	runtime.LockOSThread()
	cgroups := ""
	if os.Getuid() == 0 {
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		cgroups = testCgroup(t)
	}
	remaining(t, cgroups)
	before := remaining(t, cgroups)
	var want []string
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	want = append(want, fmt.Sprintf("descriptor %d of /dev/null", fd))
	cmd := exec.Command("/bin/sleep", "1000")
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	want = append(want, fmt.Sprintf("process %d (", cmd.Process.Pid))
	if os.Getuid() == 0 {
		dir := t.TempDir()
		if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		defer unix.Unmount(dir, unix.MNT_DETACH)
		want = append(want, " "+dir+" ")
		if err := os.Mkdir(cgroups+"/sbx-left", 0o755); err != nil {
			t.Fatal(err)
		}
		defer unix.Rmdir(cgroups + "/sbx-left")
		want = append(want, "cgroup "+cgroups+"/sbx-left")
	}
	after := remaining(t, cgroups)
	left := after.since(before)
	for _, w := range want {
		if !slices.ContainsFunc(left, func(l string) bool { return strings.Contains(l, w) }) {
			t.Errorf("%q is not seen in\n%s", w, strings.Join(left, "\n"))
		}
	}
	if again := before.since(after); len(again) > 0 {
		t.Errorf("gone meanwhile: %v", again)
	}
}
