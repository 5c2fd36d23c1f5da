// Package oracle asks the kernel what seccomp filters answer to calls that are
// not made. See README.md beside it.
package oracle

import (
	"bufio"
	"errors"
	"fmt"
	"io"
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

// Ask asks about the filters of this process, and about filter besides if it is
// not nil: sock_filter structures, which only the asking child loads.
func Ask(filter []byte, questions []Question) ([]Answer, error) {
	o := &oracle{filter: filter, questions: questions, answers: make([]Answer, len(questions))}
	size := int(unsafe.Sizeof(shared{})) + len(questions)*int(unsafe.Sizeof(entry{}))
	page, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("share memory: %w", err)
	}
	defer unix.Munmap(page)
	o.shared = (*shared)(unsafe.Pointer(&page[0]))
	o.shared.count = uint32(len(questions))
	entries := o.shared.entries()
	for i, q := range questions {
		entries[i] = entry{audit: q.Audit, nr: q.Number, args: q.Args}
	}
	// The child asks one after the other; a question that kills it is its
	// last one, and the next child goes on.
	for o.shared.next.Load() < o.shared.count {
		if err := o.child(); err != nil {
			return nil, err
		}
	}
	return o.answers, nil
}

// oracle is one Ask.
type oracle struct {
	filter    []byte
	questions []Question
	answers   []Answer
	shared    *shared
	pid, fd   int
}

// shared is the memory that parent and child talk through; the entries follow
// it.
type shared struct {
	state, next atomic.Uint32
	count       uint32
	fd          int32
	errno       uint64
}

// entry is a question and what the call returned.
type entry struct {
	audit, nr uint32
	args      [6]uint64
	result    int64
}

// The states: the parent moves on from listening, the child from the others.
const (
	listening = 1 + iota
	loading
	asking
	done
)

//go:nosplit
//go:norace
func (s *shared) at(i uint32) *entry {
	return (*entry)(unsafe.Add(unsafe.Pointer(s), unsafe.Sizeof(shared{})+uintptr(i)*unsafe.Sizeof(entry{})))
}

func (s *shared) entries() []entry { return unsafe.Slice(s.at(0), s.count) }

// child starts a child and serves it until it has asked all or died.
func (o *oracle) child() (err error) {
	if err := o.fork(); err != nil {
		return err
	}
	defer func() {
		if o.pid != 0 {
			if kill := unix.Kill(o.pid, unix.SIGKILL); kill != nil {
				err = errors.Join(err, fmt.Errorf("end the child: %w", kill))
			} else if _, wait := unix.Wait4(o.pid, nil, 0, nil); wait != nil {
				err = errors.Join(err, fmt.Errorf("wait for the child: %w", wait))
			}
		}
		if o.fd > 0 {
			err = errors.Join(err, unix.Close(o.fd))
		}
		o.pid, o.fd = 0, 0
	}()
	passed := false // whether the question at hand reached us
	at := o.shared.next.Load()
	for {
		if o.fd == 0 {
			if o.shared.state.Load() != listening {
				if died, err := o.died(0); died || err != nil {
					return err
				}
				runtime.Gosched()
				continue
			}
			// The descriptor table is the child's, too.
			o.fd = int(o.shared.fd)
			o.shared.state.Store(loading)
		}
		n, gone, err := o.notified()
		if err != nil {
			return err
		}
		// What was asked before the one at hand has its answer.
		for next := o.shared.next.Load(); at < next; at++ {
			o.answers[at] = answer(o.shared.at(at).result, passed)
			passed = false
		}
		switch {
		case n != nil && o.shared.state.Load() == loading:
			// Loading the second filter is a call that the first one asks about.
			err = o.reply(n.id, 0, unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE)
		case n != nil:
			q := o.questions[at]
			if n.arch != q.Audit || n.nr != int32(q.Number) || !sameArgs(q, n.args) {
				return fmt.Errorf("asked %+v, the filter saw %#x %#x%#x", q, n.arch, n.nr, n.args)
			}
			passed = true
			err = o.reply(n.id, -magic, 0)
		case o.shared.state.Load() == done:
			return nil
		case gone:
			var died bool
			if died, err = o.died(at); died {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// answer tells from what a call returned, and whether it reached us, what
// became of it.
func answer(result int64, passed bool) Answer {
	switch ret := int(result); {
	case passed && ret == -magic:
		return Answer{Kind: Pass}
	case !passed && ret < 0 && ret >= -4095:
		return Answer{Errno, -ret}
	default:
		return Answer{Returned, ret}
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

// fork starts a child.
func (o *oracle) fork() error {
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
		all.Val[i] = ^all.Val[i]
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
	return nil
}

// died reports whether the child has died, and if so answers the question at
// hand by how.
func (o *oracle) died(at uint32) (bool, error) {
	var ws unix.WaitStatus
	pid, err := unix.Wait4(o.pid, &ws, unix.WNOHANG, nil)
	if err != nil || pid == 0 {
		return false, err
	}
	o.pid = 0
	if o.shared.state.Load() != asking {
		return true, fmt.Errorf("the child could not load its filter: %w", unix.Errno(o.shared.errno))
	}
	o.answers[at] = Answer{Returned, ws.ExitStatus()}
	if ws.Signaled() {
		o.answers[at] = Answer{Signal, int(ws.Signal())}
	}
	o.shared.next.Store(at + 1)
	return true, nil
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

// notified waits for a notification, a millisecond at most; gone means that
// none will come, because nobody has the filter any more.
func (o *oracle) notified() (n *notification, gone bool, err error) {
	fds := []unix.PollFd{{Fd: int32(o.fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds, 1); err != nil && err != unix.EINTR {
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

func (o *oracle) reply(id uint64, errno int32, flags uint32) error {
	r := response{id: id, err: errno, flags: flags}
	if err := o.ioctl(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r)); err != 0 {
		return fmt.Errorf("answer a notification: %w", err)
	}
	return nil
}

func (o *oracle) ioctl(request uintptr, arg unsafe.Pointer) unix.Errno {
	_, _, err := unix.Syscall(unix.SYS_IOCTL, uintptr(o.fd), request, uintptr(arg))
	return err
}

// Run answers the questions that it reads, one a line.
func Run(in io.Reader, out io.Writer) error {
	var questions []Question
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var q Question
		a := &q.Args
		if _, err := fmt.Sscanf(lines.Text(), "%x %x %x %x %x %x %x %x", &q.Audit, &q.Number, &a[0], &a[1], &a[2], &a[3],
			&a[4], &a[5]); err != nil {
			return fmt.Errorf("question %q: %w", lines.Text(), err)
		}
		questions = append(questions, q)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	answers, err := Ask(nil, questions)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	for _, a := range answers {
		if _, err := fmt.Fprintln(w, a); err != nil {
			return err
		}
	}
	return w.Flush()
}
