package ns

import (
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// Join enters an existing namespace (setns(2)). FD was opened and checked while
// planning; Major, Minor and Ino identify the namespace on nsfs.
type Join struct {
	Namespace    Set // one
	Path         string
	FD           int
	Major, Minor uint32
	Ino          uint64
}

func (j Join) String() string {
	return fmt.Sprintf("join %s namespace %s", j.Namespace, text.Quote(j.Path))
}

func (Join) Kind() string { return "join-namespace" }

func (j Join) Hint(err error) string {
	switch errno := step.Errno(err); {
	case errno == unix.EPERM:
		return "joining needs CAP_SYS_ADMIN in the user namespace that owns it: " +
			"join that one too (user = \"/path\"), or run sbx as root"
	case errno == unix.EINVAL && j.Namespace == User:
		return "it is the caller's own: say user = \"host\", or \"auto\""
	}
	return ""
}

// Compile enters the namespace and reads back, below step.SlotProc, which one the
// process is in. Only children are in a pid namespace that was joined.
func (j Join) Compile(a *step.Asm) {
	name := map[Set]string{
		User: "user", Mount: "mnt", PID: "pid_for_children", Net: "net",
		IPC: "ipc", UTS: "uts", Cgroup: "cgroup", Time: "time",
	}[j.Namespace]
	a.Sys(unix.SYS_SETNS, step.Fd(j.FD), step.Int(uint64(j.Namespace)))
	isFile(a, step.SlotProc, "thread-self/ns/"+name, 0, j.Major, j.Minor, j.Ino)
}

// Clocks makes a new time namespace for the children (Linux 5.6) in which two
// clocks are shifted; see time_namespaces(7).
type Clocks struct{ Monotonic, Boottime time.Duration }

func (c Clocks) String() string {
	s := "make a new time namespace"
	if c.Monotonic != 0 {
		s += fmt.Sprintf(", monotonic clock %+v", c.Monotonic)
	}
	if c.Boottime != 0 {
		s += fmt.Sprintf(", boot clock %+v", c.Boottime)
	}
	return s
}

func (Clocks) Kind() string { return "new-time-namespace" }

func (Clocks) Hint(err error) string {
	switch step.Errno(err) {
	case unix.EINVAL:
		return "time namespaces take Linux 5.6 or newer, built with CONFIG_TIME_NS"
	case unix.ERANGE:
		return "shifted so far a clock would stand before zero or at the end of time"
	}
	return ""
}

// Compile makes the namespace and writes its offsets below step.SlotProc. The
// kernel takes them only while no process is in it.
func (c Clocks) Compile(a *step.Asm) {
	a.Sys(unix.SYS_UNSHARE, step.Int(unix.CLONE_NEWTIME))
	text := ""
	for _, k := range [...]struct {
		name string
		by   time.Duration
	}{{"monotonic", c.Monotonic}, {"boottime", c.Boottime}} {
		if k.by == 0 {
			continue
		}
		// The nanoseconds are never negative, even where the offset is.
		sec := k.by / time.Second
		nsec := k.by % time.Second
		if nsec < 0 {
			sec, nsec = sec-1, nsec+time.Second
		}
		text += fmt.Sprintf("%s %d %d\n", k.name, int64(sec), int64(nsec))
	}
	if text != "" {
		write(a, "self/timens_offsets", text)
	}
}

// isFile checks that the path below dir, or dir itself, is the planned file.
func isFile(a *step.Asm, dir step.Slot, path string, flags int, major, minor uint32, ino uint64) {
	const inoAt, devAt = 32, 136 // struct statx
	buf := a.Scratch()
	a.Sys(unix.SYS_STATX, dir.Arg(), a.Str(path), step.Int(flags|unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT),
		step.Int(unix.STATX_INO), buf)
	dev := binary.NativeEndian.AppendUint32(nil, major)
	a.Compare(buf.At(inoAt), binary.NativeEndian.AppendUint64(nil, ino))
	a.Compare(buf.At(devAt), binary.NativeEndian.AppendUint32(dev, minor))
}

// DetachedProc opens a new /proc, of the pid namespace that the process is in. It
// is mounted nowhere, and takes the place of the host's.
type DetachedProc struct{}

func (DetachedProc) String() string { return "open a /proc of the joined pid namespace" }

func (DetachedProc) Kind() string { return "open-joined-proc" }

func (DetachedProc) Hint(err error) string {
	if step.Errno(err) == unix.EPERM {
		return "opening it needs CAP_SYS_ADMIN in the user namespace that owns the pid namespace, and " +
			"a /proc without masks; join that user namespace too"
	}
	return ""
}

// Compile leaves the descriptor in step.SlotProc. It is writable, because a
// security module's label is written there.
func (DetachedProc) Compile(a *step.Asm) {
	fsmount(a, step.SlotProc, "proc", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
}
