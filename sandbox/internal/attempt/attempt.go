// Package attempt makes system calls in a forked child, to see whether they work: what
// a call does to its process, and a filter that kills, ends the child alone.
package attempt

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Call is a system call. If From is not -1, Args[From] is what call number Of gave. Pass
// is an errno that does not end the attempt.
type Call struct {
	Nr   uintptr
	Args [6]uintptr
	From int
	Of   int
	Pass unix.Errno
}

// most is how many calls one attempt has.
const most = 32

// Outcome is what came of an attempt.
type Outcome struct {
	// Works says that all calls were made, and the last one without an error.
	Works bool `json:"works"`
	// Errno is why it failed, or 0. Signal is what ended the process that tried.
	Errno  unix.Errno  `json:"errno,omitempty"`
	Signal unix.Signal `json:"signal,omitempty"`
	// Detail says more. Untried is why it could not be tried, or "".
	Detail  string `json:"detail,omitempty"`
	Untried string `json:"untried,omitempty"`
	// Made says that a file was made for it.
	Made bool `json:"made,omitempty"`
	// Value is the soft limit of a limit.
	Value uint64 `json:"value,omitempty"`
}

// page is what the child that tries shares with its parent.
type page struct {
	done  uint32 // how many calls have ended
	errno [most]uint32
	value [most]uint64
	calls [most]Call
	buf   [1 << 16]byte
}

// Runner makes calls in forked children.
type Runner struct {
	page *page
	used int // of page.buf
}

// New is a runner, with memory of its own.
func New() (*Runner, error) {
	m, err := unix.MmapPtr(-1, 0, nil, unsafe.Sizeof(page{}), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	return &Runner{page: (*page)(m)}, err
}

// patience is how long a call may take.
const patience = 3 * time.Second

// Run makes the calls in a child, one after the other, until one fails. The outcome is
// that of the last one made. flags are those of clone(2), for new namespaces.
func (r *Runner) Run(flags uintptr, calls ...Call) Outcome {
	p := r.page
	p.done = 0
	copy(p.calls[:], calls)
	pid, errno := fork(flags, p, len(calls))
	if errno != 0 {
		return Outcome{Errno: errno, Untried: "no process can be made for it: " + errno.Error()}
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
		return Outcome{Works: done == len(calls) && (e == 0 || e == p.calls[last].Pass), Errno: e}
	}
}

// fork makes the child. Nothing of the Go runtime runs in it: it makes the calls
// and exits.
//
//go:noinline
//go:nosplit
//go:norace
func fork(flags uintptr, p *page, n int) (int, unix.Errno) {
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD)|flags, 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return int(pid), errno
	}
	for i := 0; i < n && i < most; i++ {
		c := &p.calls[i]
		if uint(c.From) < uint(len(c.Args)) && uint(c.Of) < most {
			c.Args[c.From] = uintptr(p.value[c.Of])
		}
		value, _, errno := syscall.RawSyscall6(c.Nr, c.Args[0], c.Args[1], c.Args[2], c.Args[3], c.Args[4], c.Args[5])
		p.value[i], p.errno[i] = uint64(value), uint32(errno)
		p.done = uint32(i + 1)
		if errno != 0 && errno != c.Pass {
			break
		}
	}
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// Space is n bytes for the kernel to read or write, until Forget.
func (r *Runner) Space(n int) unsafe.Pointer {
	if r.used+n > len(r.page.buf) {
		panic("an attempt takes too much memory")
	}
	p := unsafe.Pointer(&r.page.buf[r.used])
	clear(r.page.buf[r.used : r.used+n])
	r.used += (n + 7) &^ 7
	return p
}

// Forget lets go of all that Space gave.
func (r *Runner) Forget() { r.used = 0 }

// Bytes is b for the kernel, and Text is s with a zero byte behind it.
func (r *Runner) Bytes(b []byte) uintptr {
	p := r.Space(len(b))
	copy(unsafe.Slice((*byte)(p), len(b)), b)
	return uintptr(p)
}

// Text is described there.
func (r *Runner) Text(s string) uintptr { return r.Bytes(append([]byte(s), 0)) }

// Done is how many calls the last Run has made, and Value and Errno what one of them gave.
func (r *Runner) Done() int { return int(r.page.done) }

// Value is described there.
func (r *Runner) Value(i int) uint64 { return r.page.value[i] }

// Errno is described there.
func (r *Runner) Errno(i int) unix.Errno { return unix.Errno(r.page.errno[i]) }
