package ns

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// All mounts are made by the mount API of Linux 5.2 (fsopen(2), open_tree(2),
// move_mount(2)) and mount_setattr(2) of 5.12. A mount gets its flags before
// it is attached, so it is never visible with too few restrictions.
//
// Paths inside the sandbox are given without their leading slash and resolved
// from step.SlotRoot. A path is resolved without openat2(2) only where the plan
// knows that it consists of directories that sbx made itself, on a tmpfs that no
// other process can see. Anything below a directory of the host goes through
// openat2(2).

// Dir makes a directory on a tmpfs of the sandbox.
type Dir struct {
	Path string
	Mode uint32
	// Owner is the user that the directory is given to, 0: nobody.
	Owner int
}

func (d Dir) String() string {
	s := "make directory " + text.Quote(d.Path)
	if d.Mode != 0o755 {
		s += fmt.Sprintf(", mode %04o", d.Mode)
	}
	if d.Owner != 0 {
		s += fmt.Sprintf(", of user %d", d.Owner)
	}
	return s
}

func (Dir) Kind() string { return "mkdir" }

func (d Dir) Hint(err error) string { return ownerHint(d.Owner, err) }

// Compile is one mkdirat(2), and fchownat(2) for another owner. ClearUmask has
// cleared the umask by then.
func (d Dir) Compile(a *step.Asm) {
	a.Sys(unix.SYS_MKDIRAT, step.SlotRoot.Arg(), a.Str(rel(d.Path)), step.Int(d.Mode))
	if d.Owner != 0 {
		a.Sys(unix.SYS_FCHOWNAT, step.SlotRoot.Arg(), a.Str(rel(d.Path)), step.Int(d.Owner), step.Fd(-1),
			step.Int(unix.AT_SYMLINK_NOFOLLOW))
	}
}

// File makes an empty file on a tmpfs of the sandbox, as a mount point.
type File struct{ Path string }

func (f File) String() string { return fmt.Sprintf("make empty file %s", text.Quote(f.Path)) }

func (File) Kind() string { return "create-file" }

// Compile is one mknodat(2), which needs no descriptor.
func (f File) Compile(a *step.Asm) {
	a.Sys(unix.SYS_MKNODAT, step.SlotRoot.Arg(), a.Str(rel(f.Path)), step.Int(unix.S_IFREG|0o444), step.Int(0))
}

// Symlink makes a symbolic link on a tmpfs of the sandbox.
type Symlink struct{ Target, Path string }

func (l Symlink) String() string {
	return fmt.Sprintf("make symlink %s to %s", text.Quote(l.Path), text.Quote(l.Target))
}

func (Symlink) Kind() string { return "symlink" }

// Compile is one symlinkat(2).
func (l Symlink) Compile(a *step.Asm) {
	a.Sys(unix.SYS_SYMLINKAT, a.Str(l.Target), step.SlotRoot.Arg(), a.Str(rel(l.Path)))
}

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

// Tmpfs mounts an empty writable directory that is gone when the sandbox ends.
type Tmpfs struct {
	Path string
	Mode uint32
	// Owner is the user that its root directory belongs to, 0: the caller.
	Owner int
	// Size is tmpfs(5)'s size option. Empty means the kernel's default, half of
	// the memory.
	Size string
	// NoExec forbids execution. ReadOnly forbids writing: the directory stays
	// empty.
	NoExec, ReadOnly bool
	Below            bool
}

func (t Tmpfs) String() string {
	s := fmt.Sprintf("mount a private tmpfs at %s, mode %04o", text.Quote(t.Path), t.Mode)
	if t.ReadOnly {
		s = fmt.Sprintf("mount an empty directory at %s, mode %04o", text.Quote(t.Path), t.Mode)
	}
	if t.Size != "" {
		s += ", size " + t.Size
	}
	if t.Owner != 0 {
		s += fmt.Sprintf(", of user %d", t.Owner)
	}
	if t.NoExec {
		s += ", no exec"
	}
	return s
}

func (Tmpfs) Kind() string { return "mount-tmpfs" }

func (t Tmpfs) Hint(err error) string {
	switch step.Errno(err) {
	case unix.ELOOP:
		if t.Below {
			return "a symbolic link on the way there is not followed; name what it leads to"
		}
	case unix.ENOENT, unix.ENOTDIR:
		if t.Below {
			return text.Quote(t.Path) + " lies in a directory of the host, where sbx makes nothing; " +
				"make the directory there first"
		}
	}
	return ownerHint(t.Owner, err)
}

// Compile makes the file system and attaches it.
func (t Tmpfs) Compile(a *step.Asm) {
	opts := []string{"mode", fmt.Sprintf("%04o", t.Mode)}
	if t.Size != "" {
		opts = append(opts, "size", t.Size)
	}
	if t.Owner != 0 {
		opts = append(opts, "uid", strconv.Itoa(t.Owner))
	}
	attrs := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
	if t.NoExec {
		attrs |= unix.MOUNT_ATTR_NOEXEC
	}
	if t.ReadOnly {
		attrs |= unix.MOUNT_ATTR_RDONLY
	}
	fd := a.Temp()
	fsmount(a, fd, "tmpfs", attrs, opts...)
	attach(a, fd, t.Path, t.Below)
}

// Proc mounts the new pid namespace's own /proc. It is read-only as a whole;
// container runtimes protect single paths in it instead.
type Proc struct{ Write bool }

func (p Proc) String() string {
	if p.Write {
		return "mount /proc"
	}
	return "mount /proc read-only"
}

func (Proc) Kind() string { return "mount-proc" }

