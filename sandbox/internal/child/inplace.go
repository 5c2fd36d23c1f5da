package child

import (
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Become has a new thread of this process walk the table, at whose end it executes the
// target: the kernel then ends all other threads, and gives the new one the pid of the
// process (execve(2)). Become returns only if a call failed, which st tells. By then the
// thread has ended, and with it all that it has done to itself: its credentials, its
// filters, its Landlock domain and its namespaces were never this thread's.
//
// It is a thread without Go's knowledge: it has a stack of its own, no handler runs on it,
// since all signals are blocked there, and the rules of this package hold for it.
// It shares the descriptors, because file locks of fcntl(2) go with the table that they
// were taken in, but neither the directory, the root nor the umask, which a mount
// namespace of its own takes.
//
//go:noinline
//go:norace
func Become(t *step.Table, st *Status) error {
	st.setTable(t)
	atomic.StoreUint32(&st.inThread, 1)
	if errno := startThread(unsafe.Pointer(&t.Calls[0]), uintptr(len(t.Calls)), t.Stack, st); errno != 0 {
		return errno
	}
	for atomic.LoadUint32(&st.finished) == 0 {
		_, _, errno := syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&st.finished)), 0 /* FUTEX_WAIT */, 0, 0, 0, 0)
		if errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR {
			return errno
		}
	}
	return nil
}

// startThread makes the thread with every signal blocked, as fork makes a process.
//
//go:noinline
//go:nosplit
//go:norace
func startThread(calls unsafe.Pointer, n, top uintptr, st *Status) syscall.Errno {
	const flags = unix.CLONE_THREAD | unix.CLONE_SIGHAND | unix.CLONE_VM | unix.CLONE_FILES | unix.CLONE_SYSVSEM
	stack := (top - unsafe.Sizeof(targetArgs{})) &^ 15
	a := (*targetArgs)(at(stack))
	a.calls, a.i, a.end, a.st, a.cfg, a.word = uintptr(calls), 0, n, uintptr(unsafe.Pointer(st)), 0, 0
	beforeFork()
	r := spawn(flags, stack, unsafe.Pointer(a), entry())
	afterFork()
	if r > ^uintptr(4095) { // -errno
		return syscall.Errno(-r)
	}
	return 0
}

// leave ends the process, or in the place of it the thread of Become, which is waited for.
//
//go:nosplit
//go:norace
func leave(st *Status) {
	if st.inThread == 0 {
		exit(125)
	}
	st.finished = 1
	syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&st.finished)), 1 /* FUTEX_WAKE */, 1, 0, 0, 0)
	for {
		syscall.RawSyscall6(unix.SYS_EXIT, 0, 0, 0, 0, 0, 0)
	}
}
