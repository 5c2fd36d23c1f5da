package explain

import (
	"slices"

	"golang.org/x/sys/unix"
)

// capabilityCalls are those that may take one; see Needs.
var capabilityCalls = [...]string{
	"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups",
	"chown", "lchown", "fchown", "fchownat", "chroot", "mknod", "mknodat", "socket",
	"mount", "umount2", "pivot_root", "move_mount", "fsopen", "sethostname", "setdomainname",
}

// MayNeed says that a call of the name may take a capability; see Needs.
func MayNeed(name string) bool { return slices.Contains(capabilityCalls[:], name) }

// Needs is the capability that the call takes, of a process with these ids (real,
// effective, saved and of the file system), or "".
func Needs(name string, args [6]uint64, uids, gids [4]uint32) string {
	other := func(have [4]uint32, from, to int) bool {
		for _, arg := range args[from:to] {
			if id := uint32(arg); id != ^uint32(0) && !slices.Contains(have[:], id) {
				return true
			}
		}
		return false
	}
	is := func(needs bool, capability string) string {
		if needs {
			return capability
		}
		return ""
	}
	switch name {
	case "setuid", "setfsuid":
		return is(other(uids, 0, 1), "setuid")
	case "setreuid":
		return is(other(uids, 0, 2), "setuid")
	case "setresuid":
		return is(other(uids, 0, 3), "setuid")
	case "setgid", "setfsgid":
		return is(other(gids, 0, 1), "setgid")
	case "setregid":
		return is(other(gids, 0, 2), "setgid")
	case "setresgid":
		return is(other(gids, 0, 3), "setgid")
	case "setgroups":
		return "setgid"
	case "chroot":
		return "sys_chroot"
	case "chown", "lchown", "fchown":
		return is(other(uids, 1, 2) || other(gids, 2, 3), "chown")
	case "mount", "umount2", "pivot_root", "move_mount", "fsopen", "sethostname", "setdomainname":
		return "sys_admin"
	case "mknod":
		return is(isDevice(args[1]), "mknod")
	case "mknodat":
		return is(isDevice(args[2]), "mknod")
	case "socket":
		const kind = 0xf
		raw := uint32(args[0]) == unix.AF_INET || uint32(args[0]) == unix.AF_INET6
		return is(uint32(args[0]) == unix.AF_PACKET || raw && args[1]&kind == unix.SOCK_RAW, "net_raw")
	case "fchownat":
		return is(other(uids, 2, 3) || other(gids, 3, 4), "chown")
	}
	return ""
}

// isDevice says that the mode is that of a device; one of 0 and 0, as overlayfs uses it, is made
// by no tool that people use.
func isDevice(mode uint64) bool {
	kind := mode & unix.S_IFMT
	return kind == unix.S_IFCHR || kind == unix.S_IFBLK
}
