// Package oracle asks the kernel what seccomp filters answer to calls that are
// not made. See README.md beside it.
package oracle

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Question is a call as a filter sees it.
type Question struct {
	Audit, Number uint32
	Args          [6]uint64
}

// Answer is what becomes of it.
type Answer struct {
	// Kind is Pass, Errno, Signal or Returned.
	Kind Kind
	// Value is the errno, signal or, of a call that was answered without
	// either, the result.
	Value int
}

// Kind tells answers apart.
type Kind uint8

// The kinds of Answer.
const (
	Pass Kind = iota
	Errno
	Signal
	Returned
)

// String is the answer as the probe prints it.
func (a Answer) String() string {
	switch a.Kind {
	case Pass:
		return "pass"
	case Errno:
		return fmt.Sprintf("errno %d", a.Value)
	case Signal:
		return fmt.Sprintf("signal %d", a.Value)
	}
	return fmt.Sprintf("returned %d", a.Value)
}

// magic answers notifications; no filter of ours uses it.
const magic = 3999

// Oracle has a child that asks. It belongs to the goroutine that made it.
type Oracle struct {
	filter []byte
	shared *shared
	pid    int
	fd     int
}

// Start makes an oracle about the filters of this process, and about filter
// besides if it is not nil: sock_filter structures, which only the child loads.
func Start(filter []byte) (*Oracle, error) {
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("share a page: %w", err)
	}
	return &Oracle{filter: filter, shared: (*shared)(unsafe.Pointer(&page[0]))}, nil
}

// Ask asks one question. It starts a child for the first one and after each
// that was the last one's death.
func (o *Oracle) Ask(q Question) (Answer, error) {
	if o.pid == 0 {
		if err := o.spawn(); err != nil {
			return Answer{}, err
		}
	}
	s := o.shared
	s.audit, s.nr, s.args = q.Audit, q.Number, q.Args
	s.state.Store(asked)
	passed := false
	for i := 0; s.state.Load() != answered; i++ {
		got, gone, err := o.notified()
		if err != nil {
			return Answer{}, err
		}
		if got != nil {
			if got.arch != q.Audit || got.nr != int32(q.Number) || !sameArgs(q, got.args) {
				return Answer{}, fmt.Errorf("asked %+v, the filter saw %#x %#x%#x", q, got.arch, got.nr, got.args)
			}
			if err := o.reply(got.id, -magic, 0); err != nil {
				return Answer{}, err
			}
			passed = true
		}
		if got == nil {
			yield()
		}
		if gone || i%1000 == 999 {
			if a, dead, err := o.reap(); dead || err != nil {
				return a, err
			}
		}
	}
	switch ret := int(s.result); {
	case passed && ret == -magic:
		return Answer{Kind: Pass}, nil
	case !passed && ret < 0 && ret >= -4095:
		return Answer{Errno, -ret}, nil
	default:
		return Answer{Returned, ret}, nil
	}
}

// sameArgs compares what was asked with what a filter saw; an architecture of
// 32 bits has no upper halves.
func sameArgs(q Question, seen [6]uint64) bool {
	if narrow(q.Audit) {
		for i := range q.Args {
			q.Args[i] = uint64(uint32(q.Args[i]))
		}
	}
	return q.Args == seen
}

// spawn starts a child and has its filters loaded.
func (o *Oracle) spawn() error {
	ask := []unix.SockFilter{{Code: unix.BPF_RET, K: unix.SECCOMP_RET_USER_NOTIF}}
	first := unix.SockFprog{Len: 1, Filter: &ask[0]}
	var second unix.SockFprog
	if len(o.filter) > 0 {
		second = unix.SockFprog{Len: uint16(len(o.filter) / 8), Filter: (*unix.SockFilter)(unsafe.Pointer(&o.filter[0]))}
	}
	o.shared.state.Store(0)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The child is no Go process: it must get no signal that Go's handlers
	// would take.
	var all, old unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[0]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &old); err != nil {
		return fmt.Errorf("block signals: %w", err)
	}
	pid, errno := fork(o.shared, &first, &second)
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil); err != nil {
		return fmt.Errorf("unblock signals: %w", err)
	}
	runtime.KeepAlive(ask)
	runtime.KeepAlive(o.filter)
	if errno != 0 {
		return fmt.Errorf("fork: %w", errno)
	}
	o.pid = int(pid)
	for i := 0; ; i++ {
		switch state := o.shared.state.Load(); state {
		case ready:
			return nil
		case listening:
			// The descriptor table is the child's, too.
			o.fd = int(o.shared.fd)
			o.shared.state.CompareAndSwap(listening, loading)
		case loading:
			// Loading the second filter is a call that the first one asks about.
			got, _, err := o.notified()
			if err != nil {
				return err
			}
			if got != nil {
				if err := o.reply(got.id, 0, unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE); err != nil {
					return err
				}
			}
		}
		yield()
		if i%1000 == 999 {
			if a, dead, err := o.reap(); err != nil {
				return err
			} else if dead {
				return fmt.Errorf("the child could not load its filter: %v: %w", a, unix.Errno(o.shared.result))
			}
		}
	}
}

