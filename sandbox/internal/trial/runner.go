package trial

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// call is a system call of a trial. If from is not -1, args[from] is what the
// first call gave. pass is an errno that does not end the trial.
type call struct {
	nr   uintptr
	args [6]uintptr
	from int
	pass unix.Errno
}

// most is how many calls one trial has.
const most = 8

// page is what the child that tries shares with its parent.
type page struct {
	done  uint32 // how many calls have ended
	errno [most]uint32
	value [most]uint64
	calls [most]call
	buf   [1 << 16]byte
}

// runner makes calls in forked children.
type runner struct {
	page *page
	used int // of page.buf
	// relayed is as in Request.
	relayed bool
}

func newRunner() (*runner, error) {
	m, err := unix.MmapPtr(-1, 0, nil, unsafe.Sizeof(page{}), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	return &runner{page: (*page)(m)}, err
}

// patience is how long a call may take.
const patience = 3 * time.Second

// run makes the calls in a child, one after the other, until one fails. The
// outcome is that of the last one made.
func (r *runner) run(calls ...call) Outcome {
	p := r.page
	p.done = 0
	copy(p.calls[:], calls)
	pid, errno := fork(p, len(calls))
	if errno != 0 {
		return Outcome{Untried: "no process can be made for it: " + errno.Error()}
	}
	late := false
	timer := time.AfterFunc(patience, func() {
		late = true
		unix.Kill(pid, unix.SIGKILL)
	})
	var ws unix.WaitStatus
	for {
		if _, err := unix.Wait4(pid, &ws, 0, nil); err != unix.EINTR {
			break
		}
	}
	stopped := timer.Stop()
	switch done := int(p.done); {
	case !stopped && late:
		return Outcome{Works: true, Detail: "it went on for " + patience.String()}
	case ws.Signaled() && done < len(calls):
		return Outcome{Signal: ws.Signal()}
	case done == 0:
		return Outcome{Works: true, Detail: "it ended the process"}
	default:
		last := done - 1
		e := unix.Errno(p.errno[last])
		return Outcome{Works: done == len(calls) && (e == 0 || e == p.calls[last].pass), Errno: e}
	}
}

// fork makes the child. Nothing of the Go runtime runs in it: it makes the calls
// and exits.
//
//go:noinline
//go:nosplit
//go:norace
func fork(p *page, n int) (int, unix.Errno) {
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return int(pid), errno
	}
	for i := 0; i < n && i < most; i++ {
		c := &p.calls[i]
		if uint(c.from) < uint(len(c.args)) {
			c.args[c.from] = uintptr(p.value[0])
		}
		value, _, errno := syscall.RawSyscall6(c.nr, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5])
		p.value[i], p.errno[i] = uint64(value), uint32(errno)
		p.done = uint32(i + 1)
		if errno != 0 && errno != c.pass {
			break
		}
	}
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// space is n bytes for the kernel to read or write, until forget.
func (r *runner) space(n int) unsafe.Pointer {
	if r.used+n > len(r.page.buf) {
		panic("a trial takes too much memory")
	}
	p := unsafe.Pointer(&r.page.buf[r.used])
	clear(r.page.buf[r.used : r.used+n])
	r.used += (n + 7) &^ 7
	return p
}

// forget lets go of all that space gave.
func (r *runner) forget() { r.used = 0 }

// bytes is b for the kernel, and text is s with a zero byte behind it.
func (r *runner) bytes(b []byte) uintptr {
	p := r.space(len(b))
	copy(unsafe.Slice((*byte)(p), len(b)), b)
	return uintptr(p)
}

func (r *runner) text(s string) uintptr { return r.bytes(append([]byte(s), 0)) }
