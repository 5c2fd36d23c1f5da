package ns

import (
	"encoding/binary"
	"fmt"
	"time"

	"sbx/internal/text"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Join enters an existing namespace (setns(2)). FD is it, opened and looked at
// while planning; Major, Minor and Ino are what it is on nsfs.
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
		return "it takes CAP_SYS_ADMIN in the user namespace that owns it: join that one too (user = \"/path\"), or run sbx as root"
	case errno == unix.EINVAL && j.Namespace == User:
		return "it is the caller's own: say user = \"host\", or \"auto\""
	}
	return ""
}

// Compile enters it and reads back, below step.SlotProc, where it has got to.
// A pid namespace is that of the children only.
func (j Join) Compile(a *step.Asm) {
	name := map[Set]string{User: "user", Mount: "mnt", PID: "pid_for_children", Net: "net", IPC: "ipc", UTS: "uts", Cgroup: "cgroup", Time: "time"}[j.Namespace]
	a.Sys(unix.SYS_SETNS, step.Fd(j.FD), step.Int(uint64(j.Namespace)))
	isFile(a, step.SlotProc, "self/ns/"+name, 0, j.Major, j.Minor, j.Ino)
}

// Clocks makes a time namespace for the processes to come, Linux 5.6, in which
// two clocks are shifted; see time_namespaces(7).
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

// Compile leaves it and writes its offsets below step.SlotProc, which can be
// done only while nobody is in it.
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
		// Nanoseconds count upwards, also of a negative time.
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

// isFile makes sure that the path below dir, or dir itself, is the planned
// file.
func isFile(a *step.Asm, dir step.Slot, path string, flags int, major, minor uint32, ino uint64) {
	const inoAt, devAt = 32, 136 // struct statx
	buf := a.Scratch()
	a.Sys(unix.SYS_STATX, dir.Arg(), a.Str(path), step.Int(flags|unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT),
		step.Int(unix.STATX_INO), buf)
	dev := binary.NativeEndian.AppendUint32(nil, major)
	a.Compare(buf.At(inoAt), binary.NativeEndian.AppendUint64(nil, ino))
	a.Compare(buf.At(devAt), binary.NativeEndian.AppendUint32(dev, minor))
}

// OwnProc opens a /proc of the pid namespace that the process is in, mounted
// nowhere, in the place of the outside's.
type OwnProc struct{}

func (OwnProc) String() string { return "open a /proc of the joined pid namespace" }

func (OwnProc) Kind() string { return "open-joined-proc" }

func (OwnProc) Hint(err error) string {
	if step.Errno(err) == unix.EPERM {
		return "it takes CAP_SYS_ADMIN in the user namespace that owns the pid namespace, and a /proc that is not masked; join the user namespace too"
	}
	return ""
}

// Compile leaves the descriptor in step.SlotProc. It can be written to, as a
// security module's label has to be.
func (OwnProc) Compile(a *step.Asm) {
	fsmount(a, step.SlotProc, "proc", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
}
