package child

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// sendSocket answers step.MsgSocket: it makes a Unix socket and sends it to the launcher.
// What the launcher connects with it belongs to the sandbox's network at both ends. Where
// it fails, the launcher waits in vain, for a bounded time.
//
//go:nosplit
//go:norace
func sendSocket(st *Status, cfg *Config) {
	fd, _, errno := syscall.RawSyscall6(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC,
		0, 0, 0, 0)
	if errno != 0 {
		return
	}
	const header = 16 // struct cmsghdr
	st.packet = [4]byte{step.MsgNetwork, step.KindSocket}
	st.vector = [2]uintptr{uintptr(unsafe.Pointer(&st.packet)), 2}
	st.rights = [3]uint64{header + 4, uint64(unix.SOL_SOCKET) | uint64(unix.SCM_RIGHTS)<<32, uint64(uint32(fd))}
	st.message = [7]uintptr{2: uintptr(unsafe.Pointer(&st.vector)), 3: 1,
		4: uintptr(unsafe.Pointer(&st.rights)), 5: header + 8}
	syscall.RawSyscall6(unix.SYS_SENDMSG, uintptr(cfg.Notify), uintptr(unsafe.Pointer(&st.message)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0, 0)
	syscall.RawSyscall6(unix.SYS_CLOSE, fd, 0, 0, 0, 0, 0)
}
