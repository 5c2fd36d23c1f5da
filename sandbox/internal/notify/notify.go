// Package notify answers the calls that a filter with a listener asks about, just as the
// filters would have answered in whose place it is loaded, and records them. See
// seccomp_unotify(2), and package listen for the filter.
//
// What is read of the target's memory is for the record alone. It never decides: the
// answer comes of the numbers that the kernel hands over, by the filters themselves.
// No call is let through (SECCOMP_USER_NOTIF_FLAG_CONTINUE) but those that the filters
// allow, and that are only asked about to see which files a program wants.
package notify

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"sbx/policy/explain"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
	"sbx/policy/seccomp/listen"
	"sbx/sandbox/internal/setid"
	"sbx/sandbox/internal/unotify"
)

// Filter is one of the filters in whose place the one with the listener is loaded.
type Filter struct {
	// Name is what a report calls it, or "" for the policy's own.
	Name    string
	Program seccomp.Program
	// SetID says that it leaves calls of chmod(2) and its like to a listener; see package
	// setid.
	SetID bool
}

// Listener answers and records. It belongs to one goroutine.
type Listener struct {
	fd      int
	came    bool // the descriptor
	names   []string
	setID   int // the filter that leaves calls to chmod, or -1
	chmod   setid.Chmod
	filters listen.Filters

	denials map[key]*explain.Denial
	coarse  map[coarseKey]*explain.Denial // the first of each
	order   []*explain.Denial
	params  map[uint32][]explain.Param // by audit architecture's place and number; see paramsOf
	looked  int
	record  explain.Record

	// observed are the numbers of the calls that are asked about although they are
	// allowed, on the machine's own architecture; calls is what is known of them.
	observed map[uint32]bool
	calls    map[uint32]*watched
	args     []explain.FileArg // of the last one, to be used again
	files    files
	// bounds are limits of the target, init is its init, tmpfs are descriptors of its file
	// systems in memory, of which one was full. made is how many processes it has made.
	bounds Bounds
	init   int
	tmpfs  []int
	filled bool
	made   uint64

	attempts     map[attemptKey]*explain.Attempt
	attemptOrder []*explain.Attempt

	events  events
	learner *learner // nil: it does not learn

	who       who
	condemned []condemned
	request   unotify.Request
	received  []unotify.Request // and not answered yet
	last      uint32            // who asked last
	crowd     int               // how many questions more others may ask
	memory    [pageSize]byte
}

// New is a listener that has no descriptor yet. The filters are in the order of their
// loading. observed are the numbers of calls that the filter asks about when it allows
// them, on the machine's own architecture; files says that those about files are among
// them.
func New(filters []Filter, observed []uint32, files bool) (*Listener, error) {
	l := &Listener{
		fd: -1, setID: -1, denials: map[key]*explain.Denial{}, coarse: map[coarseKey]*explain.Denial{},
		params: map[uint32][]explain.Param{},
	}
	programs := make([]seccomp.Program, 0, len(filters))
	for i, f := range filters {
		l.names = append(l.names, f.Name)
		if f.SetID {
			l.setID, l.chmod = i, setid.NewChmod()
		}
		programs = append(programs, f.Program)
	}
	if len(observed) > 0 {
		l.observed, l.calls = map[uint32]bool{}, map[uint32]*watched{}
		l.attempts = map[attemptKey]*explain.Attempt{}
		for _, nr := range observed {
			l.observed[nr] = true
		}
	}
	l.files.full = map[string]string{}
	if files {
		l.files.seen, l.files.searched = map[fileKey]*explain.File{}, map[searched]bool{}
	}
	var err error
	if l.filters, err = listen.Decode(programs); err != nil {
		return nil, err
	}
	return l, nil
}

// Restrict tells of the target's Landlock domain: the rights that it gives at a path
// without links.
func (l *Listener) Restrict(allows func(real string) uint64) { l.files.allows = allows }

// Attach takes over the descriptor.
func (l *Listener) Attach(fd int) {
	l.fd, l.came = fd, true
	unotify.Attach(fd)
}

// Attached says whether there was a descriptor.
func (l *Listener) Attached() bool { return l.came }

// FD is the descriptor to poll, or -1 where there is none, or nobody any more who could
// ask.
func (l *Listener) FD() int { return l.fd }

// Close ends the listening: whoever asks from now on gets ENOSYS by the kernel.
func (l *Listener) Close() {
	if l.fd >= 0 {
		unix.Close(l.fd)
	}
	l.fd = -1
	for _, fd := range l.tmpfs {
		unix.Close(fd)
	}
	l.tmpfs = nil
	l.release()
}

// Serve answers one of those who have asked. events are those that poll(2) reported. An
// error means that the target cannot be answered as the policy says, and has to be ended.
func (l *Listener) Serve(events int16) error {
	switch {
	case l.fd < 0:
	case events&unix.POLLIN != 0:
		return l.answerSome()
	case events&(unix.POLLHUP|unix.POLLERR) != 0:
		unix.Close(l.fd) // all that had the filter have ended
		l.fd = -1
	}
	return nil
}

