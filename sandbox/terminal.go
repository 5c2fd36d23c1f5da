package sandbox

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/policy"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/signals"
	"sbx/sandbox/internal/fallbackfilter"
	"sbx/sandbox/internal/terminal"
)

// findTerminal looks for the terminal to relay, and refuses to hand it over by
// another way.
func findTerminal(t Target) (*terminal.Caller, error) {
	c, err := terminal.Find()
	if err != nil {
		return nil, &NeedError{What: "give the target a terminal of its own: " + err.Error(),
			Hint: "redirect the streams that are not the terminal sbx was started at, as in </dev/null"}
	}
	for _, fd := range t.KeepFDs {
		if c != nil && c.Is(fd) {
			return nil, &NeedError{What: fmt.Sprintf("keep descriptor %d: it is the caller's terminal, and the policy gives the target one of its own", fd),
				Hint: "leave --keep-fd out: descriptors 0, 1 and 2 are the target's own terminal"}
		}
	}
	return c, nil
}

// terminal settles how the target stands to the caller's terminal. own says that
// the view, and so its /dev/pts, is the sandbox's own.
func (p *Plan) terminal(pol *policy.Policy, h *Host, own bool) error {
	switch pol.Process.Terminal {
	case "", "inherit":
		p.Terminal = h.Terminal
		return nil
	case "pty":
		if h.Caller == nil {
			break // no terminal to relay: then the target has none
		}
		if !own {
			return &NeedError{What: "give the target a terminal of its own where /dev/pts is another mount namespace's",
				Hint: "leave mount to \"new\" in the policy's [namespaces], or say terminal = \"new-session\""}
		}
		if !policy.NotFalse(pol.Files.Dev) {
			return &NeedError{What: "give the target a terminal of its own without a /dev",
				Hint: "leave dev = false out of the policy's [files], or say terminal = \"new-session\""}
		}
		p.Caller = h.Caller
		p.Undo = append(p.Undo, h.Caller.Restore())
	}
	p.Apart = true
	return nil
}

// groupFilter keeps signals in the sandbox at a terminal, where Landlock does
// not: the job there is the target's process group as well as the launcher's.
// With the outside's pid namespace it is one of many that can be named.
func groupFilter(p *policy.Policy, plan *Plan, h *Host) []step.Step {
	scoped := plan.Landlock && h.Landlock >= landlock.ABIScopes
	if !plan.Terminal || scoped || plan.Shared {
		return nil
	}
	return []step.Step{standIn(fallbackfilter.GroupSignals, p)}
}

// received does with a signal to the launcher what is to be done with it.
func (ps *Process) received(s signals.Info) error {
	kernel := s.Code > 0 // a terminal's, mostly
	switch {
	case kernel && ps.plan.Terminal && ps.status.Forked != 0:
		// The terminal's signals go to the whole group, so to the target as
		// well, once it is there.
		return nil
	case !ps.plan.Apart:
		return ps.Signal(s.Signal)
	case !kernel && s.PID == int32(unix.Getpid()):
		return nil // to the rest of our job; see stopped
	case s.Signal == unix.SIGHUP && kernel:
		return ps.hungUp()
	case s.Signal == unix.SIGWINCH && kernel && ps.plan.Caller != nil:
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

// hungUp tells the target, once, that the caller's terminal is gone.
func (ps *Process) hungUp() error {
	if ps.hangup {
		return nil
	}
	ps.hangup = true
	// In this order: the kernel sends the init, which leads the session, a
	// SIGHUP too, and of two that wait the first stays.
	return errors.Join(ps.signalGroup(unix.SIGHUP), ps.relay.HangUp())
}

// told reads what came from inside: that the target has stopped, or the master
// of its terminal, which the set-up sends.
func (ps *Process) told(caught int) error {
	if ps.plan.Caller == nil || ps.relay != nil {
		var b [1]byte
		if n, _, err := unix.Recvfrom(ps.notify, b[:], unix.MSG_DONTWAIT); err != nil || n != 1 {
			return nil // nothing, or the end
		}
		return ps.stopped(caught)
	}
	master, err := terminal.Receive(ps.notify)
	if err != nil || master < 0 {
		return err
	}
	ps.relay, err = ps.plan.Caller.Start(master)
	return err
}

// stopped makes the caller's shell see that the job has stopped.
func (ps *Process) stopped(caught int) error {
	switch {
	case ps.plan.Terminal:
		return unix.Kill(unix.Getpid(), unix.SIGSTOP)
	case !ps.plan.Apart:
		return nil
	case ps.relay != nil:
		// What the target wrote before, first; then all that the key would
		// have stopped at the caller's terminal: sbx may stand in a pipeline.
		var failed error
		err := ps.relay.Flush(caught, func() bool {
			_, failed = ps.signals(caught)
			return true
		})
		if err = errors.Join(err, failed, ps.relay.Pause()); err != nil {
			return err
		}
		if err := unix.Kill(0, unix.SIGTSTP); err != nil {
			return err
		}
	}
	if err := signals.Stop(); err != nil {
		return err
	}
	// Continued, or nobody could have: then neither can the target be stopped.
	continued, err := ps.signals(caught)
	if err == nil && !continued {
		err = ps.received(signals.Info{Signal: unix.SIGCONT})
	}
	return err
}

// signals does with all signals that have come what is to be done, and says
// whether SIGCONT was among them.
func (ps *Process) signals(caught int) (continued bool, err error) {
	for {
		s, ok := signals.Read(caught)
		if !ok {
			return continued, nil
		}
		continued = continued || s.Signal == unix.SIGCONT
		if err := ps.received(s); err != nil {
			return continued, err
		}
	}
}

// leave shows the rest of what the sandbox wrote, once it has ended, unless
// somebody loses patience, and gives the caller's terminal back.
func (ps *Process) leave(caught int) error {
	err := ps.relay.Flush(caught, func() bool {
		for {
			switch s, ok := signals.Read(caught); {
			case !ok:
				return false
			case s.Signal == unix.SIGTERM || s.Signal == unix.SIGINT || s.Signal == unix.SIGHUP || s.Signal == unix.SIGQUIT:
				return true
			}
		}
	})
	return errors.Join(err, ps.relay.End())
}
