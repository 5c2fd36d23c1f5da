package process

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// These steps are for a target that is executed in place: in the process that sbx was
// started as, by a new thread of it.

// ClearHandlers restores the default action of all signals, where nothing else has done so
// before Signals: no handler of sbx may run on the thread that is about to execute.
type ClearHandlers struct {
	// Blocked are signals that the target begins with blocked, so no handler runs for them:
	// bit n-1 is signal n. They are left alone, since the default of some, which is to ignore
	// them, would discard one that is pending.
	Blocked uint64
}

func (ClearHandlers) String() string { return "restore the default action of all signals" }

func (ClearHandlers) Kind() string { return "clear-handlers" }

// Compile is one rt_sigaction(2) for each signal but 32 and 33. Those are the C libraries' own:
// sbx handles neither, and who started it may have left them ignored, as make does.
func (c ClearHandlers) Compile(a *step.Asm) {
	action := a.Words(step.Int(0), step.Int(0), step.Int(0), step.Int(0)) // SIG_DFL
	for n := 1; n <= 64; n++ {
		if n != int(unix.SIGKILL) && n != int(unix.SIGSTOP) && n != 32 && n != 33 && c.Blocked&(1<<uint(n-1)) == 0 {
			a.Sys(unix.SYS_RT_SIGACTION, step.Int(n), action, step.Int(0), step.Int(8))
		}
	}
}

// DeathSignal gives the target the signal for the death of its parent that sbx was started
// with: PR_SET_PDEATHSIG in prctl(2). It is a thread's own, and new threads have none.
type DeathSignal struct{ Signal int }

func (d DeathSignal) String() string {
	return fmt.Sprintf("get signal %d when the parent dies, as sbx would", d.Signal)
}

func (DeathSignal) Kind() string { return "restore-death-signal" }

// Compile is one prctl(2). If the parent has died already, the signal has come to the thread
// that had it set, and so to the process.
func (d DeathSignal) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_PDEATHSIG), step.Int(d.Signal))
}
