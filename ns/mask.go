package ns

import (
	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// A hidden path is masked: an empty file or directory without any mode bits is
// mounted over it, read-only. No user, not even root, finds anything there to
// read, list, write, chmod or rename. The two masks lie on the scratch tmpfs;
// their names are removed once all hidden paths are masked.
const (
	maskFile = "/.mask-file"
	maskDir  = "/.mask-dir"
)

// inert are the flags of a mount that can only be looked at.
const inert = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC

// MakeMasks makes the empty file and directory that Mask mounts.
type MakeMasks struct{ Scratch step.Slot }

func (MakeMasks) String() string { return "make masks for hidden paths" }

func (MakeMasks) Kind() string { return "make-masks" }

// Compile makes both.
func (m MakeMasks) Compile(a *step.Asm) {
	a.Sys(unix.SYS_MKNODAT, m.Scratch.Arg(), a.Str(rel(maskFile)), step.Int(unix.S_IFREG), step.Int(0))
	a.Sys(unix.SYS_MKDIRAT, m.Scratch.Arg(), a.Str(rel(maskDir)), step.Int(0))
}

// ID identifies a file by its device and inode number.
type ID struct {
	Major, Minor uint32
	Ino          uint64
}

// Mask hides one path inside the sandbox.
type Mask struct {
	Path string
	// Dir says that Path is a directory.
	Dir bool
	// Below is as in Bind.
	Below bool
	// ID is what Path was when the plan was made. The child refuses to mask
	// anything else. The zero value matches any file.
	ID ID
	// Maybe says that Path may be missing. Nothing is masked then.
	Maybe bool
	// Why is why a search found it, or "".
	Why string
	// Scratch is the slot of the tmpfs with the masks.
	Scratch step.Slot
}

func (m Mask) String() string {
	if m.Why != "" {
		return "hide " + text.Quote(m.Path) + ": " + m.Why
	}
	return "hide " + text.Quote(m.Path)
}

func (Mask) Kind() string { return "hide" }

func (m Mask) Hint(err error) string {
	if step.Errno(err) == unix.ELOOP {
		return "a part of " + text.Quote(m.Path) + " is a symbolic link; hide the path that it leads to"
	}
	return replacedHint(err)
}

// Compile mounts a clone of the mask over the path.
func (m Mask) Compile(a *step.Asm) {
	mask := maskFile
	if m.Dir {
		mask = maskDir
	}
	tree := a.Temp()
	a.Sys(unix.SYS_OPEN_TREE, m.Scratch.Arg(), a.Str(rel(mask)),
		step.Int(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)).To(tree)
	setattr(a, tree.Arg(), "", inert, 0)
	if m.Maybe {
		// If the path is gone, or is no longer reached through directories alone,
		// there is no descriptor, and the calls below fail with EBADF.
		to := a.Temp()
		resolve(a, to, m.Path).Or(unix.ENOENT).Or(unix.ENOTDIR).Or(unix.ELOOP)
		a.Sys(unix.SYS_MOVE_MOUNT, tree.Arg(), a.Str(""), to.Arg(), a.Str(""),
			step.Int(unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)).Or(unix.EBADF)
		a.Sys(unix.SYS_CLOSE, to.Arg()).Or(unix.EBADF)
		a.Sys(unix.SYS_CLOSE, tree.Arg())
		return
	}
	if m.ID == (ID{}) {
		attach(a, tree, m.Path, m.Below)
		return
	}
	to := a.Temp()
	resolve(a, to, m.Path)
	same(a, to, m.ID.Major, m.ID.Minor, m.ID.Ino)
	onto(a, tree, to)
}

// DropMaskNames removes the names of the two masks. The mounts made from them
// stay.
type DropMaskNames struct{ Scratch step.Slot }

func (DropMaskNames) String() string { return "remove the masks' names" }

func (DropMaskNames) Kind() string { return "unlink-masks" }

// Compile unlinks both.
func (d DropMaskNames) Compile(a *step.Asm) {
	a.Sys(unix.SYS_UNLINKAT, d.Scratch.Arg(), a.Str(rel(maskFile)), step.Int(0))
	a.Sys(unix.SYS_UNLINKAT, d.Scratch.Arg(), a.Str(rel(maskDir)), step.Int(unix.AT_REMOVEDIR))
}
