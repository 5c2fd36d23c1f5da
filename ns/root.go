package ns

import (
	"strconv"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// MakePrivate makes all mounts private, recursively, so that mounting and
// unmounting here does not reach the host's mount namespace.
type MakePrivate struct{}

func (MakePrivate) String() string { return "make every mount private" }

func (MakePrivate) Kind() string { return "make-mounts-private" }

func (MakePrivate) Hint(err error) string { return firstMountHint(err) }

// firstMountHint is how to fix that the new mount namespace cannot be changed.
func firstMountHint(err error) string {
	switch step.Errno(err) {
	case unix.EPERM, unix.EACCES:
		return mountDeniedHint()
	case unix.EINVAL:
		return "inside a chroot the mount tree has no root of its own; " +
			"start sbx outside the chroot, or use pivot_root instead"
	}
	return ""
}

// Compile is one mount_setattr(2) on the root.
func (MakePrivate) Compile(a *step.Asm) {
	setattr(a, step.Fd(unix.AT_FDCWD), "/", 0, unix.MS_PRIVATE)
}

// Root makes the new root, an empty tmpfs, and attaches it over the old one.
// Path walks still begin beneath it, at the old root, until Pivot.
type Root struct {
	// Extra is how many bytes of file content it must have room for, beyond the
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

// RootBind makes a directory of the host the root inside: mostly the host's own
// root, for policies that show everything. It comes before anything is mounted
// over the old root, because that would be cloned too. An empty tmpfs, attached
// beneath it, holds the masks of hidden paths.
type RootBind struct{ Bind }

func (RootBind) Kind() string { return "bind-mount-root" }

func (RootBind) Hint(err error) string { return replacedHint(err) }

// Compile leaves the tree in step.SlotRoot, the empty tmpfs in step.SlotScratch.
func (r RootBind) Compile(a *step.Asm) {
	a.Sys(unix.SYS_OPEN_TREE, step.Fd(unix.AT_FDCWD), a.Str(r.Source),
		step.Int(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE|unix.AT_SYMLINK_NOFOLLOW)).To(step.SlotRoot)
	same(a, step.SlotRoot, r.Major, r.Minor, r.Ino)
	setattr(a, step.SlotRoot.Arg(), "", r.attrs(), 0)
	fsmount(a, step.SlotScratch, "tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, "mode", "0755", "size", "1m")
	for _, tree := range [...]step.Slot{step.SlotScratch, step.SlotRoot} {
		a.Sys(unix.SYS_MOVE_MOUNT, tree.Arg(), a.Str(""), step.Fd(unix.AT_FDCWD), a.Str("/"),
			step.Int(unix.MOVE_MOUNT_F_EMPTY_PATH))
	}
}

// Pivot makes the new root the root. It uses pivot_root(2) rather than chroot(2),
// because a descriptor of a directory of the host leads out of a chroot. Until
// Detach the old root lies over the new one. A path from "/" does not lead to
// the old root, but a path with a ".." that arrives at the root does. So no such
// path is resolved before Detach.
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

// Detach unmounts the old root. That waits until no processor uses it any more,
// so the init does it while the target prepares.
type Detach struct {
	// Scratch says that the scratch tmpfs lies over the old root, where RootBind
	// attached it, and is unmounted first.
	Scratch bool
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

// Compile unmounts what lies over the current directory, the new root, and then
// checks that ".." does not lead out of it: a file system that was mounted over
// the caller's root would now still lie over the new one.
func (d Detach) Compile(a *step.Asm) {
	const idAt = 144 // struct statx
	if d.Scratch {
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
