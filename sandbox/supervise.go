package sandbox

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Forwarded are the signals that the launcher passes on to the target.
var Forwarded = [...]unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2,
	unix.SIGWINCH, unix.SIGCONT, unix.SIGTSTP}

// Supervise waits as Wait does and forwards signals meanwhile. caught is the
// descriptor of signals.Catch, from before the start, so that no signal falls
// between. At a terminal the launcher stops when the target does; a terminal
// of the target's own it relays, and gives the caller's back in every case.
func (ps *Process) Supervise(caught int) (Exit, error) {
	exit, err := ps.supervise(caught)
	if ps.relay != nil {
		// Late where something failed: it is back already otherwise.
		err = errors.Join(err, ps.relay.End())
	}
	return exit, err
}

func (ps *Process) supervise(caught int) (Exit, error) {
	fds := [6]unix.PollFd{{Fd: int32(caught), Events: unix.POLLIN}, {Fd: int32(ps.notify), Events: unix.POLLIN},
		{Fd: int32(ps.pidfd), Events: unix.POLLIN}, {Fd: -1}, {Fd: -1}, {Fd: -1}}
	if ps.keeper != nil {
		fds[3].Fd = int32(ps.keeper.socket)
	}
	for {
		timeout := -1
		if ps.relay != nil {
			timeout = ps.relay.Watch(fds[4:])
		}
		if _, err := unix.Poll(fds[:], timeout); err != nil && err != unix.EINTR {
			return Exit{}, err
		}
		if _, err := ps.signals(caught); err != nil {
			return Exit{}, err
		}
		if fds[2].Revents != 0 {
			return ps.end(caught)
		}
		if fds[3].Revents != 0 {
			// Nobody would undo any more what we leave behind.
			return ps.loseKeeper()
		}
		if fds[1].Revents&unix.POLLIN != 0 {
			if err := ps.told(caught); err != nil {
				return Exit{}, err
			}
		} else if ps.relay != nil {
			if hungUp, err := ps.relay.Move(fds[4:]); err != nil || hungUp {
				if err = errors.Join(err, ps.hungUp()); err != nil {
					return Exit{}, err
				}
			}
		}
		if fds[1].Revents&unix.POLLHUP != 0 {
			fds[1].Fd = -1 // the init is ending; the pidfd is about to say so
		}
	}
}

// end is Wait once the sandbox has ended.
func (ps *Process) end(caught int) (Exit, error) {
	if ps.plan.Caller == nil {
		return ps.Wait()
	}
	var err error
	if ps.relay == nil {
		err = ps.told(caught) // it was quick
	}
	if ps.relay != nil {
		err = errors.Join(err, ps.leave(caught))
	}
	exit, e := ps.Wait()
	if err != nil && e == nil {
		// The target has run, and how it ended stays the result.
		exit.Notes = append(exit.Notes, err.Error())
	}
	return exit, e
}
