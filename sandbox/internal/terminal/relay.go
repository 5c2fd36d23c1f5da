package terminal

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Relay moves bytes in both directions between the caller's terminal and the
// sandbox's, and waits for neither: where one side takes no more bytes, the relay
// reads no more from the other. It is for one goroutine.
type Relay struct {
	// OnKey, unless nil, is told of each key typed that the target's terminal
	// makes a signal of: SIGINT, SIGQUIT, SIGTSTP. Of the last also where it
	// makes none of it, since an editor then stops itself.
	OnKey func(unix.Signal)

	caller        *Caller
	master, slave int
	in, out       buffer // typed input, and output to show
	gone, ended   bool   // one of the terminals has hung up; End was called
}

// Start begins to relay to the terminal with that master. The Relay now owns the
// master and the caller's terminal; End closes both. The caller's terminal is in raw
// mode from here on, as long as this process is in the foreground.
func (c *Caller) Start(master int) (*Relay, error) {
	r := &Relay{caller: c, master: master, slave: -1}
	err := unix.SetNonblock(master, true)
	if err == nil {
		// The slave stays open. Otherwise the master would hang up whenever no process
		// inside has the terminal open, although one may open it again.
		r.slave, err = peer(master)
	}
	if err == nil {
		err = r.Resume()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("relay the terminal: %w", err), r.End())
	}
	return r, nil
}

// peer opens the slave of the terminal with that master.
func peer(master int) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER,
		unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// Resume puts the caller's terminal into raw mode again after a pause, if this process
// is in the foreground, and passes its size on.
func (r *Relay) Resume() error {
	if r == nil || r.gone {
		return nil
	}
	if err := r.caller.setRaw(); err != nil {
		if err == unix.EIO {
			return nil // it hung up or went to another process just now, which Move notices
		}
		return fmt.Errorf("make the terminal raw: %w", err)
	}
	return r.Resize()
}

// Resize gives the sandbox's terminal the size of the caller's. If that is a new size
// the kernel sends SIGWINCH inside.
func (r *Relay) Resize() error {
	if r == nil || r.gone {
		return nil
	}
	err := r.caller.look()
	if err == nil {
		err = unix.IoctlSetWinsize(r.master, unix.TIOCSWINSZ, &r.caller.Size)
	}
	if err != nil && err != unix.EIO {
		return fmt.Errorf("pass on the size of the terminal: %w", err)
	}
	return nil
}

// backgroundPause is how often, in milliseconds, a relay in the background checks
// whether it is in the foreground again: not every shell sends a signal then.
const backgroundPause = 300

// Watch appends the descriptors to poll, and returns the timeout; see poll(2).
func (r *Relay) Watch(list []unix.PollFd) (all []unix.PollFd, timeout int) {
	if r.gone {
		return list, -1
	}
	keys, bytes := unix.PollFd{Fd: int32(r.caller.FD)}, unix.PollFd{Fd: int32(r.master)}
	if r.caller.raw && r.in.room() {
		keys.Events |= unix.POLLIN
	}
	if !r.out.empty() {
		keys.Events |= unix.POLLOUT
	}
	if r.out.room() {
		bytes.Events |= unix.POLLIN
	}
	if !r.in.empty() {
		bytes.Events |= unix.POLLOUT
	}
	timeout = -1
	if !r.caller.raw {
		timeout = backgroundPause
	}
	return append(list, keys, bytes), timeout
}

// Move moves the bytes that can be moved after a poll of what Watch appended. If the
// caller's terminal has hung up it says so, and the caller then calls HangUp.
func (r *Relay) Move(polled []unix.PollFd) (hungUp bool, err error) {
	if r.gone {
		return false, nil
	}
	if !r.caller.raw {
		if err := r.Resume(); err != nil {
			return false, err
		}
	}
	if len(polled) == 0 {
		return false, nil // it began after the poll
	}
	keys, bytes := polled[0].Revents, polled[1].Revents
	if keys&(unix.POLLHUP|unix.POLLERR) != 0 {
		return true, nil
	}
	if keys&unix.POLLIN != 0 {
		if r.caller.foreground() {
			had := r.in.to
			if err := r.in.fill(r.caller.FD); err != nil {
				return true, nil
			}
			r.keys(r.in.b[had:r.in.to])
		} else {
			r.caller.raw = false // another process has the terminal now; nothing to restore
		}
	}
	if bytes&unix.POLLIN != 0 {
		if err := r.out.fill(r.master); err != nil {
			return false, r.close()
		}
	}
	if err := r.in.drain(r.master); err != nil {
		return false, r.close()
	}
	if err := r.out.drain(r.caller.FD); err != nil {
		return true, nil
	}
	return false, nil
}

