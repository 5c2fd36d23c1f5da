package setid

import (
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/policy/seccomp"
	"sbx/sandbox/internal/unotify"
)

// Metadata changes modes, owners and times of files in the target's place, where no mount
// keeps it from those of the host: Landlock has no right for that. It does so for files
// that the target may write, and for those that have no name any more.
type Metadata struct {
	// Writes says whether the target may write at the path.
	Writes func(path string) bool
}

// change is a call that changes a file's metadata.
type change struct {
	call
	kind  changeKind
	owner [2]int
	times [2]unix.Timespec
	// timesAt is where the times lie in the memory of the process that asks, 0: it is now.
	// micro says that they are in microseconds, seconds in whole seconds.
	timesAt        uint64
	micro, seconds bool
}

type changeKind uint8

const (
	changeMode changeKind = iota
	changeOwner
	changeTimes
)

// changed is the call in question; not ok for one of another ABI.
func changed(n *unotify.Request) (c change, ok bool) {
	if n.Audit != seccomp.Native().Audit() {
		return c, false
	}
	if c.call, ok = asked(n); ok {
		return c, true
	}
	const atFDCWD = -100
	c.follow = true
	at := func(dir int32, path uint64) { c.dir, c.path = dir, path }
	switch kind, first := legacyChange(n.Number); {
	case n.Number == unix.SYS_FCHOWN:
		c.kind, c.dir, c.byFD = changeOwner, int32(n.Args[0]), true
		c.owner = [2]int{int(int32(n.Args[1])), int(int32(n.Args[2]))}
	case n.Number == unix.SYS_FCHOWNAT:
		at(int32(n.Args[0]), n.Args[1])
		c.kind, c.owner = changeOwner, [2]int{int(int32(n.Args[2])), int(int32(n.Args[3]))}
		c.flags(n.Args[4])
	case n.Number == unix.SYS_UTIMENSAT:
		at(int32(n.Args[0]), n.Args[1])
		c.kind, c.timesAt = changeTimes, n.Args[2]
		c.flags(n.Args[3])
		c.byFD = c.byFD || c.path == 0 // futimens(3)
	case kind == legacyChown:
		at(atFDCWD, n.Args[0])
		c.kind, c.owner = changeOwner, [2]int{int(int32(n.Args[1])), int(int32(n.Args[2]))}
	case kind == legacyLchown:
		at(atFDCWD, n.Args[0])
		c.kind, c.owner, c.follow = changeOwner, [2]int{int(int32(n.Args[1])), int(int32(n.Args[2]))}, false
	case kind == legacyUtimes:
		at(atFDCWD, n.Args[0])
		if first == 1 { // futimesat
			at(int32(n.Args[0]), n.Args[1])
			c.byFD = c.path == 0
		}
		c.kind, c.timesAt, c.micro = changeTimes, n.Args[1+first], true
	case kind == legacyUtime:
		at(atFDCWD, n.Args[0])
		c.kind, c.timesAt, c.seconds = changeTimes, n.Args[1], true
	default:
		return c, false
	}
	return c, true
}

func (c *change) flags(f uint64) {
	c.follow = f&unix.AT_SYMLINK_NOFOLLOW == 0
	c.byFD = f&unix.AT_EMPTY_PATH != 0 // if the path is empty
}

// Answer makes the change, and says what the call fails with, or 0.
func (m *Metadata) Answer(x Chmod, listener int, n *unotify.Request) unix.Errno {
	err := m.answer(x, listener, n)
	if errno, ok := err.(unix.Errno); ok && errno != 0 {
		return errno
	}
	if err != nil {
		return unix.EPERM
	}
	return 0
}

func (m *Metadata) answer(x Chmod, listener int, n *unotify.Request) error {
	c, ok := changed(n)
	if !ok || !x.own || n.PID == 0 {
		return unix.EPERM
	}
	pid := int(n.PID)
	proc, err := unix.Open("/proc/"+strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return unix.EPERM
	}
	defer unix.Close(proc)
	if c.path != 0 {
		if c.name, err = readString(pid, c.path); err != nil {
			return err
		}
	}
	if err := c.readTimes(pid); err != nil {
		return err
	}
	who, err := credentials(proc)
	if err != nil {
		return unix.EPERM
	}
	// From here on proc is the process that asked, or one that is gone.
	if !unotify.Valid(listener, n.ID) || who.user != unix.Geteuid() {
		return unix.EPERM
	}
	file, err := open(proc, c.call)
	if err != nil {
		return err
	}
	defer unix.Close(file)
	if err := m.check(file); err != nil {
		return err
	}
	if c.kind == changeMode && c.mode&(unix.S_ISUID|unix.S_ISGID) != 0 {
		return who.set(file, c.call)
	}
	return withoutCapabilities(func() error { return c.make(file) })
}

// check refuses files that the target may not write. One without a name is its own, or a
// pipe or the like.
func (m *Metadata) check(file int) error {
	var st unix.Stat_t
	if err := unix.Fstat(file, &st); err != nil {
		return err
	}
	path, err := readlink(file)
	switch {
	case err != nil:
		return unix.EPERM
	case st.Nlink == 0, !strings.HasPrefix(path, "/"), m.Writes(path):
		return nil
	}
	return unix.EACCES
}

func readlink(file int) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlink("/proc/self/fd/"+strconv.Itoa(file), buf)
	if err != nil || n == len(buf) {
		return "", unix.EPERM
	}
	return string(buf[:n]), nil
}

// readTimes reads the times from the memory of the process.
func (c *change) readTimes(pid int) error {
	if c.kind != changeTimes {
		return nil
	}
	if c.timesAt == 0 {
		c.times[0].Nsec, c.times[1].Nsec = unix.UTIME_NOW, unix.UTIME_NOW
		return nil
	}
	var words [4]int64 // two of struct timespec or timeval
	size := int(unsafe.Sizeof(words))
	if c.seconds {
		size = 16 // struct utimbuf
	}
	local := []unix.Iovec{{Base: (*byte)(unsafe.Pointer(&words))}}
	local[0].SetLen(size)
	n, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: uintptr(c.timesAt), Len: size}}, 0)
	if err != nil || n != size {
		return unix.EFAULT
	}
	if c.seconds {
		c.times[0].Sec, c.times[1].Sec = words[0], words[1]
		return nil
	}
	for i := range c.times {
		c.times[i] = unix.Timespec{Sec: words[2*i], Nsec: words[2*i+1]}
		if c.micro {
			if micro := c.times[i].Nsec; micro < 0 || micro >= 1e6 {
				return unix.EINVAL
			}
			c.times[i].Nsec *= 1000
		}
	}
	return nil
}

// make makes the change. A link is not followed from its own descriptor.
func (c *change) make(file int) error {
	name := "/proc/self/fd/" + strconv.Itoa(file)
	switch c.kind {
	case changeOwner:
		return unix.Fchownat(file, "", c.owner[0], c.owner[1], unix.AT_EMPTY_PATH)
	case changeTimes:
		err := unix.UtimesNanoAt(file, "", c.times[:], unix.AT_EMPTY_PATH)
		if err == unix.EINVAL || err == unix.ENOENT { // before Linux 5.8
			err = unix.UtimesNanoAt(unix.AT_FDCWD, name, c.times[:], 0)
		}
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(file, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return unix.EOPNOTSUPP
	}
	return unix.Fchmodat(unix.AT_FDCWD, name, c.mode, 0)
}

// The kinds of calls that younger architectures do not have.
const (
	legacyNone = iota
	legacyChown
	legacyLchown
	legacyUtimes
	legacyUtime
)
