package ns

import (
	"bytes"
	"fmt"
	"iter"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// DeniedHint is how to fix that the kernel refuses new namespaces with that
// errno, and how to do without them.
func DeniedHint(errno unix.Errno) string { return denied(errno) + secondWay() }

// mountDeniedHint is how to fix that mounting is denied in a new user namespace.
func mountDeniedHint() string { return mountDenied() + secondWay() }

// secondWay names the flag by which a launch makes no namespaces, where it works here.
func secondWay() string {
	const (
		version   = 1 // LANDLOCK_CREATE_RULESET_VERSION
		abiScopes = 6 // Linux 6.12: what holds signals
	)
	abi, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, version)
	if errno != 0 || abi < abiScopes {
		return ""
	}
	return "; or run without namespaces, which protects less: sbx --no-namespaces"
}

// denied is the fix. The kernel has many reasons, and only files in /proc tell which.
func denied(errno unix.Errno) string {
	switch {
	case Sysctl("user/max_user_namespaces") == "0":
		return "user namespaces are switched off: sysctl user.max_user_namespaces=15000"
	case Sysctl("kernel/unprivileged_userns_clone") == "0":
		return "Debian forbids users to make namespaces here: sysctl kernel.unprivileged_userns_clone=1"
	case Sysctl(appArmorRestricts) == "1":
		return mountDenied()
	case errno == unix.ENOSPC:
		return "namespaces are nested too deep, or there are too many: " +
			"sysctl user.max_user_namespaces and the other user.max_*"
	case Chrooted():
		return "inside a chroot the kernel allows no user namespaces; " +
			"start sbx outside the chroot, or use pivot_root instead"
	case Filtered():
		return "an outer seccomp filter forbids namespaces (docker: --security-opt seccomp=unconfined)"
	}
	return "an outer sandbox, a chroot or a security module forbids namespaces"
}

const appArmorRestricts = "kernel/apparmor_restrict_unprivileged_userns"

// mountDenied is the fix where mounting is denied in a new user namespace.
func mountDenied() string {
	if Sysctl(appArmorRestricts) == "1" {
		return "AppArmor denies user namespaces to users: give sbx a profile with \"userns,\" or " +
			"sysctl kernel.apparmor_restrict_unprivileged_userns=0"
	}
	return "an outer sandbox or security module forbids mounting " +
		"(docker: --security-opt apparmor=unconfined --security-opt seccomp=unconfined)"
}

// Sysctl is a value below /proc/sys, or "" where it cannot be read.
func Sysctl(file string) string {
	b, err := os.ReadFile("/proc/sys/" + file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// Chrooted says whether the process is in a chroot, as far as that can be seen. The list
// of mounts then has no entry for its root directory; or if that is a mount point, it is one
// elsewhere in the list of a process above this one. Without /proc, a root directory that
// is no mount point says so (statx(2), Linux 5.8).
func Chrooted() bool {
	own, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		var x unix.Statx_t
		err := unix.Statx(unix.AT_FDCWD, "/", 0, unix.STATX_TYPE, &x)
		return err == nil && x.Attributes_mask&^x.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
	}
	root := ""
	for id, at := range mountPoints(string(own)) {
		if at == "/" {
			root = id // the last one lies on top
		}
	}
	if root == "" {
		return true
	}
	for pid := os.Getppid(); pid > 0; pid = parent(pid) {
		list, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
		if err != nil {
			continue // it has ended, or is hidden
		}
		for id, at := range mountPoints(string(list)) {
			if id == root && at != "/" {
				return true
			}
		}
	}
	return false
}

// mountPoints are the numbers of mounts and where they are: proc_pid_mountinfo(5).
func mountPoints(list string) iter.Seq2[string, string] {
	return func(yield func(id, at string) bool) {
		for line := range strings.Lines(list) {
			if f := strings.Fields(line); len(f) > 4 && !yield(f[0], f[4]) {
				return
			}
		}
	}
}

// parent is the process above that one, or 0.
func parent(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b[bytes.LastIndexByte(b, ')')+1:]), " ")
	var state string
	if _, err := fmt.Sscan(rest, &state, &pid); err != nil {
		return 0
	}
	return pid
}

// Filtered says whether this process has a seccomp filter.
func Filtered() bool {
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return err == nil && mode == unix.SECCOMP_MODE_FILTER
}

// ownerHint says why a file cannot be given to a user: EINVAL is for ids that the user
// namespace does not map.
func ownerHint(owner int, err error) string {
	if owner == 0 || step.Errno(err) != unix.EINVAL {
		return ""
	}
	return fmt.Sprintf("sbx runs in a user namespace that does not have user %d, as systemd's PrivateUsers= makes one: "+
		"run it outside of that", owner)
}
