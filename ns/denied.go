package ns

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// DeniedHint is how to fix that the kernel refuses new namespaces with that
// errno. It refuses for many reasons, and only its files tell them apart.
func DeniedHint(errno unix.Errno) string {
	switch {
	case sysctl("user/max_user_namespaces") == "0":
		return "user namespaces are switched off: sysctl user.max_user_namespaces=15000"
	case sysctl("kernel/unprivileged_userns_clone") == "0":
		return "Debian forbids users to make namespaces here: sysctl kernel.unprivileged_userns_clone=1"
	case sysctl(appArmorRestricts) == "1":
		return mountDeniedHint()
	case errno == unix.ENOSPC:
		return "namespaces are nested too deep, or their number is used up: sysctl user.max_user_namespaces and the other user.max_*"
	case chrooted():
		return "inside a chroot the kernel allows no user namespaces; start sbx outside, or use pivot_root instead of chroot"
	case filtered():
		return "an outer seccomp filter forbids namespaces (docker: --security-opt seccomp=unconfined)"
	}
	return "an outer sandbox, a chroot or a security module forbids namespaces"
}

const appArmorRestricts = "kernel/apparmor_restrict_unprivileged_userns"

// mountDeniedHint is how to fix that a new user namespace may not mount.
func mountDeniedHint() string {
	if sysctl(appArmorRestricts) == "1" {
		return "AppArmor keeps user namespaces from users: give sbx a profile with \"userns,\" or sysctl kernel.apparmor_restrict_unprivileged_userns=0"
	}
	return "an outer sandbox or security module forbids mounting (docker: --security-opt apparmor=unconfined --security-opt seccomp=unconfined)"
}

// sysctl is a value below /proc/sys, or "" where it cannot be read.
func sysctl(file string) string {
	b, err := os.ReadFile("/proc/sys/" + file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// chrooted says whether the root directory is not the mount namespace's: the
// root's own mount is then not in the list of mounts.
func chrooted() bool {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 4 && f[4] == "/" {
			return false
		}
	}
	return true
}

// filtered says whether this process has a seccomp filter.
func filtered() bool {
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return err == nil && mode == unix.SECCOMP_MODE_FILTER
}
