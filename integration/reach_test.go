package integration

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReach: neither the process group that is shared at a terminal nor the
// init can be slowed down or limited; what a program does to itself and its
// children goes on.
func TestReach(t *testing.T) {
	for _, policy := range []string{"default", "open"} {
		sbxProbe(t, []string{"--policy", policy}, "reach").want(t, 0,
			"setpriority own group: EPERM", "setpriority own group high: EPERM", "setpriority self: ok",
			"ioprio_set own group: EPERM", "ioprio_set self: ok",
			"prlimit init: EPERM", "prlimit own pid: ok", "prlimit child: ok")
		r := sbxProbe(t, []string{"--policy", policy}, "others", "1")
		r.want(t, 0, "own limit: ok", "own priority: ok", "own affinity: ok", "setpriority own user: EPERM")
		for what, said := range r.answers() {
			if said != "EPERM" && !strings.HasPrefix(what, "own ") {
				t.Errorf("%s: the init: %s: %s", policy, what, said)
			}
		}
	}
}

// TestMemoryPrograms: where nothing that the target can write runs, neither do files in
// memory; where something does, all is as ever.
func TestMemoryPrograms(t *testing.T) {
	const still = "[files]\npath.\"/tmp\".exec = false\npath.\"/var/tmp\".exec = false\n"
	r := boxed(t, still+"path.\"~\".exec = false\n", binary("probe"), "memory", "/tmp/x")
	r.want(t, 0, "run plain: EACCES", "run exec: EACCES", "run high: EACCES", "run file: EACCES", "run sealed: EACCES")
	if said := r.answers()["chmod sealed"]; said != "EPERM" {
		t.Errorf("the seal: %q", said)
	}
	const load = "cp /bin/true /tmp/x; " +
		"for l in /lib64/ld-linux* /lib/ld-linux*; do [ ! -x $l ] || exec $l /tmp/x; done; exit 9"
	if r := boxed(t, still, "sh", "-c", load); r.status == 0 || !strings.Contains(r.stderr, "/tmp/x") {
		t.Errorf("the loader: %v", r)
	}
	boxed(t, "", "sh", "-c", load).want(t, 0)
	for _, policy := range []string{still, ""} { // the home runs
		boxed(t, policy, binary("probe"), "memory", "/var/tmp/x").want(t, 0, "run plain: ok", "run exec: ok", "run high: ok")
	}
}

// TestReachHostPID: in a pid namespace that is not the sandbox's own, nothing of
// the caller's other processes can be limited or slowed down, with Landlock or
// without.
func TestReachHostPID(t *testing.T) {
	for _, extra := range []string{"", "[process]\nlandlock = \"off\"\n"} {
		policy := "[namespaces]\npid = \"host\"\n" + extra
		if extra == "" && refusedBefore(t, 6, boxedArgs(t, t.TempDir(), policy)) {
			continue
		}
		bystander := exec.Command("sleep", "1000")
		if err := bystander.Start(); err != nil {
			t.Fatal(err)
		}
		pid := bystander.Process.Pid
		before := standing(t, pid)
		r := boxed(t, policy, binary("probe"), "others", fmt.Sprint(pid))
		after := standing(t, pid)
		if err := bystander.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = bystander.Wait() // killed
		r.want(t, 0, "own limit: ok", "own priority: ok", "own affinity: ok")
		for what, said := range r.answers() {
			if said == "ok" && !strings.HasPrefix(what, "own ") || said == "ENOSYS" {
				t.Errorf("%q: %s: %s", extra, what, said)
			}
		}
		if r.answers()["setpriority own user"] != "EPERM" {
			t.Errorf("%q: all of the user's: %v", extra, r)
		}
		if before != after {
			t.Errorf("%q: the bystander was\n%s\nand is\n%s", extra, before, after)
		}
	}
}

// standing is what can be set of a process: limits, priorities, processors.
func standing(t *testing.T, pid int) string {
	t.Helper()
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		t.Fatal(err)
	}
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &cpus); err != nil {
		t.Fatal(err)
	}
	attr, err := unix.SchedGetAttr(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	io, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, 1, uintptr(pid), 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	return fmt.Sprintf("%sprocessors %v, policy %d, nice %d, io %d", limits, cpus, attr.Policy, attr.Nice, io)
}

// TestOwnedDescriptor: who has asked a descriptor for its signals (F_SETOWN) gets none that
// the target has chosen, by the standard streams and by kept descriptors. Landlock lets
// these through, as they were asked for outside.
func TestOwnedDescriptor(t *testing.T) {
	const attack = `
import fcntl, os, sys
fd, other = int(sys.argv[1]), int(sys.argv[2])
for f in (lambda: fcntl.fcntl(fd, fcntl.F_SETSIG, 9),
          lambda: fcntl.fcntl(fd, fcntl.F_SETFL, os.O_RDWR | os.O_ASYNC),
          lambda: fcntl.ioctl(fd, 0x5452, b"\1\0\0\0"), # FIOASYNC
          lambda: os.write(other, b"data")):
    try:
        f()
    except OSError as e:
        print(e)
print("well inside")
`
	for role, c := range map[string][]string{"default": {"0", "3"}, "open": {"3", "0"}} {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		bystander := exec.Command("sleep", "1000")
		if err := bystander.Start(); err != nil {
			t.Fatal(err)
		}
		owned, other := os.NewFile(uintptr(pair[0]), ""), os.NewFile(uintptr(pair[1]), "")
		if _, err := unix.FcntlInt(owned.Fd(), unix.F_SETOWN, bystander.Process.Pid); err != nil {
			t.Fatal(err)
		}
		files := []*os.File{owned, other}
		if c[0] == "0" {
			files = []*os.File{other, owned}
		}
		// Descriptor 4 becomes 0.
		r := run(t, call{args: append([]string{"/bin/sh", "-c", `exec "$@" <&4 4<&-`, "sh", binary("sbx"), "-p", role,
			"--keep-fd", "3", "--", "python3", "-c", attack}, c...), dir: t.TempDir(), files: files})
		r.want(t, 0, "well inside")
		if err := bystander.Process.Signal(unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := bystander.Wait(); err == nil || err.Error() != "signal: terminated" {
			t.Errorf("%s, descriptor %s: the owner: %v\n%v", role, c[0], err, r)
		}
		owned.Close()
		other.Close()
	}
}
