// Package signals hands the process's signals to a descriptor with all that
// the kernel says of them. os/signal leaves out si_code, and with it whether
// a terminal sent the signal to the whole group or somebody to us alone.
package signals

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Info is the part of siginfo_t that counts here; see sigaction(2).
type Info struct {
	Signal unix.Signal
	// Code is si_code: above zero when the kernel sent the signal, a
	// terminal's among them.
	Code int32
	// PID is si_pid, the sender's, of a signal that a process sent.
	PID int32
}

// pipe is the descriptor that the handler writes to.
//
//lint:ignore U1000 the assembler reads it
var pipe int64

// handlers gives the addresses of the signal handler, which writes its
// siginfo_t to pipe, and of its return trampoline (0 where the kernel has
// its own).
func handlers() (handler, restorer uintptr)

type sigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

// Flags of sigaction(2), from asm-generic/signal-defs.h.
const (
	saSiginfo  = 0x4
	saRestorer = 0x04000000
	saOnstack  = 0x08000000
	saRestart  = 0x10000000
)

// Catch replaces the Go runtime's handlers of the given signals and returns
// the descriptor to read from with Read. Once per process: the old handlers
// do not come back.
func Catch(list ...unix.Signal) (int, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, fmt.Errorf("make a pipe for signals: %w", err)
	}
	pipe = int64(p[1])
	handler, restorer := handlers()
	// The handler may interrupt any thread, so on the alternate stack.
	act := sigaction{handler: handler, flags: saSiginfo | saOnstack | saRestart, restorer: restorer, mask: ^uint64(0)}
	if restorer != 0 {
		act.flags |= saRestorer
	}
	for _, s := range list {
		if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0); e != 0 {
			return -1, fmt.Errorf("catch signal %d: %w", s, e)
		}
	}
	return p[0], nil
}

// Read takes one signal from the descriptor, if there is one.
func Read(fd int) (Info, bool) {
	var b [128]byte
	n, err := unix.Read(fd, b[:])
	if err != nil || n < 20 {
		return Info{}, false
	}
	return Info{unix.Signal(binary.NativeEndian.Uint32(b[0:])), int32(binary.NativeEndian.Uint32(b[8:])),
		int32(binary.NativeEndian.Uint32(b[16:]))}, true
}

// Stop stops the process as Ctrl-Z at its terminal does, until somebody
// continues it: so not at all where its process group is an orphan, whose
// stopped processes nobody would continue. The calling goroutine is locked to
// its thread.
func Stop() error {
	var old, def sigaction
	set := func(to, was *sigaction) error {
		_, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGTSTP), uintptr(unsafe.Pointer(to)),
			uintptr(unsafe.Pointer(was)), 8, 0, 0)
		if e != 0 {
			return fmt.Errorf("stop at the terminal: %w", e)
		}
		return nil
	}
	if err := set(&def, &old); err != nil {
		return err
	}
	// To this thread: it is back here only when all is over.
	err := unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGTSTP)
	return errors.Join(err, set(&old, nil))
}

// Raise sends the process a signal with its default action, whatever it was
// started with: for most signals that is its end. With job, its whole process
// group gets it, as from a key at the terminal. The calling goroutine is locked
// to its thread.
func Raise(s unix.Signal, job bool) error {
	if s != unix.SIGKILL && s != unix.SIGSTOP {
		var def sigaction
		if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&def)), 0, 8, 0, 0); e != 0 {
			return fmt.Errorf("restore the default action of signal %d: %w", s, e)
		}
		set := uint64(1) << uint(s-1)
		_, _, e := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_UNBLOCK, uintptr(unsafe.Pointer(&set)), 0, 8, 0, 0)
		if e != 0 {
			return fmt.Errorf("unblock signal %d: %w", s, e)
		}
	}
	var err error
	if job {
		err = unix.Kill(0, s)
	}
	// To this thread, so that it is delivered before this returns.
	if err = errors.Join(err, unix.Tgkill(unix.Getpid(), unix.Gettid(), s)); err != nil {
		return fmt.Errorf("send signal %d: %w", s, err)
	}
	return nil
}
