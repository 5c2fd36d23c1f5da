// Package setid keeps files with the set-user-ID or the set-group-ID bit from the
// host. A seccomp filter refuses such modes (see fallbackfilter.SetID), but sees
// neither what kind of file a call is about, nor the mode that openat2(2) is
// given. What it leaves to the launcher is here: the set-group-ID bit of
// directories, and a look for files that openat2 has made.
package setid

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"sbx/policy/seccomp"
	"sbx/sandbox/internal/unotify"
)

// Listener is the launcher's end of the target's first filter: see
// seccomp_unotify(2). It decides nothing by what it reads from the target's
// memory, which the target can change meanwhile.
type Listener struct {
	fd    int
	chmod Chmod
	// metadata is for a target without mounts of its own, or nil.
	metadata *Metadata
	// Since is when the target first called openat2, or zero.
	Since time.Time
}

// Listen takes over the descriptor that the target has sent. m may be nil.
func Listen(fd int, m *Metadata) *Listener {
	unotify.Attach(fd)
	return &Listener{fd: fd, chmod: NewChmod(), metadata: m}
}

// FD is the descriptor to poll for.
func (l *Listener) FD() int { return l.fd }

// Close ends it. What the target asks for then is answered by ENOSYS.
func (l *Listener) Close() {
	unix.Close(l.fd)
	l.fd = -1
}

// Answer answers what has come, without waiting. Before the first openat2 goes
// on, first is called; if that fails the call fails, as on a kernel without
// openat2. gone says that no process has the filter any more.
func (l *Listener) Answer(first func() error) (gone bool, err error) {
	const most = 64
	for range most {
		list := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(list, 0); err != nil || n == 0 {
			return false, nil // whatever it is, poll(2) says it again
		}
		if list[0].Revents&unix.POLLIN == 0 {
			return true, nil
		}
		var n unotify.Request
		asked, err := unotify.Receive(l.fd, &n)
		if err != nil {
			return false, fmt.Errorf("read what the target's filter asks: %w", err)
		}
		if !asked {
			continue
		}
		r := l.decide(&n, first)
		if err := unotify.Send(l.fd, &r); err != nil {
			return false, fmt.Errorf("answer the target's filter: %w", err)
		}
	}
	return false, nil
}

func (l *Listener) decide(n *unotify.Request, first func() error) unotify.Response {
	const x32 = 0x40000000
	r := unotify.Response{ID: n.ID}
	if n.Number&^x32 == unix.SYS_OPENAT2 { // the same in all tables
		if l.Since.IsZero() {
			if first() != nil {
				r.Errno = -int32(unix.ENOSYS)
				return r
			}
			l.Since = time.Now()
		}
		// It is looked for at the end what came of it. So it does not matter what the
		// mode is now, or will be when the call goes on.
		r.Flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
		return r
	}
	if l.metadata != nil {
		r.Errno = -int32(l.metadata.Answer(l.chmod, l.fd, n))
		return r
	}
	r.Errno = -int32(l.chmod.Answer(l.fd, n))
	return r
}

// Chmod answers for chmod(2) and its like.
type Chmod struct {
	// own says that /proc shows the processes by the numbers that the kernel
	// tells the listener.
	own bool
}

// NewChmod looks at /proc.
func NewChmod() Chmod {
	name, err := os.Readlink("/proc/self")
	return Chmod{own: err == nil && name == strconv.Itoa(os.Getpid())}
}

// Answer sets the mode of a directory in the target's place, and says what the call
// fails with, or 0. fd is the listener. Everything that it looks at and changes is one
// descriptor of its own.
func (x Chmod) Answer(fd int, q *unotify.Request) unix.Errno {
	err := x.answer(fd, q)
	if errno, ok := err.(unix.Errno); ok && errno != 0 {
		return errno
	}
	if err != nil {
		return unix.EPERM
	}
	return 0
}

