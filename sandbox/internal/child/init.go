package child

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// initLoop is the sandbox's pid 1: it reaps whatever ends, passes the
// launcher's signals on to the target, tells the launcher when the target
// stops, and ends as the target does; the kernel then kills the rest, or init
// does where it is no pid 1.
//
// All signals are blocked, and wake it: it then looks at everything, whichever
// it was. So none can be forged or crowded out, neither by those inside, who
// may send it any, nor by the terminal. SIGIO says that the launcher has
// written or gone (see step.MsgSignal), SIGALRM that the time may be over.
//
// Each turn makes a bounded number of calls: who forks, stops and orphans as
// fast as can be keeps init from none of them.
//
//go:nosplit
//go:norace
func initLoop(target uintptr, st *Status, cfg *Config) {
	st.mask = ^uint64(0)
	if cfg.Timed || cfg.Watched {
		st.packet[0] = step.MsgStarted
		syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(cfg.Notify), uintptr(unsafe.Pointer(&st.packet)), 1,
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	}
	for {
		more, ended := reap(target, st, cfg)
		if ended {
			endWith(st, cfg)
		}
		more = hear(target, st, cfg) || more
		if cfg.Timed && timeOver(st) {
			st.TimedOut = 1
			endAll(st, cfg)
			exit(128 + uintptr(unix.SIGKILL))
		}
		if errno := sleep(st, more, 0); errno != 0 {
			giveUp(st, cfg, errno)
		}
	}
}

// sleep waits for a signal: not at all if there is more to do, else for so
// many nanoseconds, or without end for 0.
//
//go:nosplit
//go:norace
func sleep(st *Status, more bool, nanoseconds uint64) (errno uintptr) {
	timeout := uintptr(0)
	if more || nanoseconds != 0 {
		st.timespec = [2]uint64{0, nanoseconds}
		if more {
			st.timespec[1] = 0
		}
		timeout = uintptr(unsafe.Pointer(&st.timespec))
	}
	_, _, e := syscall.RawSyscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&st.mask)), 0, timeout, 8, 0, 0)
	if e == unix.EINTR || e == unix.EAGAIN {
		return 0
	}
	return uintptr(e)
}

// timeOver says whether the timer of process.Timeout has run out. It is asked
// itself: its signal is lost where another SIGALRM, which those inside may
// send, waits already. But that wakes init as well.
//
//go:nosplit
//go:norace
func timeOver(st *Status) bool {
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETITIMER, 0, /* ITIMER_REAL */
		uintptr(unsafe.Pointer(&st.timer)), 0, 0, 0, 0)
	return errno == 0 && st.timer[2] == 0 && st.timer[3] == 0
}

// hear does what the launcher says; see step.MsgSignal. It is true if there
// may be more.
//
//go:nosplit
//go:norace
func hear(target uintptr, st *Status, cfg *Config) bool {
	const most = 16
	for range most {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(cfg.Notify), uintptr(unsafe.Pointer(&st.packet)),
			unsafe.Sizeof(st.packet), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno == unix.ECONNRESET || errno == 0 && n == 0:
			endAll(st, cfg) // the launcher is gone
			exit(125)
		case errno == unix.EAGAIN:
			return false
		case errno != 0:
			giveUp(st, cfg, uintptr(errno))
		case n == 3 && st.packet[0] == step.MsgSignal:
			sig := uintptr(st.packet[1])
			if st.packet[2] == step.ToGroup {
				// The target may have no group of its own yet.
				if _, _, errno := syscall.RawSyscall6(unix.SYS_KILL, -target, sig, 0, 0, 0, 0); errno == 0 {
					continue
				}
			}
			syscall.RawSyscall6(unix.SYS_KILL, target, sig, 0, 0, 0, 0)
		case n == 1 && st.packet[0] == step.MsgSocket:
			sendSocket(st, cfg)
		case n == 1 && st.packet[0] == step.MsgRest:
			GiveBack(cfg.Code[0], cfg.Code[1])
		}
	}
	return true
}

