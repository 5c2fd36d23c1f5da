package plan

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/sandbox/internal/process"
)

// couldNotSandbox is the exit status where nothing of the target has run, for another
// reason than that the target could not be executed.
const couldNotSandbox = 125

// StepError is a step that failed. Nothing of the target has run.
type StepError struct {
	Step step.Step
	// Err is the errno, a *MismatchError, or what the launcher found.
	Err error
}

// MismatchError is a step whose call succeeded with a wrong result, or a check that found
// something other than planned.
type MismatchError = step.MismatchError

// Error is the step and its error. For an exec it is what shells say.
func (e *StepError) Error() string {
	if x, ok := e.Step.(process.Exec); ok {
		_, message := x.Failure(e.Err)
		return message
	}
	return fmt.Sprintf("%s: %v", e.Step, e.Err)
}

// Unwrap returns Err.
func (e *StepError) Unwrap() error { return e.Err }

// ExitStatus is 127 where the target was not found in the sandbox, 126 where it could not
// be executed for another reason, and 125 for every other step.
func (e *StepError) ExitStatus() int {
	if x, ok := e.Step.(process.Exec); ok {
		status, _ := x.Failure(e.Err)
		return status
	}
	return couldNotSandbox
}

// Hint is the step's own hint, or else what the errno means for every step.
func (e *StepError) Hint() string {
	if h, ok := e.Step.(step.Hinter); ok {
		if hint := h.Hint(e.Err); hint != "" {
			return hint
		}
	}
	if _, ok := e.Step.(process.Exec); ok {
		return "" // the errno is about the program
	}
	if step.Mismatched(e.Err) {
		return "this kernel does not do what it reports; see sbx --dry-run for the steps"
	}
	switch step.Errno(e.Err) {
	case unix.ENOSYS:
		return "Linux 5.12 or newer is needed, or an outer sandbox hides the system call " +
			"(docker: --security-opt seccomp=unconfined)"
	case unix.ENOSPC:
		return "no more mounts are allowed: raise sysctl fs.mount-max"
	case unix.EMFILE, unix.ENFILE:
		return openFilesHint
	case unix.EAGAIN:
		return "raise the limit on processes (ulimit -u) or the cgroup's pids.max"
	case unix.ENOMEM:
		return "the machine or its cgroup is out of memory, or too many seccomp filters are stacked"
	case unix.EPERM:
		return "an outer sandbox forbids it (docker: --security-opt seccomp=unconfined --security-opt apparmor=unconfined)"
	}
	return ""
}

const openFilesHint = "raise the limit on open files: ulimit -n"

// Hint is how to fix any error, of this package or another: what its method Hint says, or
// else what its errno means everywhere. It is "" where that is not known.
func Hint(err error) string {
	var h interface{ Hint() string }
	switch {
	case errors.As(err, &h):
		return h.Hint()
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return openFilesHint
	}
	return ""
}
