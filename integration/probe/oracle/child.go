package oracle

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file is what runs in the forked child. It has one thread, no Go runtime
// and, after the first filter is loaded, no system call that is not a question.
// So: nosplit functions only, no allocation, nothing that may call the runtime.

//go:nosplit
//go:norace
func fork(s *shared, first, second *unix.SockFprog) (uintptr, unix.Errno) {
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD)|unix.CLONE_FILES, 0, 0, 0, 0, 0)
	if pid != 0 || errno != 0 {
		return pid, unix.Errno(errno)
	}
	child(s, first, second)
	return 0, 0
}

//go:nosplit
//go:norace
func child(s *shared, first, second *unix.SockFprog) {
	syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
	syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0, 0, 0, 0) // it may die a thousand times
	syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	fd, _, errno := syscall.RawSyscall6(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER,
		uintptr(unsafe.Pointer(first)), 0, 0, 0)
	if errno != 0 {
		s.errno = uint64(errno)
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, 1, 0, 0, 0, 0, 0)
	}
	s.fd = int32(fd)
	s.state.Store(listening)
	for s.state.Load() != loading {
	}
	if second.Len > 0 {
		_, _, errno = syscall.RawSyscall6(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0,
			uintptr(unsafe.Pointer(second)), 0, 0, 0)
		if errno != 0 { // the parent lets every call through until asking
			s.errno = uint64(errno)
			syscall.RawSyscall6(unix.SYS_EXIT_GROUP, 1, 0, 0, 0, 0, 0)
		}
	}
	s.state.Store(asking)
	for i := s.next.Load(); i < s.count; i = s.next.Add(1) {
		e := s.at(i)
		e.result = ask(e.audit, e.nr, &e.args)
	}
	s.state.Store(done)
	//lint:ignore SA5002 there is no call left to end by: the parent kills
	for {
	}
}

// native makes a call as 64-bit programs do.
//
//go:nosplit
//go:norace
func native(nr uint32, a *[6]uint64) int64 {
	r, _, errno := syscall.RawSyscall6(uintptr(nr), uintptr(a[0]), uintptr(a[1]), uintptr(a[2]), uintptr(a[3]),
		uintptr(a[4]), uintptr(a[5]))
	if errno != 0 {
		return -int64(errno)
	}
	return int64(r)
}
