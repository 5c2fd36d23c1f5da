package launch

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"sbx/policy/explain"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plan"
	"sbx/sandbox/internal/signals"
)

// Attached is what Run calls while it stands in for its target. All may be nil.
type Attached struct {
	// Again makes the plan anew, with new facts.
	Again func() (*plan.Plan, *host.Facts, error)
	// Tell is told of denied calls as they happen, where the plan has a listener; see
	// notify.Listener.
	Tell func(explain.Denial, uint64)
	// Ready is told of the target's exec, with its pid as this process and as the target
	// itself sees it, where the plan Announces.
	Ready func(pid, inside int)
	// Born is told of the sandbox's first process, where the plan Holds it. That goes on when
	// there has been something to read from each of the descriptors until, or its end.
	Born func(pid int) (until []int, err error)
	// Rested is called once when the sandbox has run for restAfter.
	Rested func()
}

// Tries bounds how often a start is tried with a new plan.
const Tries = 100

// Run starts the plan, forwards signals to it, and returns when it has ended.
// It is for a process that has nothing else to do: it closes the standard input
// and output, keeps the calling goroutine on its thread, and takes over the
// Forwarded signals, for good. It closes facts. An error that is no *LateError
// means that nothing of the target has run.
//
// Where the start failed for a plan that was outdated by then (see
// plan.Plan.Outdated), it tries again with what a.Again gives.
func Run(p *plan.Plan, facts *host.Facts, a Attached) (exit Exit, err error) {
	// The sandbox dies with the thread that forks it (PR_SET_PDEATHSIG), so
	// that has to be one that lives as long as the process.
	runtime.LockOSThread()
	atTerminal := (p.SharesJob || p.OwnSession) && controlled()
	// All of them, also what we were started to ignore: the target inherits
	// that, and drops the signal by itself unless it has a handler.
	caught, err := signals.Catch(Forwarded[:]...)
	if err != nil {
		return exit, err
	}
	held, err := holdStreams()
	if err != nil {
		return exit, err
	}
	// Before anything is printed, which a stopped terminal would hold up.
	defer func() { exit.Notes = append(exit.Notes, held.restore()...) }()
	defer func() { facts.Close() }()
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		return exit, fmt.Errorf("ask whether the launcher can be traced: %w", err)
	}
	h := hooks{adopt: true, born: a.Born, caught: caught, atTerminal: atTerminal}
	for n := 1; ; n++ {
		last := a.Again == nil || n == Tries || !p.Searched()
		var told bool
		if exit, told, err = runOnce(p, facts, h, last, a); last || told || !p.Outdated(err) {
			break
		}
		facts.Close()
		// The next child is to write to its own files in /proc.
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(dumpable), 0, 0, 0); err != nil {
			return exit, fmt.Errorf("make the launcher traceable for another start: %w", err)
		}
		p2, facts2, err := a.Again()
		if err != nil {
			return exit, err
		}
		p, facts = p2, facts2
	}
	exit.New = facts.LookAgain() // nothing inside is left that could change it
	return exit, err
}

// runOnce runs the plan. last says that it is not tried again. told says that a
// signal asked the target to end.
func runOnce(
	p *plan.Plan, facts *host.Facts, h hooks, last bool, a Attached,
) (exit Exit, told bool, err error) {
	ps, err := start(p, h)
	if err == nil {
		facts.Remember()
	}
	facts.CloseFiles()
	if asked := (*endedError)(nil); errors.As(err, &asked) {
		return Exit{Status: unix.WaitStatus(asked.signal)}, true, nil
	}
	if err != nil {
		return exit, false, err
	}
	if ps.listener != nil {
		ps.listener.Tell(a.Tell)
		if ps.tell = a.Tell; ps.gateway != nil && a.Tell != nil {
			if ps.news, err = ps.gateway.Watch(); err != nil {
				return exit, false, errors.Join(fmt.Errorf("watch for denied hosts: %w", err), ps.kill())
			}
		}
	}
	// Our memory is not the target's to read, wherever it runs.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return exit, false, &LateError{fmt.Errorf("make the launcher untraceable: %w", err)}
	}
	ps.rested = a.Rested
	if a.Ready != nil {
		ps.ready.tell = func() { a.Ready(ps.Target()) }
	}
	ps.held = func() {
		unix.Close(0)
		unix.Close(1)
	}
	if last {
		ps.closeStreams()
	}
	exit, err = ps.Supervise(h.caught)
	err = late(err)
	return exit, ps.told || ps.hungUp, err
}

// late marks an error that is no step's.
func late(err error) error {
	if failed := (*plan.StepError)(nil); err != nil && !errors.As(err, &failed) {
		return &LateError{err}
	}
	return err
}

// Accompany supervises the sandbox for a process that goes on with its own work: no signal
// to this process is the target's, and nothing of this process is changed. held, if not
// nil, closes what is held of the target's streams, and ready is told of its exec. The
// thread is that of Start.
func (ps *Process) Accompany(held, ready func()) (Exit, error) {
	ps.held, ps.ready.tell = held, ready
	exit, err := ps.Supervise(-1)
	return exit, late(err)
}

// closeStreams lets go of the target's streams: nobody sees the end of a pipe that the
// target has closed while we hold it.
func (ps *Process) closeStreams() {
	if ps.held != nil {
		ps.held()
		ps.held = nil
	}
}

// streamSource closes the standard streams once no other start can be needed: all that a search
// found is mounted over when the target's process is there, but without namespaces the target
// itself makes sure that it is where it was.
type streamSource struct{ ps *Process }

func (s streamSource) fds(list []unix.PollFd) ([]unix.PollFd, int) {
	if s.ps.held == nil {
		return list, -1
	}
	return list, 10
}

func (s streamSource) ready([]unix.PollFd) (bool, error) {
	if s.ps.held != nil && atomic.LoadUint32(&s.ps.status.Executing) != 0 {
		s.ps.closeStreams()
	}
	return false, nil
}

// LateError is an error after which the sandbox was ended and that is none of
// its steps': the target may have run.
type LateError struct{ Err error }

func (e *LateError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *LateError) Unwrap() error { return e.Err }
