package ns

import (
	"encoding/binary"
	"fmt"
	"strings"

	"sbx/internal/text"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// All mounts are made by the mount API of Linux 5.2 (fsopen(2), open_tree(2),
// move_mount(2)) and mount_setattr(2) of 5.12: a mount gets its flags before
// it is attached, so there is no moment at which it is there and too weak.
//
// Paths inside are given without their leading slash and resolved from
// step.SlotRoot. Build only lets a path through that it knows to consist of
// directories made by our own steps, on a tmpfs that nobody else can see;
// anything below a directory of the outside goes through openat2(2).

// Dir makes a directory on our own tmpfs.
type Dir struct {
	Path string
	Mode uint32
}

func (d Dir) String() string {
	s := "make directory " + text.Quote(d.Path)
	if d.Mode != 0o755 {
		s += fmt.Sprintf(", mode %04o", d.Mode)
	}
	return s
}

func (Dir) Kind() string { return "mkdir" }

// Compile is one mkdirat(2); the umask is cleared by then.
func (d Dir) Compile(a *step.Asm) {
	a.Sys(unix.SYS_MKDIRAT, step.SlotRoot.Arg(), a.Str(rel(d.Path)), step.Int(d.Mode))
}

// File makes an empty file on our own tmpfs, for something to be mounted on.
type File struct{ Path string }

func (f File) String() string { return fmt.Sprintf("make empty file %s", text.Quote(f.Path)) }

func (File) Kind() string { return "create-file" }

// Compile is one mknodat(2), which needs no descriptor.
func (f File) Compile(a *step.Asm) {
	a.Sys(unix.SYS_MKNODAT, step.SlotRoot.Arg(), a.Str(rel(f.Path)), step.Int(unix.S_IFREG|0o444), step.Int(0))
}

// Symlink makes a symbolic link on our own tmpfs.
type Symlink struct{ Target, Path string }

func (l Symlink) String() string {
	return fmt.Sprintf("make symlink %s to %s", text.Quote(l.Path), text.Quote(l.Target))
}

func (Symlink) Kind() string { return "symlink" }

// Compile is one symlinkat(2).
func (l Symlink) Compile(a *step.Asm) {
	a.Sys(unix.SYS_SYMLINKAT, a.Str(l.Target), step.SlotRoot.Arg(), a.Str(rel(l.Path)))
}

// Bind shows a file or directory of the outside, with all that is mounted
// below it.
type Bind struct {
	Source, Dest string
	// Via is the symbolic link that led to Source, if one did and it is not
	// Dest: what was named is not what is shown.
	Via string
	// Major, Minor and Ino are what Source was when the plan was made; the
	// child refuses anything else in its place.
	Major, Minor uint32
	Ino          uint64
	// Write allows writing; otherwise the bind and all below is read-only.
	Write bool
	// Device keeps device files usable. Only our own /dev has it. They can be
	// read and written on a read-only mount too; what cannot be changed there is
	// their mode, owner and times.
	Device bool
	// NoExec forbids execution and Below says that Dest lies in a directory
	// of the outside, where others may be at work.
	NoExec, Below bool
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
	default:
		s += " read-only"
	}
	if b.NoExec && !b.Device {
		s += ", no exec"
	}
	return s
}

// attrs are the mount flags: never set-id programs, never devices but ours.
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
		return fmt.Sprintf("%s has no place in the sandbox to be shown at; make it outside first", text.Quote(b.Dest))
	}
	return replacedHint(err)
}

// linkInsideHint is how to fix that a link would have to be followed.
func linkInsideHint(path string) string {
	return "a part of " + text.Quote(path) + " is a symbolic link inside; name the path that it leads to"
}

// replacedHint is how to fix that something is not what was planned.
func replacedHint(err error) string {
	if step.Mismatched(err) {
		return "the file was replaced while sbx was starting; try again"
	}
	return ""
}

// Compile clones the tree detached, checks that it is the one planned, gives
// it its flags, and only then attaches it.
func (b Bind) Compile(a *step.Asm) {
	tree := a.Temp()
	a.Sys(unix.SYS_OPEN_TREE, step.Fd(unix.AT_FDCWD), a.Str(b.Source),
		step.Int(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE|unix.AT_SYMLINK_NOFOLLOW)).To(tree)
	same(a, tree, b.Major, b.Minor, b.Ino)
	setattr(a, tree.Arg(), "", b.attrs(), 0)
	attach(a, tree, b.Dest, b.Below)
}

