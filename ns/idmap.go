package ns

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// OpenProc opens the host's /proc and checks that it is a proc file system. So
// what is written below it goes to the kernel, and not to a file that was mounted
// there (runc's CVE-2025-52881).
type OpenProc struct{}

func (OpenProc) String() string { return "open /proc and verify it" }

func (OpenProc) Kind() string { return "open-proc" }

func (OpenProc) Hint(err error) string {
	if step.Mismatched(err) {
		return "something else is mounted at /proc: mount -t proc proc /proc"
	}
	return procHint(err)
}

// procHint is how to fix that a file in the host's /proc cannot be written to.
func procHint(err error) string {
	switch step.Errno(err) {
	case unix.ENOENT:
		return "/proc is not mounted here: mount -t proc proc /proc"
	case unix.EROFS:
		return "/proc is read-only here, as in a container; give it a writable one " +
			"(docker: --security-opt systempaths=unconfined)"
	}
	return ""
}

// Compile leaves the descriptor in step.SlotProc.
func (OpenProc) Compile(a *step.Asm) {
	a.Sys(unix.SYS_OPENAT, step.Fd(unix.AT_FDCWD), a.Str("/proc"),
		step.Int(unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)).To(step.SlotProc)
	buf := a.Space(int(unsafe.Sizeof(unix.Statfs_t{})))
	a.Sys(unix.SYS_FSTATFS, step.SlotProc.Arg(), buf)
	a.Compare(buf, binary.NativeEndian.AppendUint64(nil, unix.PROC_SUPER_MAGIC)[:8])
}

// IDMap maps one user and one group id of the new user namespace to the caller's
// own. See user_namespaces(7): a process may write such a map of itself without
// privilege after it has given up setgroups(2).
type IDMap struct {
	UID, GID               int // inside
	OutsideUID, OutsideGID int
}

func (m IDMap) String() string {
	return fmt.Sprintf("map user %d to %d and group %d to %d, setgroups denied", m.UID, m.OutsideUID, m.GID, m.OutsideGID)
}

func (IDMap) Kind() string { return "map-ids" }

func (IDMap) Hint(err error) string {
	switch step.Errno(err) {
	case unix.EPERM, unix.EACCES:
		return DeniedHint(unix.EPERM)
	}
	return procHint(err)
}

// Compile writes the three files below step.SlotProc.
func (m IDMap) Compile(a *step.Asm) {
	write(a, "self/setgroups", "deny")
	write(a, "self/uid_map", fmt.Sprintf("%d %d 1", m.UID, m.OutsideUID))
	write(a, "self/gid_map", fmt.Sprintf("%d %d 1", m.GID, m.OutsideGID))
}
