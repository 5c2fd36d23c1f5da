package terminal

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Caller is the terminal that sbx was started at. It is opened again, because a new
// descriptor can be made non-blocking without an effect on other processes.
type Caller struct {
	FD int
	// Streams says which of descriptors 0, 1 and 2 are this terminal.
	Streams [3]bool
	// Modes and Size are what the terminal had when it was found.
	Modes unix.Termios
	Size  unix.Winsize

	device   int  // its device number
	controls bool // it is the controlling terminal, with job control
	raw      bool // setRaw has set the modes, and was holds those before
	was      unix.Termios
}

// Is says whether fd is this terminal.
func (c *Caller) Is(fd int) bool {
	n, err := deviceOf(fd)
	return err == nil && n == c.device
}

// Find looks for the caller's terminal: that of the standard streams, or else the
// controlling terminal. It returns nil if there is none. The caller of Find closes
// it.
func Find() (*Caller, error) {
	c := &Caller{FD: -1}
	first, device := -1, 0
	for fd := range c.Streams {
		n, err := deviceOf(fd)
		if err != nil {
			continue // no terminal, or not open
		}
		if first >= 0 && n != device {
			return nil, errors.New("the standard streams are different terminals")
		}
		if first < 0 {
			first, device = fd, n
		}
		c.Streams[fd] = true
	}
	const how = unix.O_RDWR | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := unix.Open("/dev/tty", how, 0)
	switch n := 0; {
	case err == nil && first < 0:
		c.controls = true
	case err == nil:
		if n, err = deviceOf(fd); err == nil && n == device {
			c.controls = true
			break
		}
		unix.Close(fd)
		fallthrough
	case first >= 0:
		// It is the terminal of another session, perhaps of another user after su(1).
		if fd, err = unix.Open("/proc/self/fd/"+strconv.Itoa(first), how, 0); err != nil {
			return nil, fmt.Errorf("open the terminal at descriptor %d: %w", first, err)
		}
	default:
		return nil, nil
	}
	c.FD = fd
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err == nil {
		c.Modes = *t
		err = c.look()
	}
	if err == nil {
		c.device, err = deviceOf(fd)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("read the modes and the size of the terminal: %w", err)
	}
	return c, nil
}

// deviceOf is the number of the terminal that fd is open to; see TIOCGDEV in
// ioctl_tty(2), Linux 3.3. fstat(2) of /dev/tty gives /dev/tty's own number.
func deviceOf(fd int) (int, error) {
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGDEV)
	return int(n), err
}

func (c *Caller) look() error {
	size, err := unix.IoctlGetWinsize(c.FD, unix.TIOCGWINSZ)
	if err == nil {
		c.Size = *size
	}
	return err
}

// Open is the step that makes the sandbox's pseudo-terminal like this terminal.
func (c *Caller) Open() Open {
	return Open{Streams: c.Streams, Modes: modesOf(&c.Modes),
		Rows: c.Size.Row, Cols: c.Size.Col, XPixel: c.Size.Xpixel, YPixel: c.Size.Ypixel}
}

// foreground says whether typed input is for this process. At the terminal of
// another session it always is, because no job control of this session applies.
func (c *Caller) foreground() bool {
	if !c.controls {
		return true
	}
	group, err := unix.IoctlGetInt(c.FD, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// OwnsJob says that it is the controlling terminal and that this process's group is in
// the foreground: its keys are for this process and the rest of the caller's job.
func (c *Caller) OwnsJob() bool { return c.controls && c.foreground() }

// rawOf is t in raw mode, which passes every key and byte on to the sandbox's
// pseudo-terminal; see cfmakeraw in termios(3).
func rawOf(t unix.Termios) unix.Termios {
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag &^= unix.CSIZE | unix.PARENB
	t.Cflag |= unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return t
}

// setRaw puts the terminal into raw mode if this process is in the foreground. It
// reads the modes to restore anew, because the user may have changed them while this
// process was stopped. The raw modes are always the same, so the janitor knows them.
func (c *Caller) setRaw() error {
	if c.raw || !c.foreground() {
		return nil
	}
	t, err := unix.IoctlGetTermios(c.FD, unix.TCGETS)
	if err == nil {
		raw := rawOf(c.Modes)
		if err = unix.IoctlSetTermios(c.FD, unix.TCSETS, &raw); err == nil {
			c.was, c.raw = *t, true
		}
	}
	return err
}

// restore gives the terminal its modes back, unless another program has changed them
// since then: that program now controls the terminal.
func (c *Caller) restore() error {
	if !c.raw {
		return nil
	}
	c.raw = false
	now, err := unix.IoctlGetTermios(c.FD, unix.TCGETS)
	if err != nil {
		return err
	}
	raw := rawOf(c.Modes)
	if now.Iflag != raw.Iflag || now.Oflag != raw.Oflag || now.Lflag != raw.Lflag {
		return nil
	}
	// SIGTTOU would stop this process if it is in the background.
	var block, old unix.Sigset_t
	block.Val[0] = 1 << (uint(unix.SIGTTOU) - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &block, &old); err != nil {
		return err
	}
	err = unix.IoctlSetTermios(c.FD, unix.TCSETS, &c.was)
	return errors.Join(err, unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil))
}

// Restore is the janitor's step that restores the terminal's modes after the launcher
// was killed. It changes nothing if the modes are no longer the raw ones, since the
// shell may have been quicker. A shell that changes them between the check and the
// change gets the caller's modes until its next prompt.
type Restore struct {
	FD       int
	Was, Raw Modes
}

// Restore is that step for this terminal.
func (c *Caller) Restore() Restore {
	raw := rawOf(c.Modes)
	return Restore{FD: c.FD, Was: modesOf(&c.Modes), Raw: modesOf(&raw)}
}

func (Restore) String() string { return "restore the modes of the caller's terminal" }

// Holds is the descriptor that the janitor keeps open for it.
func (r Restore) Holds() int { return r.FD }

func (Restore) Kind() string { return "restore-terminal" }

// Compile compares c_iflag, c_oflag and c_lflag, which identify the raw modes; the
// driver may change the other fields. A terminal that has hung up returns EIO. The
// janitor has no controlling terminal, so it is not stopped in the background.
func (r Restore) Compile(a *step.Asm) {
	const lflagAt = 12
	now := a.Space(modesLen) // zero, unlike any terminal's modes
	a.Sys(unix.SYS_IOCTL, step.Fd(r.FD), step.Int(unix.TCGETS), now).Or(unix.EIO)
	a.SkipUnless(2, now, []byte(r.Raw[:8]))
	a.SkipUnless(1, now.At(lflagAt), []byte(r.Raw[lflagAt:lflagAt+4]))
	a.Sys(unix.SYS_IOCTL, step.Fd(r.FD), step.Int(unix.TCSETS), a.Bytes([]byte(r.Was))).Or(unix.EIO)
}
