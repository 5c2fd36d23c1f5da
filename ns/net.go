package ns

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Loopback brings the new network namespace's "lo" device up. The kernel then
// gives it 127.0.0.1 and ::1. See netdevice(7).
type Loopback struct{}

func (Loopback) String() string { return "bring the loopback device up" }

func (Loopback) Kind() string { return "loopback-up" }

func (Loopback) Hint(err error) string {
	if step.Errno(err) == unix.EPERM {
		return "an outer sandbox forbids new networks; use --net host if that is acceptable"
	}
	return ""
}

// Compile sets the flags by ioctl(2), three calls where netlink takes more.
func (Loopback) Compile(a *step.Asm) {
	var ifreq [40]byte
	copy(ifreq[:], "lo")
	binary.NativeEndian.PutUint16(ifreq[unix.IFNAMSIZ:], unix.IFF_UP|unix.IFF_RUNNING)
	fd := a.Temp()
	a.Sys(unix.SYS_SOCKET, step.Int(unix.AF_INET), step.Int(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), step.Int(0)).To(fd)
	a.Sys(unix.SYS_IOCTL, fd.Arg(), step.Int(unix.SIOCSIFFLAGS), a.Bytes(ifreq[:]))
	a.Sys(unix.SYS_CLOSE, fd.Arg())
}
