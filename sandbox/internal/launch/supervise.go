package launch

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Forwarded are the signals that the launcher passes on to the target.
var Forwarded = [...]unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2,
	unix.SIGWINCH, unix.SIGCONT, unix.SIGTSTP}

// Supervise waits as Wait does and forwards signals meanwhile. caught is the
// descriptor of signals.Catch, from before the start, so that no signal falls
// between. At a terminal the launcher stops when the target does; a terminal
// of the target's own it relays, and gives the caller's back in every case.
//
// -1 is for a launcher that goes on with its own work: no signal to it is the
// target's, and it does not stop when the target does.
func (ps *Process) Supervise(caught int) (Exit, error) {
	ps.caught, ps.supervised = caught, true
	ps.mounts = mountSource{ps: ps, info: -1}
	var exit Exit
	err := loop(ps.sources())
	if err == nil {
		err = ps.mounts.end()
	}
	if err == nil {
		exit, err = ps.finish()
	}
	if ps.relay != nil {
		// Late where something failed: it is back already otherwise.
		err = errors.Join(err, ps.relay.End())
	}
	return exit, err
}

// source is one of the things that the launcher waits for. It waits for all of
// them in one place, loop, and never anywhere else for one alone.
type source interface {
	// fds appends what to poll for, and says for how many milliseconds at
	// most; see poll(2).
	fds([]unix.PollFd) (all []unix.PollFd, timeout int)
	// ready gets the entries that fds appended back after every poll, for
	// whatever reason it ended, and does what there is to do without waiting.
	// done says that the sandbox has ended.
	ready([]unix.PollFd) (done bool, err error)
}

// sources are all that the launcher waits for, in the order in which they are
// looked at.
func (ps *Process) sources() []source {
	// Signals first: one that came before the end is forwarded before it, and so is what
	// the target told its service manager. The end before what is lost by it.
	return []source{signalSource{ps}, notifySource{ps}, exitSource{ps}, janitorSource{ps}, &controlSource{ps: ps},
		endingSource{ps}, relaySource{ps}, &ps.mounts, listenerSource{ps}, gatewaySource{ps},
		setIDSource{ps},
		streamSource{ps}, readySource{ps}, ps.rest()}
}

// loop waits for the sources until one of them is done.
func loop(sources []source) error {
	var list []unix.PollFd
	ends := make([]int, len(sources))
	for {
		list = list[:0]
		timeout := -1
		for i, s := range sources {
			var most int
			list, most = s.fds(list)
			ends[i] = len(list)
			if most >= 0 && (timeout < 0 || most < timeout) {
				timeout = most
			}
		}
		if _, err := unix.Poll(list, timeout); err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for the sandbox: %w", err)
		}
		from := 0
		for i, s := range sources {
			done, err := s.ready(list[from:ends[i]])
			if done || err != nil {
				return err
			}
			from = ends[i]
		}
	}
}

// finish is Wait once the sandbox has ended.
func (ps *Process) finish() (Exit, error) {
	var failed error
	if ps.manager != nil {
		_, failed = ps.readControl() // it was quick
		ps.manager.Move()
	}
	if ps.ready.read >= 0 {
		_, err := ps.readControl() // it was quick
		failed = errors.Join(failed, err)
		ps.executed()
	}
	ownsJob := false
	if ps.plan.PTY != nil {
		_, err := ps.readControl() // it was quick
		failed = errors.Join(failed, err)
		if ps.relay != nil {
			ownsJob = ps.plan.PTY.OwnsJob()
			failed = errors.Join(failed, ps.drain())
		}
	}
	exit, err := ps.Wait()
	if err != nil {
		return exit, err
	}
	exit.job = ownsJob && exit.Status.Signaled() && ps.endKey(exit.Status.Signal())
	// The target has run, and how it ended stays the result.
	if failed != nil {
		exit.Notes = append(exit.Notes, failed.Error())
	}
	if ps.janitorLost {
		exit.Notes = append(exit.Notes,
			"the janitor, which undoes what is made outside, was killed: the sandbox was ended for it")
	}
	return exit, nil
}