func (x Chmod) answer(listener int, n *unotify.Request) error {
	c, ok := asked(n)
	if !ok || !x.own || n.PID == 0 {
		return unix.EPERM
	}
	proc, err := unix.Open("/proc/"+strconv.Itoa(int(n.PID)), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return unix.EPERM
	}
	defer unix.Close(proc)
	if c.path != 0 {
		if c.name, err = readString(int(n.PID), c.path); err != nil {
			return err
		}
	}
	who, err := credentials(proc)
	if err != nil {
		return unix.EPERM
	}
	// From here on proc is the process that asked, or one that is gone.
	if !unotify.Valid(listener, n.ID) {
		return unix.EPERM
	}
	if who.user != unix.Geteuid() {
		return unix.EPERM // it would be with another's rights
	}
	return who.do(proc, c)
}

// call is a chmod(2) or one of its like.
type call struct {
	dir    int32 // a descriptor, or AT_FDCWD
	path   uint64
	name   string
	mode   uint32
	byFD   bool // dir is the file
	follow bool
}

// asked is the call in question; not ok for a program of another ABI, whose arguments
// mean something else.
func asked(n *unotify.Request) (c call, ok bool) {
	if n.Audit != seccomp.Native().Audit() {
		return c, false
	}
	const atFDCWD = -100
	c.follow = true
	at := func(path, mode int) {
		c.dir, c.path, c.mode = int32(n.Args[0]), n.Args[path], uint32(n.Args[mode])
	}
	switch {
	case n.Number == unix.SYS_FCHMOD:
		c.dir, c.byFD, c.mode = int32(n.Args[0]), true, uint32(n.Args[1])
	case n.Number == unix.SYS_FCHMODAT:
		at(1, 2)
	case n.Number == unix.SYS_FCHMODAT2:
		at(1, 2)
		flags := n.Args[3]
		if flags&^(unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH) != 0 {
			return c, false
		}
		c.follow = flags&unix.AT_SYMLINK_NOFOLLOW == 0
		c.byFD = flags&unix.AT_EMPTY_PATH != 0 // if the path is empty
	case isChmod(n.Number):
		at(0, 1)
		c.dir = atFDCWD
	default:
		return c, false
	}
	c.mode &= 0o7777
	return c, true
}

// readString reads a path of the process's memory.
func readString(pid int, addr uint64) (string, error) {
	var buf [unix.PathMax]byte
	const page = 4096
	for got := 0; got < len(buf); {
		n := min(page-int((addr+uint64(got))%page), len(buf)-got)
		local := []unix.Iovec{{Base: &buf[got]}}
		local[0].SetLen(n)
		n, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: uintptr(addr) + uintptr(got), Len: n}}, 0)
		if err != nil || n <= 0 {
			return "", unix.EFAULT
		}
		if i := bytes.IndexByte(buf[got:got+n], 0); i >= 0 {
			return string(buf[:got+i]), nil
		}
		got += n
	}
	return "", unix.ENAMETOOLONG
}

// identity is a process's as far as it counts for files.
type identity struct {
	user   int
	groups []int
}

// credentials reads /proc/PID/status: the fourth number is the one for files.
func credentials(proc int) (who identity, err error) {
	fd, err := unix.Openat(proc, "status", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return who, err
	}
	defer unix.Close(fd)
	buf, got := make([]byte, 4096), 0
	for {
		n, err := unix.Read(fd, buf[got:])
		if err != nil {
			return who, err
		}
		if n == 0 {
			break
		}
		if got += n; got == len(buf) { // thousands of groups
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
	who.user = -1
	for line := range bytes.Lines(buf[:got]) {
		key, rest, _ := bytes.Cut(line, []byte(":"))
		var numbers []int
		for word := range bytes.FieldsSeq(rest) {
			if x, err := strconv.Atoi(string(word)); err == nil {
				numbers = append(numbers, x)
			}
		}
		switch {
		case string(key) == "Uid" && len(numbers) == 4:
			who.user = numbers[3]
		case string(key) == "Gid" && len(numbers) == 4:
			who.groups = append(who.groups, numbers[3])
		case string(key) == "Groups":
			who.groups = append(who.groups, numbers...)
		}
	}
	if who.user < 0 {
		return who, unix.EINVAL
	}
	return who, nil
}
