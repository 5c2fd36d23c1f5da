package ns

import (
	"fmt"

	"sbx/internal/text"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Layer is a directory of the outside that becomes part of an overlay.
type Layer struct {
	Path string
	// ID is what Path was when the plan was made; the child refuses anything
	// else in its place.
	ID ID
	// FD is the launcher's descriptor of it. The child has that number to
	// itself, and puts its own descriptor there: so the number in
	// "/proc/self/fd/N", by which overlayfs is told its layers, is known when
	// the table is made.
	FD int
}

// open leaves what the layer is for overlayfs under the layer's number: the
// very directory that has been checked, so that no name is looked up twice.
func (l Layer) open(a *step.Asm) string {
	fd := a.Temp()
	a.Openat2(step.Fd(unix.AT_FDCWD), l.Path, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_DIRECTORY,
		unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_MAGICLINKS).To(fd)
	same(a, fd, l.ID.Major, l.ID.Minor, l.ID.Ino)
	a.Sys(unix.SYS_DUP3, fd.Arg(), step.Fd(l.FD), step.Int(unix.O_CLOEXEC))
	a.Sys(unix.SYS_CLOSE, fd.Arg())
	return fmt.Sprintf("/proc/self/fd/%d", l.FD)
}

// Overlay mounts an overlayfs: Lower as it is, and over it what is written,
// which goes to Upper or to a tmpfs that is gone afterwards. See the kernel's
// Documentation/filesystems/overlayfs.rst; "userxattr" is Linux 5.11, a tmpfs
// that has such attributes 6.6: below that a directory that was removed cannot
// be made again.
type Overlay struct {
	Path  string
	Lower Layer
	// Upper and Work are upperdir and workdir; with an empty path there are
	// none, and a tmpfs of that Size (see Tmpfs) takes their place.
	Upper, Work Layer
	Size        string
	// Mode is that of the top directory, and with Own its owner and group are
	// UID and GID, when the tmpfs provides it.
	Mode     uint32
	Own      bool
	UID, GID uint32
	// NoExec and Below are as in Bind, Cover as in Over.
	NoExec, Below bool
	Cover         step.Slot
}

func (o Overlay) String() string {
	s := "overlay " + text.Quote(o.Lower.Path)
	if o.Path != o.Lower.Path {
		s += " at " + text.Quote(o.Path)
	}
	if o.Upper.Path != "" {
		s += ", changes go to " + text.Quote(o.Upper.Path)
	} else {
		s += ", changes are thrown away"
		if o.Size != "" {
			s += ", size " + o.Size
		}
	}
	if o.NoExec {
		s += ", no exec"
	}
	return s
}

func (Overlay) Kind() string { return "mount-overlay" }

func (Overlay) Hint(err error) string {
	switch step.Errno(err) {
	case unix.ENODEV:
		return "this kernel has no overlayfs: modprobe overlay, as root"
	case unix.EINVAL:
		return "overlayfs takes no such file system, nor what has mounts in it; for users it takes Linux 5.11 (dmesg says more)"
	case unix.EBUSY:
		return "another overlay uses its upper or work directory at this moment"
	case unix.ELOOP:
		return "one of its directories is, or lies in, another or in a symbolic link; name three apart from each other"
	}
	return replacedHint(err)
}

// Compile needs SlotProc's check, for the layers are named by /proc. With a
// tmpfs, that is staged for the names "u" and "w" in it.
func (o Overlay) Compile(a *step.Asm) {
	const setFlag = 0 // FSCONFIG_SET_FLAG
	lower, upper, work := o.Lower.open(a), stage+"/u", stage+"/w"
	tmp := a.Temp()
	if o.Upper.Path != "" {
		upper, work = o.Upper.open(a), o.Work.open(a)
	} else {
		opts := []string{"mode", "0700"}
		if o.Size != "" {
			opts = append(opts, "size", o.Size)
		}
		fsmount(a, tmp, "tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, opts...)
		a.Sys(unix.SYS_MKDIRAT, tmp.Arg(), a.Str("u"), step.Int(o.Mode))
		a.Sys(unix.SYS_MKDIRAT, tmp.Arg(), a.Str("w"), step.Int(0o700))
		if o.Own {
			a.Sys(unix.SYS_FCHOWNAT, tmp.Arg(), a.Str("u"), step.Int(o.UID), step.Int(o.GID), step.Int(unix.AT_SYMLINK_NOFOLLOW))
		}
		raise(a, tmp, o.Cover)
	}
	fd := a.Temp()
	flags := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
	if o.NoExec {
		flags |= unix.MOUNT_ATTR_NOEXEC
	}
	fs := fsopen(a, "overlay", "lowerdir", lower, "upperdir", upper, "workdir", work)
	a.Sys(unix.SYS_FSCONFIG, fs.Arg(), step.Int(setFlag), a.Str("userxattr"), step.Int(0), step.Int(0))
	fscreate(a, fs, fd, flags)
	if o.Upper.Path == "" {
		strike(a, tmp, o.Cover)
	}
	attach(a, fd, o.Path, o.Below)
}
