package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// defaultAction sets a signal's disposition to SIG_DFL behind Go's back and
// unblocks it in this thread.
func defaultAction(n int) error {
	if n == int(unix.SIGKILL) || n == int(unix.SIGSTOP) {
		return nil
	}
	var action [4]uint64 // struct kernel_sigaction, all zero: SIG_DFL
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(n), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	return errnoOrNil(errno)
}
