package ns

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// Layer is a directory of the host that becomes part of an overlay.
type Layer struct {
	Path string
	// ID is what Path was when the plan was made. The child refuses any other
	// directory.
	ID ID
	// FD is the launcher's descriptor of it. The child uses that number for its
	// own descriptor of the directory. So the number in "/proc/self/fd/N", by
	// which overlayfs gets its layers, is known when the table is made.
	FD int
}

// open opens and checks the directory, moves the descriptor to the number FD, and
// returns the path by which overlayfs finds it. So overlayfs gets the directory
// that has been checked, and the name is not looked up twice.
func (l Layer) open(a *step.Asm) string {
	fd := a.Temp()
	a.Openat2(step.Fd(unix.AT_FDCWD), l.Path, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_DIRECTORY,
		unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_MAGICLINKS).To(fd)
	same(a, fd, l.ID.Major, l.ID.Minor, l.ID.Ino)
	a.Sys(unix.SYS_DUP3, fd.Arg(), step.Fd(l.FD), step.Int(unix.O_CLOEXEC))
	a.Sys(unix.SYS_CLOSE, fd.Arg())
	return fmt.Sprintf("/proc/self/fd/%d", l.FD)
}

// Overlay mounts an overlayfs: Lower shows through unchanged, and what is written
// goes to Upper or to a tmpfs that is gone when the sandbox ends. See the
// kernel's Documentation/filesystems/overlayfs.rst. It needs "userxattr", Linux
// 5.11. A tmpfs has such attributes since Linux 6.6; before that, a directory
// that was removed cannot be made again.
type Overlay struct {
	Path  string
	Lower Layer
	// Upper and Work are upperdir and workdir. Where their paths are empty, a
	// tmpfs of that Size (see Tmpfs) takes their place.
	Upper, Work Layer
	Size        string
	// Mode is the mode of the top directory where the tmpfs provides it. With Own
	// its owner and group are UID and GID.
	Mode     uint32
	Own      bool
	UID, GID uint32
	// Under are further lower directories below Lower, the upper ones first. It is a pointer
	// so that steps can be compared.
	Under *[]Layer
	// ReadOnly says that nothing can be changed: there is no upper directory.
	ReadOnly bool
	// Review says that changes are kept to be looked at. Without Upper such a step is only
	// printed.
	Review bool
	// NoExec and Below are as in Bind, Scratch as in FileOver.
	NoExec, Below bool
	Scratch       step.Slot
}

func (o Overlay) String() string {
	s := "overlay " + text.Quote(o.Lower.Path)
	if o.Path != o.Lower.Path {
		s += " at " + text.Quote(o.Path)
	}
	if o.Under != nil {
		for _, l := range *o.Under {
			s += " over " + text.Quote(l.Path)
		}
	}
	if o.ReadOnly {
		s += ", read-only"
	} else if o.Upper.Path != "" {
		s += ", changes go to " + text.Quote(o.Upper.Path)
	} else if o.Review {
		s += ", changes are kept for review"
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
		return "overlayfs refuses this file system, or a directory with mounts in it; users need Linux 5.11 (see dmesg)"
	case unix.EBUSY:
		return "another overlay uses its upper or work directory at this moment"
	case unix.ELOOP:
		return "its directories overlap, or one lies behind a symbolic link; name separate directories without links"
	}
	return replacedHint(err)
}

// Compile needs OpenProc before it, since overlayfs finds the layers through
// /proc. A tmpfs is attached at scratchMount, with upperdir "u" and workdir "w".
func (o Overlay) Compile(a *step.Asm) {
	const setFlag = 0 // FSCONFIG_SET_FLAG
	lower, upper, work := o.Lower.open(a), scratchMount+"/u", scratchMount+"/w"
	if o.Under != nil {
		for _, l := range *o.Under {
			lower += ":" + l.open(a)
		}
	}
	tmp := a.Temp()
	if o.ReadOnly {
		upper = ""
	} else if o.Upper.Path != "" {
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
		attachScratch(a, tmp, o.Scratch)
	}
	fd := a.Temp()
	flags := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
	if o.NoExec {
		flags |= unix.MOUNT_ATTR_NOEXEC
	}
	opts := []string{"lowerdir", lower}
	if o.ReadOnly {
		flags |= unix.MOUNT_ATTR_RDONLY
	} else {
		opts = append(opts, "upperdir", upper, "workdir", work)
	}
	fs := fsopen(a, "overlay", opts...)
	a.Sys(unix.SYS_FSCONFIG, fs.Arg(), step.Int(setFlag), a.Str("userxattr"), step.Int(0), step.Int(0))
	fscreate(a, fs, fd, flags)
	if o.Upper.Path == "" && !o.ReadOnly {
		detachScratch(a, tmp, o.Scratch)
	}
	attach(a, fd, o.Path, o.Below)
}
