// Package inherit tells what the process was started with where the Go
// runtime has changed it since: signal dispositions and the limit on open
// files. A prefix command hands both on as it got them, as execve(2) does.
package inherit

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Mask is the set of signals that the calling thread blocks, bit n-1 being
// signal n. The runtime leaves it as it was found.
func Mask() uint64 {
	var set uint64
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, 0, uintptr(unsafe.Pointer(&set)), 8, 0, 0)
	return set
}
