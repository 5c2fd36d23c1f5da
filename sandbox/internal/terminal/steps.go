// Package terminal gives a target a pseudo-terminal (pty(7)) of its own, in the
// sandbox's devpts, and relays between it and the caller's terminal. It has the
// steps that make the pseudo-terminal and the relay for the launcher. The target
// then has no descriptor of the caller's terminal, which is not its controlling
// terminal either.
package terminal

import (
	"encoding/binary"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// modesLen is the length of the kernel's struct termios. The struct of package unix
// begins with it; see asm-generic/termbits.h.
const modesLen = 4*4 + 1 + 19

// Modes is a struct termios as TCGETS fills it in. It is a string, so that steps can
// be compared.
type Modes string

// modesOf is the part of t that the kernel knows.
func modesOf(t *unix.Termios) Modes {
	return Modes(unsafe.Slice((*byte)(unsafe.Pointer(t)), modesLen))
}

// Open makes the pseudo-terminal and sends its master side to the launcher. Both
// sides are used by descriptor only, so no other terminal can take their place.
type Open struct {
	// Streams says which of descriptors 0, 1 and 2 it replaces: those that were
	// terminals.
	Streams [3]bool
	// Modes and Rows to YPixel are those of the caller's terminal.
	Modes                      Modes
	Rows, Cols, XPixel, YPixel uint16
}

func (o Open) String() string {
	var list []string
	for fd, own := range o.Streams {
		if own {
			list = append(list, strconv.Itoa(fd))
		}
	}
	s := ""
	switch n := len(list); n {
	case 0:
	case 1:
		s = " for descriptor " + list[0]
	default:
		s = " for descriptors " + strings.Join(list[:n-1], ", ") + " and " + list[n-1]
	}
	return "make a pseudo-terminal" + s + ", relayed by the launcher"
}

func (Open) Kind() string { return "open-terminal" }

func (Open) Hint(err error) string {
	switch step.Errno(err) {
	case unix.ENOSPC, unix.EIO:
		return "all pseudo-terminals are in use: /proc/sys/kernel/pty/max says how many there can be"
	case unix.ENOENT, unix.ENXIO:
		return "the policy hides /dev/pts; terminal = \"new-session\" does without it"
	}
	return ""
}

// Compile opens the master in the sandbox's own devpts, below directories that sbx
// made, and the slave from the master: TIOCGPTPEER, Linux 4.13. The process leads a
// session without a controlling terminal, and the slave becomes that.
func (o Open) Compile(a *step.Asm) {
	master, slave := a.Temp(), step.SlotTerminal
	const how = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	a.Sys(unix.SYS_OPENAT, step.SlotRoot.Arg(), a.Str("dev/pts/ptmx"), step.Int(how)).To(master)
	a.Sys(unix.SYS_IOCTL, master.Arg(), step.Int(unix.TIOCSPTLCK), a.Space(4))
	a.Sys(unix.SYS_IOCTL, master.Arg(), step.Int(unix.TIOCGPTPEER), step.Int(how)).To(slave)
	a.Sys(unix.SYS_IOCTL, slave.Arg(), step.Int(unix.TCSETS), a.Bytes([]byte(o.Modes)))
	var size []byte
	for _, n := range [...]uint16{o.Rows, o.Cols, o.XPixel, o.YPixel} {
		size = binary.NativeEndian.AppendUint16(size, n)
	}
	a.Sys(unix.SYS_IOCTL, slave.Arg(), step.Int(unix.TIOCSWINSZ), a.Bytes(size))
	a.Sys(unix.SYS_IOCTL, slave.Arg(), step.Int(unix.TIOCSCTTY), step.Int(0))
	for fd, own := range o.Streams {
		if own {
			a.Sys(unix.SYS_DUP3, slave.Arg(), step.Fd(fd), step.Int(0))
		}
	}
	a.SendFD(a.Notify, []byte{step.MsgTerminal}, master.Arg())
	a.Sys(unix.SYS_CLOSE, master.Arg())
}

// Foreground makes the target's process group the terminal's foreground group, which
// gets the signals of its keys. The init, which leads the session, is in another
// group. So the target's group is not orphaned, and Ctrl-Z can stop it.
type Foreground struct{}

func (Foreground) String() string { return "become the terminal's foreground process group" }

func (Foreground) Kind() string { return "set-foreground-group" }

// Compile is tcsetpgrp(3). The process is in the background, where the call takes
// that SIGTTOU is blocked. All signals are blocked here.
func (Foreground) Compile(a *step.Asm) {
	pid, group := a.Temp(), a.Space(4)
	a.Sys(unix.SYS_GETPID).To(pid)
	a.Store(group, pid.Arg())
	a.Sys(unix.SYS_IOCTL, step.SlotTerminal.Arg(), step.Int(unix.TIOCSPGRP), group)
}
