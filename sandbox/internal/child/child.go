// Package child is the only code that runs between the fork and the target's
// first instruction, and in the sandbox's init after that.
//
// The rules, because a forked child of a Go program has one thread, a frozen
// scheduler and whatever locks the other threads held:
//
//  1. Every function here that the child can reach is go:nosplit (the stack
//     cannot grow) and go:norace (the detector's memory is not to be touched).
//  2. No allocation, no map, no interface, no defer, no panic, no string
//     building, no bounds-checked index with an unproven index.
//  3. System calls only through syscall.RawSyscall6, which tells the
//     scheduler nothing.
//  4. No pointer is stored but in the frame, for that could run the
//     collector's write barrier; a test looks for one.
//  5. Memory is the table's mapping, the shared Status and the frame's own
//     variables; nothing the garbage collector owns.
//  6. The child never returns: it execs, or it exits.
//
// The child shares no memory with its parent but the Status page, so nothing
// that goes wrong here can reach back.
package child

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Status is the page that launcher, init and child share until the exec. Only
// our own code ever writes to it: the target's memory does not have it.
type Status struct {
	// Failed is the index, plus one, of the table's call that failed.
	Failed uint32
	// Errno is that call's errno, or zero when it succeeded with Got where
	// another answer was wanted.
	Errno uint32
	Got   uint64
	// Ended is 1 once the target has ended and WaitStatus, as wait4(2)
	// reports it, is there.
	Ended      uint32
	WaitStatus uint32
	// Lost is the errno for which init could not go on waiting.
	Lost uint32
	// ready is the futex that holds the target back until init has shed its
	// own powers.
	ready uint32
	// Left is how many processes the target left when it ended, which were
	// killed then.
	Left uint32
	// TimedOut is 1 once init's timer has ended all.
	TimedOut uint32
	// Forked is 1 once the target's process is there, and with it somebody
	// who gets the terminal's signals by himself.
	Forked uint32
	// Executing is 1 once the target has nothing left to do but to execute its program.
	Executing uint32
	// Entered is the process in the namespaces that were joined, as the
	// launcher sees it, once it is there; see OpEnter.
	Entered uint32
	// inThread says that a thread walks the table and no process of its own, and finished
	// that it has ended; see Become.
	inThread, finished uint32
	// handOver is the process of step.OpHandOver, as init sees it.
	handOver uint32
	slot     [step.NumSlots]uintptr
	// restored is what OpRestore has put back, by its number; see Restored.
	restored [step.MaxStreams]uint8
	// initFD is the pidfd that came by step.MsgInit, plus one. The rest is how it
	// comes: struct msghdr, iovec, cmsghdr with the descriptor.
	initFD  int32
	message [7]uintptr
	vector  [2]uintptr
	rights  [3]uint64
	// What the system calls of init and the janitor write to is here because their stack is
	// short.
	file     unix.Stat_t
	clock    unix.Timespec
	times    [4]int64 // struct timespec[2]
	mask     uint64
	wait     uint32
	timespec [2]uint64
	packet   [4]byte
	timer    [4]uint64  // struct itimerval
	list     [4096]byte // of init's children; see killChildren
	// own is memory that stays: the stack's, the thread's, the Status' and the table's; see
	// forget.
	own [4][2]uintptr
	// Usage is what the target and its children have used, as wait4 told.
	Usage unix.Rusage
}

// Config is what the child needs beside its table.
type Config struct {
	// Flags are the clone3(2) flags: the new namespaces.
	Flags uint64
	// Cgroup is a descriptor of the cgroup of version 2 that the child is born
	// into (CLONE_INTO_CGROUP, Linux 5.7), or -1.
	Cgroup int
	// Code is where the program's code and constants lie; see GiveBack.
	Code [2]uintptr
	// Notify is init's end of the socket to the launcher; see step.MsgMapped.
	Notify int
	// Children is init's descriptor of its own /proc/PID/task/TID/children
	// where the pid namespace is not the sandbox's own, so that the kernel ends
	// nobody with init; or -1.
	Children int
	// Timed says that init has a timer, which ends all; see process.Timeout.
	Timed bool
	// Watched says that the launcher is told when the target is let go, as it is
	// with Timed; see step.MsgStarted.
	Watched bool
	// InitAt is the index of the table's first call that is for init alone;
	// those from there to the end are walked by init after its fork.
	InitAt int
	// Stack is the upper end of the stack that the target has until its exec.
	Stack uintptr
}

