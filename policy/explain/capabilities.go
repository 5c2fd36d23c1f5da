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
	"setpriority", "sched_setscheduler", "sched_setattr", "ioprio_set",
}

// MayNeed says that a call of the name may take a capability; see Needs.
func MayNeed(name string) bool { return slices.Contains(capabilityCalls[:], name) }

// Caller is what decides whether a call takes a capability.
type Caller struct {
	// UIDs and GIDs are the real, effective, saved and file system ids.
	UIDs, GIDs [4]uint32
	// Nice is the nice value of the process that the call is about, and LeastNice the one that
	// RLIMIT_NICE allows: see setpriority(2) and getrlimit(2).
	Nice, LeastNice int
	// Realtime says that RLIMIT_RTPRIO allows a real-time priority. Policy is that of a struct
	// sched_attr, which sched_setattr(2) has in memory.
	Realtime bool
	Policy   uint32
}

// Needs is the capability that the call takes, or "".
func Needs(name string, args [6]uint64, c Caller) string {
	uids, gids := c.UIDs, c.GIDs
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
	case "setpriority":
		nice := max(int(int32(args[2])), -20)
		return is(args[0] == unix.PRIO_PROCESS && nice < c.Nice && nice < c.LeastNice, "sys_nice")
	case "sched_setscheduler":
		return is(c.realtime(uint32(args[1])), "sys_nice")
	case "sched_setattr":
		return is(c.realtime(c.Policy), "sys_nice")
	case "ioprio_set":
		const shift, realtime = 13, 1 // IOPRIO_CLASS_SHIFT, IOPRIO_CLASS_RT
		return is(args[2]>>shift == realtime, "sys_nice")
	}
	return ""
}

// realtime says that a scheduling policy is one that the caller may not choose; see sched(7).
func (c *Caller) realtime(policy uint32) bool {
	switch policy &^ unix.SCHED_RESET_ON_FORK {
	case unix.SCHED_FIFO, unix.SCHED_RR:
		return !c.Realtime
	case unix.SCHED_DEADLINE:
		return true
	}
	return false
}

// isDevice says that the mode is that of a device; one of 0 and 0, as overlayfs uses it, is made
// by no tool that people use.
func isDevice(mode uint64) bool {
	kind := mode & unix.S_IFMT
	return kind == unix.S_IFCHR || kind == unix.S_IFBLK
}
