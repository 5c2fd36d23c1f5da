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
// written or gone (see step.MsgSignal), SIGALRM that the time is over.
//
//go:nosplit
//go:norace
func initLoop(target uintptr, st *Status, cfg *Config) {
	st.mask = ^uint64(0)
	for {
		more := reap(target, st, cfg)
		more = hear(target, st, cfg) || more
		timeout := uintptr(0) // none
		if more {
			st.timespec = [2]uint64{}
			timeout = uintptr(unsafe.Pointer(&st.timespec))
		}
		_, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&st.mask)),
			uintptr(unsafe.Pointer(&st.info)), timeout, 8, 0, 0)
		if errno != 0 && errno != unix.EINTR && errno != unix.EAGAIN {
			giveUp(st, cfg, uintptr(errno))
		}
		info := (*siginfo)(unsafe.Pointer(&st.info))
		if errno == 0 && info.code == siKernel && info.signo == int32(unix.SIGALRM) {
			st.TimedOut = 1
			endAll(st, cfg)
			exit(128 + uintptr(unix.SIGKILL))
		}
	}
}

// siginfo is the head of siginfo_t.
type siginfo struct{ signo, errno, code int32 }

// siKernel is SI_KERNEL, which no process can send.
const siKernel = 0x80

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

// endAll kills all that descends from init in a pid namespace that is not its
// own. Orphans become init's children (PR_SET_CHILD_SUBREAPER), so those are
// killed until there are none. None of them can be somebody else's: their
// numbers are not free before init waits for them.
//
//go:nosplit
//go:norace
func endAll(st *Status, cfg *Config) {
	if cfg.Children < 0 {
		return
	}
	options := uintptr(unix.WNOHANG)
	for {
		// All that have ended first: they would fill the list, and the
		// machine, while those that run on are at its end.
		pid, _, errno := syscall.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&st.wait)), options, 0, 0, 0)
		if errno != 0 && errno != unix.EINTR {
			return // ECHILD: there are none
		}
		options = unix.WNOHANG
		if errno == 0 && pid != 0 {
			continue
		}
		n, _, errno := syscall.RawSyscall6(unix.SYS_PREAD64, uintptr(cfg.Children), uintptr(unsafe.Pointer(&st.list)),
			unsafe.Sizeof(st.list), 0, 0, 0)
		if errno != 0 || n > unsafe.Sizeof(st.list) {
			n = 0
		}
		// Decimal numbers, each with a space behind it; what is cut off at the
		// end comes next time.
		pid = 0
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
		options = 0 // wait for one of them
	}
}

// reap waits for whatever has ended, and for the target if it was stopped. It
// is true if there may be more: a bounded number of waits, or who forks and
// stops as fast as can be would keep init from everything else.
//
//go:nosplit
//go:norace
func reap(target uintptr, st *Status, cfg *Config) bool {
	const most = 64
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
		if got == target {
			targetChanged(st, cfg)
		}
		if pid == target {
			pid, options = ^uintptr(0), unix.WNOHANG // whoever
		} else if got == 0 {
			return false
		}
	}
	return true
}

// targetChanged tells the launcher that the target was stopped, or ends as the
// target did.
//
//go:nosplit
//go:norace
func targetChanged(st *Status, cfg *Config) {
	ws := st.wait
	if ws&0xff == 0x7f {
		// Never block on the launcher, never die of its death: that is what
		// PR_SET_PDEATHSIG is for.
		st.packet = [4]byte{step.MsgStopped, byte(ws >> 8)}
		syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(cfg.Notify), uintptr(unsafe.Pointer(&st.packet)), 2,
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		return
	}
	st.WaitStatus, st.Ended = ws, 1
	endAll(st, cfg)
	if ws&0x7f == 0 {
		exit(uintptr(ws>>8) & 0xff)
	}
	exit(128 + uintptr(ws&0x7f))
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