// Tmpfs mounts an empty writable directory that dies with the sandbox.
type Tmpfs struct {
	Path string
	Mode uint32
	// Size is tmpfs(5)'s size option; empty means the kernel's default, half
	// of the memory.
	Size string
	// NoExec forbids execution, ReadOnly writing: then it is an empty
	// directory.
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
	if t.NoExec {
		s += ", no exec"
	}
	return s
}

func (Tmpfs) Kind() string { return "mount-tmpfs" }

func (t Tmpfs) Hint(err error) string {
	switch step.Errno(err) {
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP:
		if t.Below {
			return text.Quote(t.Path) + " lies in what is shown of the outside, where nothing is made; make it a directory there first"
		}
	}
	return ""
}

// Compile makes the file system and attaches it.
func (t Tmpfs) Compile(a *step.Asm) {
	opts := []string{"mode", fmt.Sprintf("%04o", t.Mode)}
	if t.Size != "" {
		opts = append(opts, "size", t.Size)
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

// Proc mounts the new pid namespace's own /proc, read-only as a whole: what
// container runtimes protect path by path.
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
		return "this container's /proc is masked, so the kernel allows no new one (docker: --security-opt systempaths=unconfined)"
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

// Devpts mounts a pseudo-terminal file system of the sandbox's own, so that
// the terminals of others are neither seen nor reached.
type Devpts struct{}

func (Devpts) String() string { return "mount own /dev/pts" }

func (Devpts) Kind() string { return "mount-devpts" }

// Compile makes the file system and attaches it.
func (Devpts) Compile(a *step.Asm) {
	fd := a.Temp()
	fsmount(a, fd, "devpts", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, "mode", "0620", "ptmxmode", "0666")
	attach(a, fd, "/dev/pts", false)
}

// Seal makes one mount of ours read-only once all is in it; what is mounted
// below stays as it is.
type Seal struct{ Path string }

func (s Seal) String() string { return "make " + text.Quote(s.Path) + " read-only" }

func (Seal) Kind() string { return "remount-read-only" }

// Compile is one mount_setattr(2).
func (s Seal) Compile(a *step.Asm) {
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

// same makes sure that fd is the planned file.
func same(a *step.Asm, fd step.Slot, major, minor uint32, ino uint64) {
	isFile(a, fd, "", unix.AT_EMPTY_PATH, major, minor, ino)
}

// fsmount makes a detached file system with options in pairs.
func fsmount(a *step.Asm, to step.Slot, kind string, attrs uint64, opts ...string) {
	fscreate(a, fsopen(a, kind, opts...), to, attrs)
}

// fsopen begins a file system with options in pairs.
func fsopen(a *step.Asm, kind string, opts ...string) step.Slot {
	const setString = 1 // FSCONFIG_SET_STRING
	fs := a.Temp()
	a.Sys(unix.SYS_FSOPEN, a.Str(kind), step.Int(unix.FSOPEN_CLOEXEC)).To(fs)
	for i := 0; i+1 < len(opts); i += 2 {
		a.Sys(unix.SYS_FSCONFIG, fs.Arg(), step.Int(setString), a.Str(opts[i]), a.Str(opts[i+1]), step.Int(0))
	}
	return fs
}

// fscreate makes it, detached.
func fscreate(a *step.Asm, fs, to step.Slot, attrs uint64) {
	const create = 6 // FSCONFIG_CMD_CREATE
	a.Sys(unix.SYS_FSCONFIG, fs.Arg(), step.Int(create), step.Int(0), step.Int(0), step.Int(0))
	a.Sys(unix.SYS_FSMOUNT, fs.Arg(), step.Int(unix.FSMOUNT_CLOEXEC), step.Int(attrs)).To(to)
	a.Sys(unix.SYS_CLOSE, fs.Arg())
}

// attach moves the detached tree to its place and lets go of the descriptor.
// A place below a directory of the outside is resolved without following any
// link, below the new root: bubblewrap's CVE-2026-87766 was a link there.
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

// onto moves the tree onto what to is, and lets go of both.
func onto(a *step.Asm, tree, to step.Slot) {
	a.Sys(unix.SYS_MOVE_MOUNT, tree.Arg(), a.Str(""), to.Arg(), a.Str(""),
		step.Int(unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH))
	a.Sys(unix.SYS_CLOSE, to.Arg())
	a.Sys(unix.SYS_CLOSE, tree.Arg())
}

// resolve opens a path of the inside from the new root, following no link.
func resolve(a *step.Asm, to step.Slot, path string) *step.Call {
	return a.Openat2(step.SlotRoot.Arg(), rel(path), unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW,
		unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS|unix.RESOLVE_NO_SYMLINKS).To(to)
}