// giveUp ends init, and so all, when it cannot do its work: the target does
// not go on with nobody to end it.
//
//go:nosplit
//go:norace
func giveUp(st *Status, cfg *Config, errno uintptr) {
	st.Lost = uint32(errno)
	endAll(st, cfg)
	exit(125)
}

// endAll kills all that is left of the sandbox and counts it, in st.Left.
//
//go:nosplit
//go:norace
func endAll(st *Status, cfg *Config) {
	if cfg.Children < 0 {
		endNamespace(st)
		return
	}
	// The pid namespace is not the sandbox's own. Orphans become init's
	// children (PR_SET_CHILD_SUBREAPER), so those are killed until there are
	// none. None of them can be somebody else's: their numbers are not free
	// before init waits for them.
	//
	// First killed, then reaped: to find one that has ended among thousands
	// that live takes long, and those that make others meanwhile go on.
	for killed := !reapKilled(st, false, 1); killed; killed = !reapKilled(st, true, 256) {
		killChildren(st, cfg)
	}
}

// endNamespace kills all in the sandbox's own pid namespace, which the end of
// init would do as well, to count them. Without any, which is the rule, that
// is one call. What has not ended in a moment is left to the kernel.
//
//go:nosplit
//go:norace
func endNamespace(st *Status) {
	if pid, _, _ := syscall.RawSyscall6(unix.SYS_GETPID, 0, 0, 0, 0, 0, 0); pid != 1 {
		return // all that there are would be more than the sandbox's
	}
	const turns = 20 // of 10 ms or less
	for i := 0; i < turns && !reapKilled(st, i > 0, 1024); i++ {
		syscall.RawSyscall6(unix.SYS_KILL, ^uintptr(0), uintptr(unix.SIGKILL), 0, 0, 0, 0)
	}
}

// giveMoment waits for helpers of a target that has ended: they find their pipes
// closed and end by themselves, as those of Python's multiprocessing do. They
// have a moment, whatever signals wake init meanwhile, and however many there are.
//
//go:nosplit
//go:norace
func giveMoment(st *Status) {
	const moment, turns = 150_000_000, 256
	until := now(st) + moment
	for i := 0; i < turns && !reapKilled(st, false, 256); i++ {
		at := now(st)
		if at >= until {
			return
		}
		sleep(st, false, until-at)
	}
}

// now is the time in nanoseconds, of a clock that nobody sets.
//
//go:nosplit
//go:norace
func now(st *Status) uint64 {
	st.timespec = [2]uint64{}
	syscall.RawSyscall6(unix.SYS_CLOCK_GETTIME, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&st.timespec)), 0, 0, 0, 0)
	return st.timespec[0]*1_000_000_000 + st.timespec[1]
}

// killChildren kills all on the list of init's children. It is read from its
// beginning to its end, up to a bound: at its head are the oldest, which may be
// thousands, and at its end those that make others.
//
//go:nosplit
//go:norace
func killChildren(st *Status, cfg *Config) {
	syscall.RawSyscall6(unix.SYS_LSEEK, uintptr(cfg.Children), 0, 0 /* SEEK_SET */, 0, 0, 0)
	pid := uintptr(0) // decimal numbers, each with a space behind it
	const reads = 64
	for range reads {
		n, _, errno := syscall.RawSyscall6(unix.SYS_READ, uintptr(cfg.Children), uintptr(unsafe.Pointer(&st.list)),
			unsafe.Sizeof(st.list), 0, 0, 0)
		if errno != 0 || n == 0 || n > unsafe.Sizeof(st.list) {
			return
		}
		for i := uintptr(0); i < n; i++ {
			c := *(*byte)(unsafe.Add(unsafe.Pointer(&st.list), i))
			if c >= '0' && c <= '9' {
				pid = pid*10 + uintptr(c-'0')
				continue
			}
			if pid != 0 {
				syscall.RawSyscall6(unix.SYS_KILL, pid, uintptr(unix.SIGKILL), 0, 0, 0, 0)
			}
			pid = 0
		}
	}
}

