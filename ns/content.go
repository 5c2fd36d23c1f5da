package ns

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// scratchMount is the directory where a new file system is attached for the few
// calls that need a path into it. It lies on the scratch tmpfs, which no other
// process sees, and is removed again before the step ends.
const scratchMount = ".scratch"

// attachScratch attaches the detached file system fs at scratchMount, below
// scratch. It makes scratch the current directory, because umount2(2) takes no
// descriptor. No later step depends on the current directory: the sources of
// binds are absolute paths.
func attachScratch(a *step.Asm, fs, scratch step.Slot) {
	a.Sys(unix.SYS_FCHDIR, scratch.Arg())
	a.Sys(unix.SYS_MKDIRAT, scratch.Arg(), a.Str(scratchMount), step.Int(0o700))
	a.Sys(unix.SYS_MOVE_MOUNT, fs.Arg(), a.Str(""), scratch.Arg(), a.Str(scratchMount),
		step.Int(unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// detachScratch unmounts what attachScratch attached. Mounts that were cloned
// from it stay.
func detachScratch(a *step.Asm, fs, scratch step.Slot) {
	a.Sys(unix.SYS_UMOUNT2, a.Str(scratchMount), step.Int(unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW))
	a.Sys(unix.SYS_UNLINKAT, scratch.Arg(), a.Str(scratchMount), step.Int(unix.AT_REMOVEDIR))
	a.Sys(unix.SYS_CLOSE, fs.Arg())
}

// WriteFile makes a file with that text on the sandbox's root tmpfs, which is
// remounted read-only later.
type WriteFile struct{ Path, Text string }

func (c WriteFile) String() string {
	return fmt.Sprintf("make file %s of %d bytes", text.Quote(c.Path), len(c.Text))
}

func (WriteFile) Kind() string { return "write-file" }

// Compile creates and fills the file.
func (c WriteFile) Compile(a *step.Asm) { fill(a, step.SlotRoot, rel(c.Path), c.Text) }

func fill(a *step.Asm, dir step.Slot, name, text string) {
	fd := a.Temp()
	a.Sys(unix.SYS_OPENAT, dir.Arg(), a.Str(name),
		step.Int(unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC), step.Int(0o444)).To(fd)
	a.Sys(unix.SYS_WRITE, fd.Arg(), a.Bytes([]byte(text)), step.Int(len(text))).Expect(len(text))
	a.Sys(unix.SYS_CLOSE, fd.Arg())
}

// FileOver mounts a file with that text over the file at Path. That is a file of the
// host, or an empty one that sbx made. It is read-only, and all may read it.
type FileOver struct {
	Path, Text string
	// Below and ID are as in Mask.
	Below bool
	ID    ID
	// Scratch is the slot of the scratch tmpfs: the root tmpfs, or
	// step.SlotScratch where the root is a directory of the host's.
	Scratch step.Slot
	// Own says that it has the mode Mode, and Writable that it can be written and executed;
	// then Size is as in Tmpfs.
	Own, Writable bool
	Mode          uint32
	Size          string
}

func (o FileOver) String() string {
	s := fmt.Sprintf("mount a file of %d bytes over %s", len(o.Text), text.Quote(o.Path))
	if o.Own {
		s += fmt.Sprintf(", mode %04o", o.Mode)
	}
	if o.Writable {
		s += ", writable"
	}
	return s
}

func (FileOver) Kind() string { return "mount-file" }

func (o FileOver) Hint(err error) string {
	if step.Errno(err) == unix.ELOOP {
		return linkInsideHint(o.Path)
	}
	return replacedHint(err)
}

// Compile writes the file to a new tmpfs, whose size is limited to what the file
// needs, and clones a mount of this one file from it.
func (o FileOver) Compile(a *step.Asm) {
	const name = "file"
	fs, tree := a.Temp(), a.Temp()
	attrs, opts := uint64(inert), []string{"mode", "0755", "size", fmt.Sprint(len(o.Text) + 1<<16)}
	if o.Writable {
		attrs = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
		if opts = opts[:2]; o.Size != "" {
			opts = append(opts, "size", o.Size)
		}
	}
	fsmount(a, fs, "tmpfs", attrs&^unix.MOUNT_ATTR_RDONLY, opts...)
	fill(a, fs, name, o.Text)
	if o.Own {
		a.Sys(unix.SYS_FCHMODAT, fs.Arg(), a.Str(name), step.Int(o.Mode))
	}
	attachScratch(a, fs, o.Scratch)
	a.Sys(unix.SYS_OPEN_TREE, o.Scratch.Arg(), a.Str(scratchMount+"/"+name),
		step.Int(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)).To(tree)
	setattr(a, tree.Arg(), "", attrs, 0)
	detachScratch(a, fs, o.Scratch)
	if o.ID == (ID{}) {
		attach(a, tree, o.Path, o.Below)
		return
	}
	to := a.Temp()
	resolve(a, to, o.Path)
	same(a, to, o.ID.Major, o.ID.Minor, o.ID.Ino)
	onto(a, tree, to)
}

// Pin mounts a directory onto itself. Its files and its mount flags stay as they
// are, but no process inside can rename the directory, which would move what is
// mounted further below.
type Pin struct {
	Path string
	// Below is as in Bind.
	Below bool
}

func (p Pin) String() string { return "keep " + text.Quote(p.Path) + " from being renamed" }

func (Pin) Kind() string { return "pin-directory" }

// Compile clones what is mounted there and mounts it over itself. The clone is
// recursive, because otherwise it would hide what is already mounted below.
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
