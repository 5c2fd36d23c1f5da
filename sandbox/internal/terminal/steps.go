// Package terminal gives a target a terminal of its own, a pseudo-terminal
// (pty(7)) of the sandbox's own devpts, and relays between it and the caller's:
// steps for the inside, the relay for the launcher. The target then has no
// descriptor of the caller's terminal, nor is that its controlling one.
package terminal

import (
	"encoding/binary"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// modesLen is the length of the kernel's struct termios, of which that of
// package unix is the beginning; see asm-generic/termbits.h.
const modesLen = 4*4 + 1 + 19

// Modes is a struct termios as TCGETS fills it in: a string, so that steps
// compare.
type Modes string

// modesOf is the part of t that the kernel knows.
func modesOf(t *unix.Termios) Modes {
	return Modes(unsafe.Slice((*byte)(unsafe.Pointer(t)), modesLen))
}

// Open makes the terminal and hands its other side, the master, to the
// launcher. Descriptors are the only names of both: nobody else can be meant.
type Open struct {
	// Streams says which of 0, 1 and 2 it replaces: those that were terminals.
	Streams [3]bool
	// Modes and Rows to YPixel are what the caller's terminal has.
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
	return "make an own terminal" + s + ", relayed by the launcher"
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

// Compile opens the master in the sandbox's own devpts, by a path of our own
// making, and the slave from the master: TIOCGPTPEER, Linux 4.13. The process
// leads a session that has no terminal yet, and this becomes it.
func (o Open) Compile(a *step.Asm) {
	master, slave := a.Temp(), step.SlotTerminal
	a.Sys(unix.SYS_OPENAT, step.SlotRoot.Arg(), a.Str("dev/pts/ptmx"), step.Int(unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)).To(master)
	a.Sys(unix.SYS_IOCTL, master.Arg(), step.Int(unix.TIOCSPTLCK), a.Space(4))
	a.Sys(unix.SYS_IOCTL, master.Arg(), step.Int(unix.TIOCGPTPEER), step.Int(unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)).To(slave)
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

// Foreground makes the target's process group the terminal's foreground one,
// which its keys send their signals to. The init, which leads the session, is
// in another: so the group is no orphan, and Ctrl-Z can stop it.
type Foreground struct{}

func (Foreground) String() string { return "be the terminal's foreground process group" }

func (Foreground) Kind() string { return "set-foreground-group" }

// Compile is tcsetpgrp(3), from the background and so with SIGTTOU blocked, as
// all signals are here.
func (Foreground) Compile(a *step.Asm) {
	pid, group := a.Temp(), a.Space(4)
	a.Sys(unix.SYS_GETPID).To(pid)
	a.Store(group, pid.Arg())
	a.Sys(unix.SYS_IOCTL, step.SlotTerminal.Arg(), step.Int(unix.TIOCSPGRP), group)
}