// NewStatus maps a Status that a forked child shares.
func NewStatus() (*Status, error) {
	m, err := unix.MmapPtr(-1, 0, nil, unsafe.Sizeof(Status{}), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	return (*Status)(m), err
}

// setTable keeps the table's memory in a process that forgets the rest.
func (s *Status) setTable(t *step.Table) { s.own[3][0], s.own[3][1] = t.Range() }

// Restored is what the janitor has put back of the file with the number: bits
// of step.RestoredOwner and its like.
func (s *Status) Restored(index int) uint8 { return s.restored[uint(index)%step.MaxStreams] }

// Free unmaps the page.
func (s *Status) Free() error {
	return unix.MunmapPtr(unsafe.Pointer(s), unsafe.Sizeof(*s))
}

// cloneArgs is struct clone_args of clone3(2), in its third version.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

const (
	cloneClearSighand = 0x100000000 // CLONE_CLEAR_SIGHAND, Linux 5.5
	cloneIntoCgroup   = 0x200000000 // CLONE_INTO_CGROUP, Linux 5.7
)

// Start forks a child that walks the table. The calling thread must stay
// alive as long as the child: its death is the child's (PR_SET_PDEATHSIG).
// The descriptor is a pidfd. Errors are clone3(2)'s.
//
//go:noinline
//go:norace
func Start(t *step.Table, st *Status, cfg Config) (pid, pidfd int, err error) {
	fd := int32(-1)
	st.setTable(t)
	args := cloneArgs{
		flags:      cfg.Flags | unix.CLONE_PIDFD | cloneClearSighand,
		pidfd:      uint64(uintptr(unsafe.Pointer(&fd))),
		exitSignal: uint64(unix.SIGCHLD),
	}
	if cfg.Cgroup >= 0 {
		args.flags |= cloneIntoCgroup
		args.cgroup = uint64(cfg.Cgroup)
	}
	r, errno := fork(&args, unsafe.Pointer(&t.Calls[0]), uintptr(len(t.Calls)), st, &cfg)
	if errno != 0 {
		return 0, -1, errno
	}
	return int(r), int(fd), nil
}

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

// clone is clone3(2), or the older clone(2) where an outer filter refuses that since it
// cannot see the flags, as Docker's does, and nothing is asked for that only clone3 can do.
//
//go:nosplit
//go:norace
func clone(args *cloneArgs) (uintptr, syscall.Errno) {
	r, _, errno := syscall.RawSyscall6(unix.SYS_CLONE3, uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args), 0, 0, 0, 0)
	if errno != unix.ENOSYS && errno != unix.EPERM || args.flags != unix.CLONE_PIDFD|cloneClearSighand {
		return r, errno
	}
	r, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.CLONE_PIDFD)|uintptr(args.exitSignal), 0,
		uintptr(args.pidfd), 0, 0, 0)
	if errno == 0 && r == 0 {
		clearHandlers()
	}
	return r, errno
}

// clearHandlers does what CLONE_CLEAR_SIGHAND does: the default in the place of each
// handler. All signals are blocked.
//
//go:nosplit
//go:norace
func clearHandlers() {
	for n := uintptr(1); n <= 64; n++ {
		var action [4]uintptr // struct sigaction
		const ignored = 1     // SIG_IGN
		_, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, n, 0, uintptr(unsafe.Pointer(&action)), 8, 0, 0)
		if errno != 0 || action[0] <= ignored {
			continue
		}
		action = [4]uintptr{}
		syscall.RawSyscall6(unix.SYS_RT_SIGACTION, n, uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	}
}

// fork makes the child with every signal blocked: the child keeps the mask
// until the step that sets the target's, and handlers are gone by
// CLONE_CLEAR_SIGHAND, so none of the launcher's ever runs in it.
//
//go:noinline
//go:nosplit
//go:norace
func fork(args *cloneArgs, calls unsafe.Pointer, n uintptr, st *Status, cfg *Config) (uintptr, syscall.Errno) {
	beforeFork()
	r, errno := clone(args)
	if errno != 0 || r != 0 {
		afterFork()
		return r, errno
	}
	target := walk(calls, 0, n, st, cfg)
	walkInit(calls, uintptr(cfg.InitAt), st)
	initLoop(target, st, cfg)
	return 0, 0 // never
}
