package sandbox

import (
	"golang.org/x/sys/unix"

	"sbx/sandbox/signals"
)

// Forwarded are the signals that the launcher passes on to the target.
var Forwarded = [...]unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2,
	unix.SIGWINCH, unix.SIGCONT, unix.SIGTSTP}

// Supervise waits as Wait does and forwards signals meanwhile. caught is the
// descriptor of signals.Catch, from before the start, so that no signal falls
// between. At a terminal the launcher stops when the target does.
func (ps *Process) Supervise(caught int) (Exit, error) {
	fds := []unix.PollFd{{Fd: int32(caught), Events: unix.POLLIN}, {Fd: int32(ps.notify), Events: unix.POLLIN},
		{Fd: int32(ps.pidfd), Events: unix.POLLIN}, {Fd: -1}}
	if ps.keeper != nil {
		fds[3].Fd = int32(ps.keeper.socket)
	}
	for {
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return Exit{}, err
		}
		for {
			s, ok := signals.Read(caught)
			if !ok {
				break
			}
			// The terminal's signals go to the whole group, so to the target
			// as well, once it is there.
			if s.Code > 0 && ps.plan.Terminal && ps.status.Forked != 0 {
				continue
			}
			if err := ps.Signal(s.Signal); err != nil {
				return Exit{}, err
			}
		}
		if fds[2].Revents != 0 {
			return ps.Wait()
		}
		if fds[3].Revents != 0 {
			// Nobody would undo any more what we leave behind.
			return ps.loseKeeper()
		}
		if fds[1].Revents&unix.POLLIN != 0 {
			var b [1]byte
			if n, _, err := unix.Recvfrom(ps.notify, b[:], unix.MSG_DONTWAIT); err == nil && n == 1 && ps.plan.Terminal {
				// As the shell sees it, the job has stopped.
				unix.Kill(unix.Getpid(), unix.SIGSTOP)
			}
		}
		if fds[1].Revents&unix.POLLHUP != 0 {
			fds[1].Fd = -1 // the init is ending; the pidfd is about to say so
		}
	}
}
