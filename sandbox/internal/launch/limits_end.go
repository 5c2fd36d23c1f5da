package launch

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"sbx/sandbox/internal/cgroup"
	"sbx/sandbox/internal/plan"
)

// enterCgroup opens the cgroup that the janitor has made and reads its limits
// back. The descriptor is for the child to be born into.
func (ps *Process) enterCgroup() (inside int, err error) {
	l := ps.plan.Limits
	if ps.cgroup, inside, err = l.Cgroup.Open(ps.janitor.token); err != nil {
		return -1, &plan.StepError{Step: *l.Cgroup, Err: err}
	}
	for _, f := range l.Files {
		if err := f.Verify(ps.cgroup); err != nil {
			unix.Close(inside)
			return -1, &plan.StepError{Step: f, Err: err}
		}
	}
	return inside, nil
}

// limitNotes tells which limits the sandbox met.
func (ps *Process) limitNotes(exit Exit) (notes []string) {
	l := ps.plan.Limits
	if l == nil {
		return nil
	}
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if why, did := ps.endedBy(); ps.status.TimedOut != 0 || did && why == "" && l.Time != "" {
		note("time limit %s reached, killed", l.Time)
	}
	if ps.cgroup >= 0 {
		e := cgroup.ReadEvents(ps.cgroup)
		if l.Memory != "" && e.Killed > 0 {
			note("memory limit %s reached, killed by the kernel", l.Memory)
		}
		switch {
		case l.Processes == "" || e.Forks == 0:
		case e.Forks == 1:
			note("processes limit %s reached once", l.Processes)
		default:
			note("processes limit %s reached %d times", l.Processes, e.Forks)
		}
	}
	if exit.Status.Signaled() && ps.status.Ended != 0 {
		u := &ps.status.Usage
		// The kernel's two accounts of the same time differ a little.
		used := time.Duration(u.Utime.Nano()+u.Stime.Nano()) + time.Second/2
		switch s := exit.Status.Signal(); {
		case l.CPUTime != "" && (s == unix.SIGXCPU || s == unix.SIGKILL && used >= l.CPUKill):
			note("cpu_time limit %s reached, killed by the kernel", l.CPUTime)
		case l.FileSize != "" && s == unix.SIGXFSZ:
			note("file_size limit %s reached, killed by the kernel", l.FileSize)
		}
	}
	return notes
}
