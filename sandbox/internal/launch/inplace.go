package launch

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/sandbox/internal/child"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plan"
	"sbx/sandbox/internal/process"
)

// ExecInPlace executes the target of a plan InPlace: this process is the target then, with its
// pid, its parent and all that was not changed by a step. It returns only with an error, and
// then nothing of the target has run, nor is this thread restricted by anything. Like Run,
// it tries again with what again gives where the plan was outdated, closes facts, and is
// for a process that has nothing else to do.
func ExecInPlace(p *plan.Plan, facts *host.Facts, again func() (*plan.Plan, *host.Facts, error)) error {
	if !p.InPlace {
		return errors.New("execute in place: the plan is one of a sandbox with a launcher")
	}
	runtime.LockOSThread()
	defer func() { facts.Close() }()
	// The target gets open file descriptions of its own of the caller's pipes. What is held of
	// other files to give their flags back, which nobody will, the exec closes.
	if _, err := holdStreams(); err != nil {
		return err
	}
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		return fmt.Errorf("ask whether the process can be traced: %w", err)
	}
	facts.Remember() // nobody is left to do it afterwards
	for n := 1; ; n++ {
		err := execInPlace(p, nil)
		if err2 := unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(dumpable), 0, 0, 0); err2 != nil {
			return errors.Join(err, fmt.Errorf("make the process traceable again: %w", err2))
		}
		if again == nil || n == Tries || !p.Searched() || !p.Outdated(err) {
			return err
		}
		facts.Close()
		next, found, err := again()
		if err != nil {
			return err
		}
		p, facts = next, found
	}
}

// execInPlace is one try. It returns only with an error.
func execInPlace(p *plan.Plan, hook func(*step.Table)) error {
	none := plan.Descriptors{Launcher: -1, Notify: -1, Janitor: -1, Ready: -1}
	asm, _ := p.Compile(none, func(f process.ClearMemory) step.Step { return f })
	table, err := linkTable(asm, hook)
	if err != nil {
		return fmt.Errorf("lay out the plan: %w", err)
	}
	// Neither is freed: the thread that has used them is about to end, not gone.
	st, err := child.NewStatus()
	if err != nil {
		return fmt.Errorf("lay out the status page: %w", err)
	}
	if err := child.Become(table, st); err != nil {
		return fmt.Errorf("make a thread that executes the program: %w", err)
	}
	if st.Failed == 0 {
		return errors.New("execute the program: the plan has come to its end without doing so")
	}
	return failure(st, p.StepAt(int(table.Calls[st.Failed-1].Step)))
}
