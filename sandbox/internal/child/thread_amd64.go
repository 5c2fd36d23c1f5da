package child

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// threadPointer is the base of the FS segment; see arch_prctl(2).
//
//go:nosplit
//go:norace
func threadPointer() uintptr {
	const getFS = 0x1003 // ARCH_GET_FS
	var base uintptr
	syscall.RawSyscall6(unix.SYS_ARCH_PRCTL, getFS, uintptr(unsafe.Pointer(&base)), 0, 0, 0, 0)
	return base
}