func (Proc) Hint(err error) string {
	if step.Errno(err) == unix.EPERM {
		return "this container's /proc is masked, so the kernel allows no new one " +
			"(docker: --security-opt systempaths=unconfined)"
	}
	return ""
}

// Compile makes the file system and attaches it.
func (p Proc) Compile(a *step.Asm) {
	at := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC)
	if !p.Write {
		at |= unix.MOUNT_ATTR_RDONLY
	}
	fd := a.Temp()
	fsmount(a, fd, "proc", at)
	attach(a, fd, "/proc", false)
}

// Devpts mounts a new pseudo-terminal file system, so that the host's terminals
// can be neither seen nor opened.
type Devpts struct{}

func (Devpts) String() string { return "mount a new /dev/pts" }

func (Devpts) Kind() string { return "mount-devpts" }

// Compile makes the file system and attaches it.
func (Devpts) Compile(a *step.Asm) {
	fd := a.Temp()
	fsmount(a, fd, "devpts", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, "mode", "0620", "ptmxmode", "0666")
	attach(a, fd, "/dev/pts", false)
}

// RemountRO makes one mount read-only after everything in it has been made. What
// is mounted below it stays as it is.
type RemountRO struct{ Path string }

func (s RemountRO) String() string { return "make " + text.Quote(s.Path) + " read-only" }

func (RemountRO) Kind() string { return "remount-read-only" }

// Compile is one mount_setattr(2).
func (s RemountRO) Compile(a *step.Asm) {
	attr := attrBytes(unix.MOUNT_ATTR_RDONLY, 0)
	a.Sys(unix.SYS_MOUNT_SETATTR, step.SlotRoot.Arg(), a.Str(rel(s.Path)), step.Int(unix.AT_SYMLINK_NOFOLLOW),
		a.Bytes(attr), step.Int(len(attr)))
}

func rel(path string) string {
	if path == "/" {
		return "."
	}
	return strings.TrimPrefix(path, "/")
}

func attrBytes(set, propagation uint64) []byte {
	b := binary.NativeEndian.AppendUint64(nil, set)
	b = binary.NativeEndian.AppendUint64(b, 0)
	b = binary.NativeEndian.AppendUint64(b, propagation)
	return binary.NativeEndian.AppendUint64(b, 0)
}

func setattr(a *step.Asm, fd step.Arg, path string, set, propagation uint64) {
	attr := attrBytes(set, propagation)
	a.Sys(unix.SYS_MOUNT_SETATTR, fd, a.Str(path), step.Int(unix.AT_EMPTY_PATH|unix.AT_RECURSIVE),
		a.Bytes(attr), step.Int(len(attr)))
}

// same checks that fd is the planned file.
func same(a *step.Asm, fd step.Slot, major, minor uint32, ino uint64) {
	isFile(a, fd, "", unix.AT_EMPTY_PATH, major, minor, ino)
}

// fsmount makes a detached file system with options in pairs.
func fsmount(a *step.Asm, to step.Slot, kind string, attrs uint64, opts ...string) {
	fscreate(a, fsopen(a, kind, opts...), to, attrs)
}

// fsopen starts to configure a file system, with options in pairs.
func fsopen(a *step.Asm, kind string, opts ...string) step.Slot {
	const setString = 1 // FSCONFIG_SET_STRING
	fs := a.Temp()
	a.Sys(unix.SYS_FSOPEN, a.Str(kind), step.Int(unix.FSOPEN_CLOEXEC)).To(fs)
	for i := 0; i+1 < len(opts); i += 2 {
		a.Sys(unix.SYS_FSCONFIG, fs.Arg(), step.Int(setString), a.Str(opts[i]), a.Str(opts[i+1]), step.Int(0))
	}
	return fs
}

// fscreate makes the file system that fs configures, detached.
func fscreate(a *step.Asm, fs, to step.Slot, attrs uint64) {
	const create = 6 // FSCONFIG_CMD_CREATE
	a.Sys(unix.SYS_FSCONFIG, fs.Arg(), step.Int(create), step.Int(0), step.Int(0), step.Int(0))
	a.Sys(unix.SYS_FSMOUNT, fs.Arg(), step.Int(unix.FSMOUNT_CLOEXEC), step.Int(attrs)).To(to)
	a.Sys(unix.SYS_CLOSE, fs.Arg())
}

// attach mounts the detached tree at dest and closes its descriptor. A dest below
// a directory of the host is resolved below the new root without following any
// link: bubblewrap's CVE-2026-87766 was such a link.
func attach(a *step.Asm, tree step.Slot, dest string, below bool) {
	if !below {
		a.Sys(unix.SYS_MOVE_MOUNT, tree.Arg(), a.Str(""), step.SlotRoot.Arg(), a.Str(rel(dest)),
			step.Int(unix.MOVE_MOUNT_F_EMPTY_PATH))
		a.Sys(unix.SYS_CLOSE, tree.Arg())
		return
	}
	to := a.Temp()
	resolve(a, to, dest)
	onto(a, tree, to)
}

// onto mounts the tree over the file that to is open to, and closes both.
func onto(a *step.Asm, tree, to step.Slot) {
	a.Sys(unix.SYS_MOVE_MOUNT, tree.Arg(), a.Str(""), to.Arg(), a.Str(""),
		step.Int(unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH))
	a.Sys(unix.SYS_CLOSE, to.Arg())
	a.Sys(unix.SYS_CLOSE, tree.Arg())
}

// resolve opens a path inside the sandbox from the new root, following no link.
func resolve(a *step.Asm, to step.Slot, path string) *step.Call {
	return a.Openat2(step.SlotRoot.Arg(), rel(path), unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW,
		unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS|unix.RESOLVE_NO_SYMLINKS).To(to)
}
