package child

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// siginfo is the head of siginfo_t for signals sent by kill(2) and
// rt_sigqueueinfo(2) on 64-bit machines.
type siginfo struct {
	signo, errno, code int32
	_                  int32
	pid, uid           int32
	value              uint64
}

const (
	siQueue  = -1   // SI_QUEUE
	siKernel = 0x80 // SI_KERNEL, which no process can send
)

// initLoop is the sandbox's pid 1: it reaps whatever ends, passes the
// launcher's signals on to the target, tells the launcher when the target
// stops, and ends as the target does; the kernel then kills the rest, or init
// does where it is no pid 1.
//
// All signals are blocked, so those of the terminal, which reach the target
// by themselves, and those of processes inside (si_pid is not 0) are taken
// and dropped: only the launcher's, queued from outside with the cookie, are
// forwarded, and those with its complement to the target's whole group.
//
//go:nosplit
//go:norace
func initLoop(target uintptr, st *Status, cfg *Config) {
	st.mask = ^uint64(0)
	info := (*siginfo)(unsafe.Pointer(&st.info))
	for {
		reap(target, st, cfg)
		sig, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&st.mask)),
			uintptr(unsafe.Pointer(&st.info)), 0, 8, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			giveUp(st, cfg, uintptr(errno))
		}
		if (sig == uintptr(unix.SIGIO) || cfg.Children >= 0) && launcherGone(cfg) {
			endAll(st, cfg)
			exit(125)
		}
		if info.code == siKernel && sig == uintptr(unix.SIGALRM) {
			st.TimedOut = 1
			endAll(st, cfg)
			exit(128 + uintptr(unix.SIGKILL))
		}
		if info.code != siQueue || info.pid != 0 {
			continue
		}
		if info.value == ^cfg.Cookie {
			// As a terminal does; but the target may have no group of its own yet.
			if _, _, errno := syscall.RawSyscall6(unix.SYS_KILL, -target, sig, 0, 0, 0, 0); errno == 0 {
				continue
			}
		} else if info.value != cfg.Cookie {
			continue
		}
		syscall.RawSyscall6(unix.SYS_KILL, target, sig, 0, 0, 0, 0)
	}
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

// launcherGone says whether the launcher's end of the socket has hung up.
// That is looked at whenever a signal comes, the socket's among them.
//
//go:nosplit
//go:norace
func launcherGone(cfg *Config) bool {
	var b byte
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(cfg.Notify), uintptr(unsafe.Pointer(&b)), 1,
		unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	return errno == 0 && n == 0 || errno == unix.ECONNRESET
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

//go:nosplit
//go:norace
func reap(target uintptr, st *Status, cfg *Config) {
	for {
		pid, _, errno := syscall.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&st.wait)),
			unix.WNOHANG|unix.WUNTRACED, uintptr(unsafe.Pointer(&st.Usage)), 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			giveUp(st, cfg, uintptr(errno))
		}
		if pid == 0 {
			return
		}
		ws := st.wait
		if pid != target {
			continue
		}
		switch {
		case ws&0xff == 0x7f:
			// Never block on the launcher, never die of its death: that is
			// what PR_SET_PDEATHSIG is for.
			if cfg.Notify >= 0 {
				syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(cfg.Notify), uintptr(unsafe.Pointer(&st.wait)), 1,
					unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
			}
		case ws&0x7f == 0:
			st.WaitStatus, st.Ended = ws, 1
			endAll(st, cfg)
			exit(uintptr(ws>>8) & 0xff)
		default:
			st.WaitStatus, st.Ended = ws, 1
			endAll(st, cfg)
			exit(128 + uintptr(ws&0x7f))
		}
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