// reapKilled waits for children that have ended, so many at most. It says
// whether there are none. With killed, which says that all were, it counts
// those and gives them a moment where there is none yet.
//
//go:nosplit
//go:norace
func reapKilled(st *Status, killed bool, most int) bool {
	for i := range most {
		pid, _, errno := syscall.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&st.wait)),
			unix.WNOHANG, 0, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			return true // ECHILD
		case pid != 0:
			if killed && st.wait&0x7f == uint32(unix.SIGKILL) && uint32(pid) != st.handOver {
				st.Left++
			}
		default:
			if killed && i == 0 {
				sleep(st, false, 10_000_000)
			}
			return false
		}
	}
	return false
}

// reap waits for whatever has ended, and for the target if it was stopped. It says
// whether the target has ended. more is true if there may be more: a bounded number of waits, or who forks and
// stops as fast as can be would keep init from everything else.
//
//go:nosplit
//go:norace
func reap(target uintptr, st *Status, cfg *Config) (more, ended bool) {
	const most = 32
	// The stops of the target alone: those of others are nobody's business,
	// and come without end where they are continued.
	pid, options := target, uintptr(unix.WNOHANG|unix.WUNTRACED)
	for range most {
		got, _, errno := syscall.RawSyscall6(unix.SYS_WAIT4, pid, uintptr(unsafe.Pointer(&st.wait)), options,
			uintptr(unsafe.Pointer(&st.Usage)), 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			giveUp(st, cfg, uintptr(errno))
		}
		if got == target && !stopped(st, cfg) {
			return false, true
		}
		if pid == target {
			pid, options = ^uintptr(0), unix.WNOHANG // whoever
		} else if got == 0 {
			return false, false
		}
	}
	return true, false
}

// stopped says whether the target was stopped, not ended, and tells the launcher.
//
//go:nosplit
//go:norace
func stopped(st *Status, cfg *Config) bool {
	if st.wait&0xff != 0x7f {
		return false
	}
	// Never block on the launcher, never die of its death: that is what
	// PR_SET_PDEATHSIG is for.
	st.packet = [4]byte{step.MsgStopped, byte(st.wait >> 8)}
	syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(cfg.Notify), uintptr(unsafe.Pointer(&st.packet)), 2,
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return true
}

// endWith ends as the target did, and with it all that it has left.
//
//go:nosplit
//go:norace
func endWith(st *Status, cfg *Config) {
	ws := st.wait
	st.WaitStatus, st.Ended = ws, 1
	if st.handOver != 0 {
		awaitHandOver(st)
	}
	if cfg.Children < 0 {
		giveMoment(st)
	}
	endAll(st, cfg)
	if ws&0x7f == 0 {
		exit(uintptr(ws>>8) & 0xff)
	}
	exit(128 + uintptr(ws&0x7f))
}

// awaitHandOver gives the process of step.OpHandOver, which has begun with the
// target's exec, a moment to send what it has.
//
//go:nosplit
//go:norace
func awaitHandOver(st *Status) {
	const turns = 10 // of 10 ms or less
	for range turns {
		pid, _, errno := syscall.RawSyscall6(unix.SYS_WAIT4, uintptr(st.handOver), uintptr(unsafe.Pointer(&st.wait)),
			unix.WNOHANG, 0, 0, 0)
		if errno != 0 || pid != 0 {
			return // it has ended
		}
		sleep(st, false, 10_000_000)
	}
}

// await holds the target until init is ready. Init's death is the target's,
// so this ends.
//
//go:nosplit
//go:norace
func await(st *Status) {
	for *(*uint32)(&st.ready) == 0 {
		syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&st.ready)), 0 /* FUTEX_WAIT */, 0, 0, 0, 0)
	}
}

//go:nosplit
//go:norace
func release(st *Status) {
	st.ready = 1
	syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&st.ready)), 1 /* FUTEX_WAKE */, 1, 0, 0, 0)
}
