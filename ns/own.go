package ns

import (
	"fmt"

	"sbx/internal/text"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// stage is where a file system of ours is attached for the few calls that
// need a path into it. It lies on our own root, which nobody else sees, and is
// gone again when the step ends.
const stage = ".stage"

// raise attaches a detached file system at the stage, below cover, and makes
// cover the current directory, since umount2(2) takes no descriptor. All
// sources of the outside are absolute paths, so nobody minds.
func raise(a *step.Asm, fs step.Slot, cover step.Slot) {
	a.Sys(unix.SYS_FCHDIR, cover.Arg())
	a.Sys(unix.SYS_MKDIRAT, cover.Arg(), a.Str(stage), step.Int(0o700))
	a.Sys(unix.SYS_MOVE_MOUNT, fs.Arg(), a.Str(""), cover.Arg(), a.Str(stage), step.Int(unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// strike takes away what raise attached; mounts made from it stay.
func strike(a *step.Asm, fs step.Slot, cover step.Slot) {
	a.Sys(unix.SYS_UMOUNT2, a.Str(stage), step.Int(unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW))
	a.Sys(unix.SYS_UNLINKAT, cover.Arg(), a.Str(stage), step.Int(unix.AT_REMOVEDIR))
	a.Sys(unix.SYS_CLOSE, fs.Arg())
}

// Content makes a file with that text on our own root, which is read-only in
// the end.
type Content struct{ Path, Text string }

func (c Content) String() string {
	return fmt.Sprintf("make file %s of %d bytes", text.Quote(c.Path), len(c.Text))
}

func (Content) Kind() string { return "write-file" }

// Compile makes and fills it.
func (c Content) Compile(a *step.Asm) { fill(a, step.SlotRoot, rel(c.Path), c.Text) }

func fill(a *step.Asm, dir step.Slot, name, text string) {
	fd := a.Temp()
	a.Sys(unix.SYS_OPENAT, dir.Arg(), a.Str(name),
		step.Int(unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC), step.Int(0o444)).To(fd)
	a.Sys(unix.SYS_WRITE, fd.Arg(), a.Bytes([]byte(text)), step.Int(len(text))).Expect(len(text))
	a.Sys(unix.SYS_CLOSE, fd.Arg())
}

// Over mounts a file with that text, read-only, over the file at Path: one of
// the outside's, or one of ours in a tmpfs that the target may write to.
type Over struct {
	Path, Text string
	// Below and ID are as in Hide.
	Below bool
	ID    ID
	// Cover is the slot of our own root, whether it is the inside's or not.
	Cover step.Slot
}

func (o Over) String() string {
	return fmt.Sprintf("mount a file of %d bytes over %s", len(o.Text), text.Quote(o.Path))
}

func (Over) Kind() string { return "mount-file" }

func (o Over) Hint(err error) string {
	if step.Errno(err) == unix.ELOOP {
		return linkInsideHint(o.Path)
	}
	return replacedHint(err)
}

// Compile gives the file a file system of its own, so that it has a name and
// its size is accounted for, and takes a mount of the file alone from it.
func (o Over) Compile(a *step.Asm) {
	const name = "file"
	fs, tree := a.Temp(), a.Temp()
	fsmount(a, fs, "tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC,
		"mode", "0755", "size", fmt.Sprint(len(o.Text)+1<<16))
	fill(a, fs, name, o.Text)
	raise(a, fs, o.Cover)
	a.Sys(unix.SYS_OPEN_TREE, o.Cover.Arg(), a.Str(stage+"/"+name),
		step.Int(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)).To(tree)
	setattr(a, tree.Arg(), "", unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC, 0)
	strike(a, fs, o.Cover)
	if o.ID == (ID{}) {
		attach(a, tree, o.Path, o.Below)
		return
	}
	to := a.Temp()
	resolve(a, to, o.Path)
	same(a, to, o.ID.Major, o.ID.Minor, o.ID.Ino)
	onto(a, tree, to)
}

// Pin mounts a directory onto itself. It stays as it is, with all that its mount
// allows, but nobody inside can rename it, and with it what is mounted further
// below.
type Pin struct {
	Path string
	// Below is as in Bind.
	Below bool
}

func (p Pin) String() string { return "keep " + text.Quote(p.Path) + " from being renamed" }

func (Pin) Kind() string { return "pin-directory" }

// Compile clones what is mounted there, with all that is mounted below by now,
// which would be covered otherwise, and puts it over itself.
func (p Pin) Compile(a *step.Asm) {
	const flags = unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_RECURSIVE
	tree := a.Temp()
	if !p.Below {
		a.Sys(unix.SYS_OPEN_TREE, step.SlotRoot.Arg(), a.Str(rel(p.Path)), step.Int(flags|unix.AT_SYMLINK_NOFOLLOW)).To(tree)
		attach(a, tree, p.Path, false)
		return
	}
	to := a.Temp()
	resolve(a, to, p.Path)
	a.Sys(unix.SYS_OPEN_TREE, to.Arg(), a.Str(""), step.Int(flags|unix.AT_EMPTY_PATH)).To(tree)
	onto(a, tree, to)
}
