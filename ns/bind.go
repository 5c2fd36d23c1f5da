package ns

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// Bind mounts a file or directory of the host inside the sandbox, with all that
// is mounted below it.
type Bind struct {
	Source, Dest string
	// Via is the symbolic link that the policy names, where Source is what it
	// leads to and Dest is not the link itself.
	Via string
	// Major, Minor and Ino are what Source was when the plan was made. The
	// child refuses any other file.
	Major, Minor uint32
	Ino          uint64
	// Write allows writing. Without it the bind and all below it is read-only.
	Write bool
	// Device keeps device files usable. Only the sandbox's own /dev has it. They can be
	// read and written on a read-only mount too. What cannot be changed there is their
	// mode, owner and times.
	Device bool
	// NoExec forbids execution. Below says that Dest lies in a directory of the
	// host, which other processes may be changing.
	NoExec, Below bool
	// Copy says that Source is a copy of a file, or becomes one, that is kept for review.
	Copy bool
	// Over says that Dest is Source itself, seen through the directory that it lies in.
	// The child refuses to mount over any other file: that one would keep the name
	// under which Source can then be reached without this mount.
	Over bool
}

func (b Bind) String() string {
	s := "bind " + text.Quote(b.Source)
	if b.Via != "" {
		s += ", which " + text.Quote(b.Via) + " leads to,"
	}
	if b.Dest != b.Source {
		s += " at " + text.Quote(b.Dest)
	}
	switch {
	case b.Device:
		s += " as a device"
	case b.Write:
		s += " writable"
		if b.Copy {
			s += ", a copy of it, which is kept for review"
		}
	default:
		s += " read-only"
	}
	if b.NoExec && !b.Device {
		s += ", no exec"
	}
	return s
}

// attrs are the mount flags. Set-id programs never work, and device files work
// only in the sandbox's own /dev.
func (b Bind) attrs() uint64 {
	at := uint64(unix.MOUNT_ATTR_NOSUID)
	if !b.Device {
		at |= unix.MOUNT_ATTR_NODEV
	}
	if !b.Write {
		at |= unix.MOUNT_ATTR_RDONLY
	}
	if b.NoExec || b.Device {
		at |= unix.MOUNT_ATTR_NOEXEC
	}
	return at
}

func (Bind) Kind() string { return "bind-mount" }

func (b Bind) Hint(err error) string {
	switch errno := step.Errno(err); {
	case errno == unix.ELOOP:
		return linkInsideHint(b.Dest)
	case errno == unix.ENOENT && b.Below:
		return fmt.Sprintf("%s has no mount point in the sandbox; make it on the host first", text.Quote(b.Dest))
	}
	return replacedHint(err)
}

// linkInsideHint is how to fix a path that has a symbolic link in it.
func linkInsideHint(path string) string {
	return "a part of " + text.Quote(path) + " is a symbolic link inside; name the path that it leads to"
}

// replacedHint is how to fix that a file is no longer the planned one.
func replacedHint(err error) string {
	if step.Mismatched(err) {
		return "the file was replaced while sbx was starting; try again"
	}
	return ""
}

// Compile clones the mount tree detached, checks that it is the planned one, sets
// its flags, and only then attaches it.
func (b Bind) Compile(a *step.Asm) {
	tree := a.Temp()
	a.Sys(unix.SYS_OPEN_TREE, step.Fd(unix.AT_FDCWD), a.Str(b.Source),
		step.Int(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE|unix.AT_SYMLINK_NOFOLLOW)).To(tree)
	same(a, tree, b.Major, b.Minor, b.Ino)
	setattr(a, tree.Arg(), "", b.attrs(), 0)
	if !b.Over {
		attach(a, tree, b.Dest, b.Below)
		return
	}
	to := a.Temp()
	resolve(a, to, b.Dest)
	same(a, to, b.Major, b.Minor, b.Ino)
	onto(a, tree, to)
}