// keys tells of those among what was typed.
func (r *Relay) keys(typed []byte) {
	if len(typed) == 0 || r.OnKey == nil {
		return
	}
	modes, err := unix.IoctlGetTermios(r.slave, unix.TCGETS)
	if err != nil {
		return // gone: Move is about to see
	}
	for _, c := range typed {
		switch {
		case c == 0: // no key, where there is none
		case c == modes.Cc[unix.VSUSP]:
			r.OnKey(unix.SIGTSTP)
		case modes.Lflag&unix.ISIG == 0:
		case c == modes.Cc[unix.VINTR]:
			r.OnKey(unix.SIGINT)
		case c == modes.Cc[unix.VQUIT]:
			r.OnKey(unix.SIGQUIT)
		}
	}
}

// Flush shows what the sandbox has written so far, at most as much as a terminal
// buffers. It waits until the caller's terminal has taken it, or until a signal comes
// for which stop returns true.
func (r *Relay) Flush(caught int, stop func() bool) error {
	for left := 1 << 17; left > 0 && !r.gone; {
		more := true
		if r.out.room() {
			had := r.out.to
			err := r.out.fill(r.master)
			more = err == nil && r.out.to > had
			left -= r.out.to - had
		}
		if err := r.out.drain(r.caller.FD); err != nil {
			return r.HangUp()
		}
		if r.out.empty() {
			if !more {
				return nil
			}
			continue
		}
		fds := []unix.PollFd{{Fd: int32(r.caller.FD), Events: unix.POLLOUT}, {Fd: int32(caught), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for the terminal: %w", err)
		}
		if fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0 {
			return r.HangUp()
		}
		if fds[1].Revents != 0 && stop() {
			return nil
		}
	}
	return nil
}

// Pause gives the caller's terminal back until Resume.
func (r *Relay) Pause() error {
	if err := r.caller.restore(); err != nil && err != unix.EIO && !r.gone {
		return fmt.Errorf("restore the modes of the terminal: %w", err)
	}
	return nil
}

// End restores the caller's terminal and closes it. A second call does nothing.
func (r *Relay) End() error {
	if r.ended {
		return nil
	}
	r.ended = true
	err := r.Pause()
	unix.Close(r.caller.FD)
	return errors.Join(err, r.close())
}

// HangUp hangs up the sandbox's terminal, after the caller's has hung up. Nothing is
// relayed from here on.
func (r *Relay) HangUp() error {
	if r == nil {
		return nil
	}
	r.caller.raw = false
	return r.close()
}

func (r *Relay) close() error {
	if r.gone {
		return nil
	}
	r.gone = true
	err := unix.Close(r.master)
	if r.slave >= 0 {
		err = errors.Join(err, unix.Close(r.slave))
	}
	return err
}

// buffer holds bytes that were read and not yet written.
type buffer struct {
	b        [8192]byte
	from, to int
}

func (b *buffer) empty() bool { return b.from == b.to }

// room says whether there is room for another read.
func (b *buffer) room() bool { return b.to < len(b.b) }

// fill reads what is there and fits. Reading nothing is not an end: a terminal that
// has hung up says so in poll(2), and another program may have been quicker.
func (b *buffer) fill(fd int) error {
	n, err := unix.Read(fd, b.b[b.to:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return nil
	}
	if err != nil {
		return err
	}
	b.to += n
	return nil
}

// drain writes as much as the other side takes.
func (b *buffer) drain(fd int) error {
	for !b.empty() {
		n, err := unix.Write(fd, b.b[b.from:b.to])
		if err == unix.EAGAIN {
			return nil
		}
		if err != nil && err != unix.EINTR {
			return err
		}
		b.from += max(n, 0)
	}
	b.from, b.to = 0, 0
	return nil
}
