package plan

import (
	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/sandbox/internal/host"
)

// peels are the calls that take a mount off, move it, or put another over it, with
// arguments that a filter could tell apart.
var peels = [...]struct {
	name string
	nr   uint32
	args [5]uint64
}{
	{"umount2", unix.SYS_UMOUNT2, [5]uint64{}},
	{"umount2", unix.SYS_UMOUNT2, [5]uint64{1: unix.MNT_DETACH}},
	{"mount", unix.SYS_MOUNT, [5]uint64{}},
	{"mount", unix.SYS_MOUNT, [5]uint64{3: unix.MS_MOVE}},
	{"mount", unix.SYS_MOUNT, [5]uint64{3: unix.MS_BIND}},
	{"mount", unix.SYS_MOUNT, [5]uint64{3: unix.MS_BIND | unix.MS_REMOUNT}},
	{"move_mount", unix.SYS_MOVE_MOUNT, [5]uint64{}},
	{"open_tree", unix.SYS_OPEN_TREE, [5]uint64{2: unix.OPEN_TREE_CLONE}},
	{"open_tree_attr", openTreeAttr, [5]uint64{2: unix.OPEN_TREE_CLONE}},
	{"mount_setattr", unix.SYS_MOUNT_SETATTR, [5]uint64{}},
	{"pivot_root", unix.SYS_PIVOT_ROOT, [5]uint64{}},
}

// openTreeAttr is the number of open_tree_attr(2), Linux 6.15, on all machines.
const openTreeAttr = 467

// refusePeeling refuses a target that could take off what covers the files that
// the policy hides, or what is mounted read-only: one that keeps CAP_SYS_ADMIN
// over its mounts and may use it. In a Landlock domain nothing can be mounted or
// taken off. A sandbox that the target makes in itself has the mounts locked.
func (d *decisions) refusePeeling(asked filters) error {
	if d.tree == nil || d.keep&caps.Admin == 0 || len(d.landlock) > 0 {
		return nil
	}
	for _, c := range peels {
		if asked.allow(c.nr, c.args[:]...) {
			return &host.NeedError{
				Reason: host.Conflict,
				What: "keep sys_admin and allow " + c.name +
					" without a Landlock domain: the target could take the policy's mounts off",
				Fix: "say landlock = \"auto\" in the policy's [process] and take nest out, " +
					"or deny @mount, open_tree and open_tree_attr in its [seccomp]",
			}
		}
	}
	return nil
}
