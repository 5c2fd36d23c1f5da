package sandbox

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/sandbox/cgroup"
)

// verifyCgroup is the launcher's look at what the janitor has made.
type verifyCgroup struct{}

func (verifyCgroup) String() string { return "verify the cgroup's limits, to be born into it" }

func (verifyCgroup) Compile(*step.Asm) {}

// enterCgroup opens the cgroup that the janitor has made and reads its limits
// back. The descriptor is for the child to be born into.
func (ps *Process) enterCgroup() (inside int, err error) {
	l := ps.plan.held
	if ps.cgroup, inside, err = l.cgroup.Open(ps.janitor.token); err != nil {
		return -1, &StepError{*l.cgroup, err}
	}
	for _, f := range l.files {
		if err := f.Verify(ps.cgroup); err != nil {
			unix.Close(inside)
			return -1, &StepError{f, err}
		}
	}
	return inside, nil
}

// limitNotes tells which limits the sandbox met.
func (ps *Process) limitNotes(exit Exit) (notes []string) {
	l := ps.plan.held
	if l == nil {
		return nil
	}
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if ps.status.TimedOut != 0 || !ps.overdue.IsZero() {
		note("time limit %s reached, killed", l.time)
	}
	if ps.cgroup >= 0 {
		e := cgroup.ReadEvents(ps.cgroup)
		if l.memory != "" && e.Killed > 0 {
			note("memory limit %s reached, killed by the kernel", l.memory)
		}
		switch {
		case l.processes == "" || e.Forks == 0:
		case e.Forks == 1:
			note("processes limit %s reached once", l.processes)
		default:
			note("processes limit %s reached %d times", l.processes, e.Forks)
		}
	}
	if exit.Status.Signaled() && ps.status.Ended != 0 {
		u := &ps.status.Usage
		// The kernel's two accounts of the same time differ a little.
		used := time.Duration(u.Utime.Nano()+u.Stime.Nano()) + time.Second/2
		switch s := exit.Status.Signal(); {
		case l.cpuTime != "" && (s == unix.SIGXCPU || s == unix.SIGKILL && used >= l.cpuKill):
			note("cpu_time limit %s reached, killed by the kernel", l.cpuTime)
		case l.fileSize != "" && s == unix.SIGXFSZ:
			note("file_size limit %s reached, killed by the kernel", l.fileSize)
		}
	}
	return notes
}
