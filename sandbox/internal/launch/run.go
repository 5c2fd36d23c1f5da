package launch

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"sbx/policy/explain"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plan"
	"sbx/sandbox/internal/signals"
)

// Run starts the plan, forwards signals to it, and returns when it has ended.
// It is for a process that has nothing else to do: it closes the standard input
// and output, keeps the calling goroutine on its thread, and takes over the
// Forwarded signals, for good. It closes facts. An error that is no *LateError
// means that nothing of the target has run. tell, if not nil, is told of denied calls as
// they happen, where the plan has a listener; see notify.Listener.
func Run(p *plan.Plan, facts *host.Facts, tell func(explain.Denial, uint64)) (exit Exit, err error) {
	// The sandbox dies with the thread that forks it (PR_SET_PDEATHSIG), so
	// that has to be one that lives as long as the process.
	runtime.LockOSThread()
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
	defer facts.Close()
	ps, err := start(p, hooks{})
	facts.CloseFiles()
	if err != nil {
		return exit, err
	}
	if ps.listener != nil {
		ps.listener.Tell(tell)
	}
	// Nobody reads from a pipe that the target has closed while we hold it,
	// and our memory is not the target's to read, wherever it runs.
	unix.Close(0)
	unix.Close(1)
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return exit, &LateError{fmt.Errorf("make the launcher untraceable: %w", err)}
	}
	exit, err = ps.Supervise(caught)
	exit.New = facts.LookAgain() // nothing inside is left that could change it
	if err != nil {
		if failed := (*plan.StepError)(nil); !errors.As(err, &failed) {
			err = &LateError{err}
		}
	}
	return exit, err
}

// LateError is an error after which the sandbox was ended and that is none of
// its steps': the target may have run.
type LateError struct{ Err error }

func (e *LateError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *LateError) Unwrap() error { return e.Err }
