package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// oldSetidWays are calls that younger architectures have not got.
func oldSetidWays() []setidWay {
	raw := func(nr uintptr, p string, x, y uintptr) error {
		b, err := unix.BytePtrFromString(p)
		if err != nil {
			return err
		}
		fd, _, errno := unix.Syscall(nr, uintptr(unsafe.Pointer(b)), x, y)
		if errno == 0 && nr != unix.SYS_CHMOD && nr != unix.SYS_MKNOD {
			unix.Close(int(fd))
		}
		return errnoOrNil(errno)
	}
	return []setidWay{
		{"old chmod", true, func(p string, m uint32) error { return raw(unix.SYS_CHMOD, p, uintptr(m), 0) }},
		{"old creat", false, func(p string, m uint32) error { return raw(unix.SYS_CREAT, p, uintptr(m), 0) }},
		{"old open", false, func(p string, m uint32) error {
			return raw(unix.SYS_OPEN, p, unix.O_CREAT|unix.O_WRONLY, uintptr(m))
		}},
		{"old mknod", false, func(p string, m uint32) error { return raw(unix.SYS_MKNOD, p, unix.S_IFREG|uintptr(m), 0) }},
		{"old whiteout", false, func(p string, m uint32) error { return raw(unix.SYS_MKNOD, p, unix.S_IFCHR|0o600, 0) }},
	}
}