// answerSome answers those who have asked, and those that ask right afterwards: a program that asks
// mostly asks again, and to wait for that alone costs less than to wait for all that the
// launcher waits for. That gets its turn after a few milliseconds at most.
//
// All questions are received before one is answered, and between any two answers: until its
// question is received a signal ends the call of who asks, by EINTR if the handler is one without
// SA_RESTART, and programs do not expect that of clone(2), pipe(2) and the like. Afterwards only
// death does (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV). Where one process asks all the time, there
// are no others to look for.
func (l *Listener) answerSome() error {
	const most, wait = 100, 1 // questions, and milliseconds
	asked := true             // as poll(2) has said
	for n := 0; asked || len(l.received) > 0; n++ {
		if asked {
			if err := l.receive(); err != nil {
				return err
			}
		}
		if n < most {
			if err := l.gather(most); err != nil {
				return err
			}
		}
		if len(l.received) > 0 {
			l.request = l.received[0]
			l.received = slices.Delete(l.received, 0, 1)
			if err := l.answer(); err != nil {
				return err
			}
		}
		asked = n < most && len(l.received) == 0 && l.asked(wait)
	}
	return nil
}

// gather receives what others ask at the moment, so many in all.
func (l *Listener) gather(most int) error {
	for len(l.received) < most && l.crowd > 0 && l.asked(0) {
		if err := l.receive(); err != nil {
			return err
		}
	}
	return nil
}

// asked says whether somebody asks within so many milliseconds. What else poll(2) may say, the
// launcher's own sees.
func (l *Listener) asked(timeout int) bool {
	one := [1]unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(one[:], timeout)
	return err == nil && n > 0 && one[0].Revents == unix.POLLIN
}

// receive receives one question. poll(2) has said that there is one, so this does not wait;
// the one who asked may have been killed since.
func (l *Listener) receive() error {
	n := len(l.received)
	l.received = append(l.received, unotify.Request{})
	asked, err := unotify.Receive(l.fd, &l.received[n])
	if err != nil {
		return fmt.Errorf("receive a denied call: %w", err)
	}
	if !asked {
		l.received = l.received[:n]
		return nil
	}
	const several = 16
	if l.crowd--; l.received[n].PID != l.last {
		l.crowd, l.last = several, l.received[n].PID
	}
	return nil
}

// answer answers the question l.request.
func (l *Listener) answer() error {
	r := &l.request
	ret, by := l.filters.Verdict(bpf.Call{Audit: r.Audit, Number: r.Number, IP: r.IP, Args: r.Args})
	action, known := seccomp.ActionOf(ret)
	if !known {
		action = seccomp.Action{Kind: seccomp.KillProcess}
	}
	answer := unotify.Response{ID: r.ID}
	switch action.Kind {
	case seccomp.Allow:
		// What the filter allows it asks about only for the record. A filter that asks
		// about anything else is not ours.
		if !l.observed[r.Number] || !l.native() {
			return fmt.Errorf("answer call %d: it is allowed, and not observed", r.Number)
		}
		if l.learner != nil {
			l.learn()
		} else {
			l.observe()
		}
		if changes(r.Number) {
			l.who = who{}
		}
		if r.Number == unix.SYS_CHROOT || r.Number == unix.SYS_PIVOT_ROOT {
			clear(l.files.searched)
		}
		answer.Flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	case seccomp.KillProcess, seccomp.KillThread:
		l.note(action, by)
		if err := l.kill(r.PID); err != nil {
			return err
		}
		answer.Errno = -int32(unix.EPERM) // for the moment until the end
	case seccomp.Errno:
		answer.Errno = -int32(action.Errno)
		if action.Errno != 0 { // 0 is how a filter says that the call was made
			l.note(action, by)
		}
	case seccomp.Notify:
		if by == l.setID && by >= 0 {
			// A directory gets its set-group-ID bit. Nothing else is called so by that filter.
			errno := l.chmod.Answer(l.fd, r)
			if answer.Errno = -int32(errno); errno == unix.EPERM {
				l.note(seccomp.Action{Kind: seccomp.Errno, Errno: uint16(errno)}, by)
			}
			break
		}
		// The policy has a listener of its own in mind. There is none, and that is what
		// the kernel says then.
		l.note(action, by)
		answer.Errno = -int32(unix.ENOSYS)
	default:
		// A trap, which only the kernel can make, where an earlier filter denies the call
		// as well.
		action = seccomp.Action{Kind: seccomp.Errno, Errno: uint16(unix.EPERM)}
		l.note(action, by)
		answer.Errno = -int32(unix.EPERM)
	}
	if err := unotify.Send(l.fd, &answer); err != nil {
		return fmt.Errorf("answer a denied call: %w", err)
	}
	return nil
}

// valid says that the one who asks still waits: what was read of its process is its own.
func (l *Listener) valid() bool {
	return unotify.Valid(l.fd, l.request.ID)
}
