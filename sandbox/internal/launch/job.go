package launch

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"sbx/sandbox/internal/process"
	"sbx/sandbox/internal/signals"
)

// readSignals deals with all signals to the launcher that have come, and says
// whether SIGCONT was among them.
func (ps *Process) readSignals() (continued bool, err error) {
	for {
		s, ok := signals.Read(ps.caught)
		if !ok {
			return continued, nil
		}
		continued = continued || s.Signal == unix.SIGCONT
		if err := ps.onSignal(s); err != nil {
			return continued, err
		}
	}
}

// onSignal forwards a signal that the launcher received, or handles it itself.
func (ps *Process) onSignal(s signals.Info) error {
	kernel := s.Code > 0 // a terminal's, mostly
	if s.Signal == unix.SIGHUP && ps.atTerminal && (kernel || !controlled()) {
		ps.onHangUp()
	}
	if kernel {
		ps.onKey(s.Signal)
	}
	if s.Signal == unix.SIGTERM {
		ps.onTerm()
	}
	switch {
	case kernel && ps.plan.SharesJob && ps.status.Forked != 0:
		// The terminal's signals go to the whole group, so to the target as
		// well, once it is there.
		return nil
	case !ps.plan.OwnSession:
		return ps.Signal(s.Signal)
	case !kernel && s.PID == int32(unix.Getpid()):
		return nil // to the rest of our job; see onStop
	case s.Signal == unix.SIGHUP && kernel:
		return ps.hangUp()
	case s.Signal == unix.SIGWINCH && kernel && ps.plan.PTY != nil:
		return ps.relay.Resize()
	case s.Signal == unix.SIGCONT:
		if err := ps.relay.Resume(); err != nil {
			return err
		}
		return ps.signalGroup(s.Signal)
	case kernel:
		return ps.signalGroup(s.Signal)
	}
	return ps.Signal(s.Signal)
}

// onHangUp ends a target that outlives the terminal that it was started at, but
// not at once, and not where sbx was started to ignore that, as by nohup(1).
func (ps *Process) onHangUp() {
	ps.told = true
	if ps.ending.hungUp || ps.ignoresHangUp() {
		return
	}
	ps.ending.hungUp = true
	now := time.Now()
	ps.ending.ask = now.Add(hangUpGrace)
	ps.endAt(now.Add(2*hangUpGrace), "ended, since the terminal was closed")
}

// ignoresHangUp says whether sbx was started with SIGHUP ignored, as the target
// then is.
func (ps *Process) ignoresHangUp() bool {
	for _, s := range ps.plan.Target {
		if restored, ok := s.(process.Signals); ok {
			return restored.Ignored&(1<<(uint(unix.SIGHUP)-1)) != 0
		}
	}
	return false
}

// controlled says whether this process has a controlling terminal. When that is
// closed the shell tells its jobs, mostly before the kernel does.
func controlled() bool {
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err != unix.ENXIO && err != unix.EIO
}

// asksToEnd says whether who sends the signal wants the target to end.
func asksToEnd(s unix.Signal) bool {
	return s == unix.SIGTERM || s == unix.SIGINT || s == unix.SIGHUP || s == unix.SIGQUIT
}

// hangUp tells the target, once, that the caller's terminal is gone.
func (ps *Process) hangUp() error {
	if ps.hungUp {
		return nil
	}
	ps.hungUp = true
	ps.onHangUp()
	// In this order: the kernel sends the init, which leads the session, a
	// SIGHUP too, and of two that wait the first stays.
	return errors.Join(ps.signalGroup(unix.SIGHUP), ps.relay.HangUp())
}

// onStop makes the caller's shell see that the job has stopped. by is the signal
// that stopped the target.
func (ps *Process) onStop(by unix.Signal) error {
	if ps.caught < 0 {
		return nil
	}
	byKey := ps.stopKey(by)
	switch {
	case ps.plan.SharesJob:
		return unix.Kill(unix.Getpid(), unix.SIGSTOP)
	case !ps.plan.OwnSession:
		return nil
	case ps.relay != nil:
		// What the target wrote before, first; then all that the key would
		// have stopped at the caller's terminal: sbx may stand in a pipeline.
		// Where there was no key, the target has stopped itself, or another
		// has: then sbx alone stops, as it would have.
		var failed error
		err := ps.relay.Flush(ps.caught, func() bool {
			_, failed = ps.readSignals()
			return true
		})
		if err = errors.Join(err, failed, ps.relay.Pause()); err != nil {
			return err
		}
		if byKey {
			if err := unix.Kill(0, unix.SIGTSTP); err != nil {
				return err
			}
		}
	}
	if err := signals.Stop(); err != nil {
		return err
	}
	// Continued, or nobody could have: then neither can the target be stopped.
	continued, err := ps.readSignals()
	if err == nil && !continued {
		err = ps.onSignal(signals.Info{Signal: unix.SIGCONT})
	}
	return err
}

// drain shows the rest of what the sandbox wrote, once it has ended, unless
// somebody loses patience, and gives the caller's terminal back.
func (ps *Process) drain() error {
	err := ps.relay.Flush(ps.caught, func() bool {
		for {
			switch s, ok := signals.Read(ps.caught); {
			case !ok:
				return false
			case asksToEnd(s.Signal):
				return true
			}
		}
	})
	return errors.Join(err, ps.relay.End())
}
