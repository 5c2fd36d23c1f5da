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
		if f.Missing(ps.cgroup) {
			ps.missing = append(ps.missing, plan.MissingSwap) // the only one
			continue
		}
		if err := f.Verify(ps.cgroup); err != nil {
			unix.Close(inside)
			return -1, &plan.StepError{Step: f, Err: err}
		}
	}
	return inside, nil
}

// Usage is what a sandbox has used, its init included.
type Usage struct {
	// Wall is the time from before its processes were made until all had ended. User
	// and System are the processor time of all of them.
	Wall, User, System time.Duration
	// MaxRSS is the most memory that a single process had resident, in bytes.
	MaxRSS uint64
	// MemoryPeak and ProcessesPeak are the most that the cgroup held at a time, in
	// bytes and in processes; 0 where there is no cgroup, or the kernel does not tell
	// (before Linux 5.19 and 6.1).
	MemoryPeak, ProcessesPeak uint64
}

// usage reads what the sandbox has used, of which wait4 told the launcher r.
func (ps *Process) usage(r *unix.Rusage) Usage {
	u := Usage{
		Wall: time.Since(ps.began), User: time.Duration(r.Utime.Nano()), System: time.Duration(r.Stime.Nano()),
		MaxRSS: uint64(r.Maxrss) << 10,
	}
	if ps.cgroup >= 0 {
		u.MemoryPeak, u.ProcessesPeak = cgroup.ReadPeaks(ps.cgroup)
	}
	return u
}

// tellLimits tells which limits the sandbox met.
func (ps *Process) tellLimits(exit *Exit) {
	l := ps.plan.Limits
	if l == nil {
		return
	}
	reached := func(limit, format string, args ...any) {
		exit.Limits = append(exit.Limits, limit)
		exit.Notes = append(exit.Notes, limit+" limit "+fmt.Sprintf(format, args...))
	}
	const byKernel = "%s reached, killed by the kernel"
	if why, did := ps.endedBy(); ps.status.TimedOut != 0 || did && why == "" && l.Time != "" {
		reached("time", "%s reached, killed", l.Time)
	}
	if ps.cgroup >= 0 {
		e := cgroup.ReadEvents(ps.cgroup)
		if l.Memory != "" && e.Killed > 0 {
			reached("memory", byKernel, l.Memory)
		}
		switch {
		case l.Processes == "" || e.Forks == 0:
		case e.Forks == 1:
			reached("processes", "%s reached once", l.Processes)
		default:
			reached("processes", "%s reached %d times", l.Processes, e.Forks)
		}
	}
	if exit.Status.Signaled() && ps.status.Ended != 0 {
		u := &ps.status.Usage
		// The kernel's two accounts of the same time differ a little.
		used := time.Duration(u.Utime.Nano()+u.Stime.Nano()) + time.Second/2
		switch s := exit.Status.Signal(); {
		case l.CPUTime != "" && (s == unix.SIGXCPU || s == unix.SIGKILL && used >= l.CPUKill):
			reached("cpu_time", byKernel, l.CPUTime)
		case l.FileSize != "" && s == unix.SIGXFSZ:
			reached("file_size", byKernel, l.FileSize)
		}
	}
}
