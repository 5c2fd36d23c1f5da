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

// Mqueue mounts the POSIX message queues of the IPC namespace: see mq_overview(7). It takes
// CAP_SYS_ADMIN over that namespace, which a new one gives.
type Mqueue struct {
	Path  string
	Below bool
}

func (m Mqueue) String() string { return "mount the message queues at " + text.Quote(m.Path) }

func (Mqueue) Kind() string { return "mount-mqueue" }

func (m Mqueue) Hint(err error) string {
	if step.Errno(err) == unix.EPERM {
		return "the message queues are the host's; with a new IPC namespace they can be mounted"
	}
	return Tmpfs{Path: m.Path, Below: m.Below}.Hint(err)
}

// Compile makes the file system and attaches it.
func (m Mqueue) Compile(a *step.Asm) {
	fd := a.Temp()
	fsmount(a, fd, "mqueue", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	attach(a, fd, m.Path, m.Below)
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
