package child

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// JanitorConfig is what the janitor needs beside its table.
type JanitorConfig struct {
	// UndoAt is the index of the table's first call that undoes; all before it
	// are made at once.
	UndoAt int
	// Socket is the janitor's end of a socket of packets. It sends a byte there
	// when all is prepared; the other end is the launcher's alone. The sandbox's
	// first process uses it for step.MsgInit; when something else is said, or it
	// hangs up, the janitor undoes.
	Socket int
}

// StartJanitor forks the janitor, which outlives a launcher that is killed and
// undoes what it left outside. It makes the table's calls up to UndoAt, waits
// for the end, makes the rest and exits: with 0 when all went well, else with
// 125 and the call that failed first in st. A call that fails before UndoAt
// goes straight to the undoing, in which one that fails stops none behind it.
//
// It is a copy of the launcher with all signals blocked. The descriptor is a
// pidfd. Errors are clone3(2)'s.
//
//go:noinline
//go:norace
func StartJanitor(t *step.Table, st *Status, cfg JanitorConfig) (pid, pidfd int, err error) {
	fd := int32(-1)
	st.setTable(t)
	args := cloneArgs{
		flags:      unix.CLONE_PIDFD | cloneClearSighand,
		pidfd:      uint64(uintptr(unsafe.Pointer(&fd))),
		exitSignal: uint64(unix.SIGCHLD),
	}
	r, errno := forkJanitor(&args, unsafe.Pointer(&t.Calls[0]), uintptr(len(t.Calls)), st, &cfg)
	if errno != 0 {
		return 0, -1, errno
	}
	return int(r), int(fd), nil
}

// Undo makes the table's calls from undoAt on in the calling thread, for a
// janitor that is dead.
//
//go:noinline
//go:norace
func Undo(t *step.Table, st *Status, undoAt int) {
	walkJanitor(unsafe.Pointer(&t.Calls[0]), uintptr(undoAt), uintptr(len(t.Calls)), st, true)
}

//go:noinline
//go:nosplit
//go:norace
func forkJanitor(
	args *cloneArgs, calls unsafe.Pointer, n uintptr, st *Status, cfg *JanitorConfig,
) (uintptr, syscall.Errno) {
	beforeFork()
	r, errno := clone(args)
	if errno != 0 || r != 0 {
		afterFork()
		return r, errno
	}
	keep(calls, n, st, cfg)
	return 0, 0 // never
}

//go:nosplit
//go:norace
func keep(calls unsafe.Pointer, n uintptr, st *Status, cfg *JanitorConfig) {
	undoAt := uintptr(cfg.UndoAt)
	walkJanitor(calls, 0, undoAt, st, false)
	if st.Failed == 0 {
		st.ready = 1
		syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(cfg.Socket), uintptr(unsafe.Pointer(&st.ready)), 1,
			unix.MSG_NOSIGNAL, 0, 0)
		for hearJanitor(st, cfg) {
		}
	}
	walkJanitor(calls, undoAt, n, st, true)
	if st.Failed != 0 {
		exit(125)
	}
	exit(0)
}

// hearJanitor takes what comes by step.MsgInit. It is false when something else
// is said, or nobody is left to say it: the end.
//
//go:nosplit
//go:norace
func hearJanitor(st *Status, cfg *JanitorConfig) bool {
	const header = 16 // struct cmsghdr
	st.vector = [2]uintptr{uintptr(unsafe.Pointer(&st.packet)), unsafe.Sizeof(st.packet)}
	st.message = [7]uintptr{2: uintptr(unsafe.Pointer(&st.vector)), 3: 1,
		4: uintptr(unsafe.Pointer(&st.rights)), 5: unsafe.Sizeof(st.rights)}
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMSG, uintptr(cfg.Socket), uintptr(unsafe.Pointer(&st.message)),
		unix.MSG_CMSG_CLOEXEC, 0, 0, 0)
	switch {
	case errno == unix.EINTR:
		return true
	case errno == 0 && n == 0:
		awaitInit(st) // the launcher was killed
		return false
	case errno == 0 && st.packet[0] == step.MsgInit && st.message[5] >= header+4:
		st.initFD = int32(uint32(st.rights[2])) + 1
		return true
	}
	return false
}

// awaitInit waits for the end of the init, which has been killed: it ends after
// all others in the sandbox. One that hangs in the kernel is not waited for
// longer than a minute.
//
//go:nosplit
//go:norace
func awaitInit(st *Status) {
	if st.initFD == 0 {
		return // there is none yet, or nothing that it could still change
	}
	// struct pollfd with POLLIN
	st.mask = uint64(uint32(st.initFD - 1))
	*(*uint16)(unsafe.Add(unsafe.Pointer(&st.mask), 4)) = unix.POLLIN
	st.timespec = [2]uint64{60, 0}
	for {
		_, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&st.mask)), 1,
			uintptr(unsafe.Pointer(&st.timespec)), 0, 8, 0)
		if errno != unix.EINTR {
			return
		}
	}
}

// walkJanitor makes calls i to end-1: simple ones, and those that are tried
// until they succeed. The first failure is written down; all goes on behind
// it, or nothing.
//
//go:nosplit
//go:norace
func walkJanitor(calls unsafe.Pointer, i, end uintptr, st *Status, all bool) {
	for ; i < end; i++ {
		c := (*step.Call)(unsafe.Add(calls, i*unsafe.Sizeof(step.Call{})))
		r, errno := uintptr(0), uintptr(0)
		switch c.Op {
		case step.OpSkip:
			if !equal(c.Arg[0], c.Arg[1], c.Arg[2]) {
				i += c.Arg[3]
			}
		case step.OpRetry:
			errno = verdict(c, 0, retry(c, st))
		case step.OpForget:
			forget(c, st)
		case step.OpRestore:
			errno = restore(c.Arg[0], st)
		default:
			r, errno = simple(c, st)
		}
		if errno != 0 {
			note(st, i, errno, r)
			if !all {
				return
			}
			r = ^uintptr(0) // no descriptor
		}
		if c.Save != 0 {
			st.slot[(c.Save-1)%step.NumSlots] = r
		}
	}
}

// retry makes a call of at most three arguments again and again while it
// answers EBUSY, as often as Arg[3] says, with the pause at Arg[4] between.
//
//go:nosplit
//go:norace
func retry(c *step.Call, st *Status) uintptr {
	for n := c.Arg[3]; ; n-- {
		_, _, errno := syscall.RawSyscall6(c.Nr, value(c, 0, st), value(c, 1, st), value(c, 2, st), 0, 0, 0)
		if errno != unix.EBUSY || n == 0 {
			return uintptr(errno)
		}
		syscall.RawSyscall6(unix.SYS_NANOSLEEP, c.Arg[4], 0, 0, 0, 0, 0)
	}
}
