package ns

import (
	"strconv"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Private cuts the tie of all mounts to the outside, recursively, so that
// what is done here is not done there.
type Private struct{}

func (Private) String() string { return "make every mount private" }

func (Private) Kind() string { return "make-mounts-private" }

func (Private) Hint(err error) string { return firstMountHint(err) }

// firstMountHint is how to fix that the new mount namespace cannot be changed.
func firstMountHint(err error) string {
	switch step.Errno(err) {
	case unix.EPERM, unix.EACCES:
		return mountDeniedHint()
	case unix.EINVAL:
		return "inside a chroot the mount tree has no root of its own; start sbx outside, or use pivot_root instead of chroot"
	}
	return ""
}

// Compile is one mount_setattr(2) on the root.
func (Private) Compile(a *step.Asm) {
	setattr(a, step.Fd(unix.AT_FDCWD), "/", 0, unix.MS_PRIVATE)
}

// Root makes the new root, an empty tmpfs, and attaches it over the old one,
// where nothing looks for it: path walks begin beneath it until Pivot.
type Root struct {
	// Extra is how many bytes of content it must have room for, beyond the
	// little that directories and links take.
	Extra int
}

func (Root) String() string { return "make an empty root" }

func (Root) Kind() string { return "mount-root" }

func (Root) Hint(err error) string { return firstMountHint(err) }

// Compile leaves the descriptor in step.SlotRoot.
func (r Root) Compile(a *step.Asm) {
	fsmount(a, step.SlotRoot, "tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, "mode", "0755",
		"size", strconv.Itoa(1<<20+r.Extra))
	a.Sys(unix.SYS_MOVE_MOUNT, step.SlotRoot.Arg(), a.Str(""), step.Fd(unix.AT_FDCWD), a.Str("/"),
		step.Int(unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// RootBind makes a directory of the outside the inside's root: mostly the
// outside's own, for policies that show everything. It is made before anything
// is mounted over the old root, which would be cloned with it. Beneath it comes
// an empty root for the covers of what is hidden.
type RootBind struct{ Bind }

func (RootBind) Kind() string { return "bind-mount-root" }

func (RootBind) Hint(err error) string { return replacedHint(err) }

// Compile leaves the tree in step.SlotRoot, the empty root in step.SlotCover.
func (r RootBind) Compile(a *step.Asm) {
	a.Sys(unix.SYS_OPEN_TREE, step.Fd(unix.AT_FDCWD), a.Str(r.Source),
		step.Int(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE|unix.AT_SYMLINK_NOFOLLOW)).To(step.SlotRoot)
	same(a, step.SlotRoot, r.Major, r.Minor, r.Ino)
	setattr(a, step.SlotRoot.Arg(), "", r.attrs(), 0)
	fsmount(a, step.SlotCover, "tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, "mode", "0755", "size", "1m")
	for _, tree := range [...]step.Slot{step.SlotCover, step.SlotRoot} {
		a.Sys(unix.SYS_MOVE_MOUNT, tree.Arg(), a.Str(""), step.Fd(unix.AT_FDCWD), a.Str("/"),
			step.Int(unix.MOVE_MOUNT_F_EMPTY_PATH))
	}
}

// Pivot makes the new root the root: pivot_root(2) rather than chroot(2),
// which a descriptor of the outside would undo. The old root lies over it then
// until Detach: a path from "/" does not lead there, one with a ".." that
// arrives at the root does. So nobody resolves such a path before Detach.
type Pivot struct{}

func (Pivot) String() string { return "change to the new root" }

func (Pivot) Kind() string { return "pivot-root" }

func (Pivot) Hint(err error) string {
	switch step.Errno(err) {
	case unix.EINVAL, unix.EPERM:
		return "the root is an initramfs or a chroot here, which pivot_root cannot change; switch to a real root first"
	}
	return ""
}

// Compile stacks the old root on the new.
func (Pivot) Compile(a *step.Asm) {
	dot := a.Str(".")
	a.Sys(unix.SYS_FCHDIR, step.SlotRoot.Arg())
	a.Sys(unix.SYS_PIVOT_ROOT, dot, dot)
}

// Detach takes the old root away. It waits for all processors to have
// forgotten it, so it is left to the init while the target prepares.
type Detach struct {
	// Covers says that the file system with the covers lies over the old root,
	// where RootBind put it, and goes first.
	Covers bool
}

func (Detach) String() string {
	return "unmount the old root and verify that nothing lies over the new"
}

func (Detach) Kind() string { return "unmount-old-root" }

func (Detach) Hint(err error) string {
	if step.Mismatched(err) {
		return "something is mounted over the root that sbx was started in; enter a root with nothing over it"
	}
	return ""
}

// Compile unmounts what lies over the current directory, the new root, and
// makes sure that ".." ends there: whatever had been mounted over the caller's
// root would still be over ours.
func (d Detach) Compile(a *step.Asm) {
	const idAt = 144 // struct statx
	if d.Covers {
		a.Sys(unix.SYS_UMOUNT2, a.Str("."), step.Int(unix.MNT_DETACH))
	}
	a.Sys(unix.SYS_UMOUNT2, a.Str("."), step.Int(unix.MNT_DETACH))
	a.Sys(unix.SYS_CHDIR, a.Str("/"))
	here, up := a.Space(256), a.Space(256)
	stat := func(path string, buf step.Arg) {
		a.Sys(unix.SYS_STATX, step.Fd(unix.AT_FDCWD), a.Str(path), step.Int(unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT),
			step.Int(unix.STATX_MNT_ID), buf)
	}
	stat(".", here)
	stat("..", up)
	a.Same(here.At(idAt), up.At(idAt), 8)
}