// yield lets the child run, which waits without a call that would tell so.
func yield() { _, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

// Close ends the child.
func (o *Oracle) Close() error {
	if o.pid == 0 {
		return nil
	}
	if err := unix.Kill(o.pid, unix.SIGKILL); err != nil {
		return err
	}
	_, err := unix.Wait4(o.pid, nil, 0, nil)
	return errors.Join(err, o.forget())
}

func (o *Oracle) forget() error {
	o.pid = 0
	if o.fd == 0 {
		return nil
	}
	fd := o.fd
	o.fd = 0
	return unix.Close(fd)
}

// reap reports whether and how the child died.
func (o *Oracle) reap() (a Answer, dead bool, err error) {
	var ws unix.WaitStatus
	pid, err := unix.Wait4(o.pid, &ws, unix.WNOHANG, nil)
	if err != nil || pid == 0 {
		return Answer{}, false, err
	}
	a = Answer{Returned, ws.ExitStatus()}
	if ws.Signaled() {
		a = Answer{Signal, int(ws.Signal())}
	}
	return a, true, o.forget()
}

// notification is struct seccomp_notif, response struct seccomp_notif_resp.
type notification struct {
	id         uint64
	pid, flags uint32
	nr         int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type response struct {
	id    uint64
	val   int64
	err   int32
	flags uint32
}

// notified takes a notification if there is one; gone means that none will
// come, because nobody has the filter any more.
func (o *Oracle) notified() (n *notification, gone bool, err error) {
	fds := []unix.PollFd{{Fd: int32(o.fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds, 0); err != nil && err != unix.EINTR {
		return nil, false, fmt.Errorf("poll for notifications: %w", err)
	}
	if fds[0].Revents&unix.POLLIN == 0 {
		return nil, fds[0].Revents != 0, nil
	}
	n = new(notification)
	switch err := o.ioctl(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(n)); err {
	case 0:
		return n, false, nil
	case unix.ENOENT, unix.EINTR: // the child died meanwhile
		return nil, false, nil
	default:
		return nil, false, fmt.Errorf("receive a notification: %w", err)
	}
}

func (o *Oracle) reply(id uint64, errno int32, flags uint32) error {
	r := response{id: id, err: errno, flags: flags}
	if err := o.ioctl(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r)); err != 0 {
		return fmt.Errorf("answer a notification: %w", err)
	}
	return nil
}

func (o *Oracle) ioctl(request uintptr, arg unsafe.Pointer) unix.Errno {
	_, _, err := unix.Syscall(unix.SYS_IOCTL, uintptr(o.fd), request, uintptr(arg))
	return err
}

// Run answers the questions that it reads, one a line.
func Run(in io.Reader, out io.Writer) (err error) {
	o, err := Start(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	w := bufio.NewWriter(out)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var q Question
		a := &q.Args
		if _, err := fmt.Sscanf(lines.Text(), "%x %x %x %x %x %x %x %x", &q.Audit, &q.Number, &a[0], &a[1], &a[2], &a[3], &a[4], &a[5]); err != nil {
			return fmt.Errorf("question %q: %w", lines.Text(), err)
		}
		answer, err := o.Ask(q)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w, answer); err != nil {
			return err
		}
	}
	return errors.Join(lines.Err(), w.Flush())
}

// shared is the page that parent and child talk through.
type shared struct {
	state      atomic.Uint32
	audit, nr  uint32
	args       [6]uint64
	result, fd int64
}

// The states. The child moves on from loading and asked, the parent from the
// others.
const (
	listening = 1 + iota
	loading
	ready
	asked
	answered
)
