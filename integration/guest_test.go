package integration

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// guestFacts says what the machine is that these tests run in, if it is a
// guest of the kernel matrix (integration/kernels): conditions of scripts, as
// below, that must hold there, each maybe with a "!" in front.
var guestFacts = os.Getenv("SBX_GUEST")

// patience is how many times as long as on a machine of its own a program may
// take: a guest is emulated, and others may share the processor.
var patience = map[bool]int{false: 1, true: 10}[guestFacts != ""]

func patient(d time.Duration) time.Duration { return d * time.Duration(patience) }

// condition is what scripts can ask of the machine in brackets, with a "!" in
// front for the opposite:
//
//	[guest]         a guest of the kernel matrix, whose settings are ours to change
//	[root], [user]  who runs the script
//	[kernel:6.2]    Linux 6.2 or newer
//	[landlock:4]    Landlock's ABI is 4 or newer
//	[lsm:apparmor]  this security module is on
//	[rootfs:ext4]   what the root directory is: ext4, tmpfs, or rootfs for an initramfs
//	[sysctl:NAME]   the kernel has this parameter
//	[cgroup:memory] this controller is there in cgroup v2, for groups beside our own
func condition(what string) (bool, error) {
	name, arg, _ := strings.Cut(what, ":")
	switch name {
	case "guest":
		return guestFacts != "", nil
	case "root":
		return asRoot(), nil
	case "user":
		return !asRoot(), nil
	case "kernel":
		var u unix.Utsname
		if err := unix.Uname(&u); err != nil {
			return false, err
		}
		have, err := version(unix.ByteSliceToString(u.Release[:]))
		want, err2 := version(arg)
		return slices.Compare(have, want) >= 0, errors.Join(err, err2)
	case "landlock":
		want, err := strconv.Atoi(arg)
		const version = 1 // LANDLOCK_CREATE_RULESET_VERSION
		abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, version)
		if errno != 0 && errno != unix.ENOSYS && errno != unix.EOPNOTSUPP {
			return false, fmt.Errorf("ask for Landlock: %w", errno)
		}
		return errno == 0 && int(abi) >= want, err
	case "lsm":
		list, err := os.ReadFile("/sys/kernel/security/lsm")
		if errors.Is(err, os.ErrNotExist) {
			return false, nil // securityfs is not mounted
		}
		return slices.Contains(strings.Split(strings.TrimSpace(string(list)), ","), arg), err
	case "rootfs":
		mounts, err := os.ReadFile("/proc/self/mounts")
		if err != nil {
			return false, err
		}
		kind := ""
		for line := range strings.Lines(string(mounts)) {
			if f := strings.Fields(line); len(f) > 2 && f[1] == "/" {
				kind = f[2] // the last lies on top
			}
		}
		return kind == arg, nil
	case "sysctl":
		_, err := os.Stat(sysctlFile(arg))
		if errors.Is(err, os.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	case "cgroup":
		groups, err := os.ReadFile("/proc/self/cgroup")
		if err != nil {
			return false, err
		}
		for line := range strings.Lines(string(groups)) {
			if own, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
				list, err := os.ReadFile("/sys/fs/cgroup" + own + "/cgroup.controllers")
				if errors.Is(err, os.ErrNotExist) {
					return false, nil // cgroup v1, or beside it
				}
				return slices.Contains(strings.Fields(string(list)), arg), err
			}
		}
		return false, nil
	}
	return false, fmt.Errorf("unknown condition %q", what)
}

// version is the first two numbers of a kernel's release.
func version(release string) ([]int, error) {
	parts := strings.SplitN(release, ".", 3)
	if len(parts) < 2 {
		return nil, fmt.Errorf("no version: %q", release)
	}
	minor, _, _ := strings.Cut(parts[1], "-")
	a, err := strconv.Atoi(parts[0])
	b, err2 := strconv.Atoi(minor)
	return []int{a, b}, errors.Join(err, err2)
}

// TestGuest: the guest is what the matrix thinks it is. Otherwise scripts that
// ask for a condition would test nothing.
func TestGuest(t *testing.T) {
	for _, fact := range strings.Fields(guestFacts) {
		what, not := strings.CutPrefix(fact, "!")
		is, err := condition(what)
		if err != nil || is == not {
			t.Errorf("%s does not hold here (%v)", fact, err)
		}
	}
}

// cmdSysctl sets a parameter of the guest's kernel until the script ends:
//
//	sysctl user.max_user_namespaces 0
func cmdSysctl(ts *testscript.TestScript, neg bool, args []string) {
	noNeg(ts, neg)
	if len(args) != 2 {
		ts.Fatalf("usage: sysctl NAME VALUE")
	}
	if guestFacts == "" {
		ts.Fatalf("sysctl: this machine's settings are not ours to change")
	}
	name := sysctlFile(args[0])
	before, err := os.ReadFile(name)
	ts.Check(err)
	ts.Check(os.WriteFile(name, []byte(args[1]), 0))
	ts.Defer(func() {
		if err := os.WriteFile(name, before, 0); err != nil {
			panic(err)
		}
	})
}

func sysctlFile(name string) string { return "/proc/sys/" + strings.ReplaceAll(name, ".", "/") }

// TestSmallRoot: a root of a single busybox is enough; an initramfs, which
// pivot_root(2) cannot leave, is refused with the reason.
func TestSmallRoot(t *testing.T) {
	if !strings.Contains(guestFacts, "rootfs:tmpfs") && !strings.Contains(guestFacts, "rootfs:rootfs") {
		t.Skip("for guests of the matrix whose root is small")
	}
	initramfs := strings.Contains(guestFacts, "rootfs:rootfs")
	for _, policy := range []string{"default", "pure", "project", "fetch", "web", "open"} {
		args := []string{binary("sbx"), "--policy", policy, "--", "/bin/sh", "-c", "echo ran; exec cat /proc/self/status"}
		r := run(t, call{args: args, dir: home()})
		if initramfs {
			if r.status != 125 || r.stdout != "" || !strings.Contains(r.stderr, "sbx: hint: the root is an initramfs") {
				t.Errorf("%s: want 125 and the reason: %v", policy, r)
			}
			continue
		}
		r.want(t, 0, "ran", "NoNewPrivs:\t1", "Seccomp:\t2")
	}
	if !initramfs {
		sbxProbe(t, nil, "caps").want(t, 0, "CapEff: none", "CapBnd: none", "NoNewPrivs: 1")
		sbx(t, "--", "touch", "/bin/x").want(t, 1)
	}
}
