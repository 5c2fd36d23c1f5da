package sandbox

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a started program. Its methods may be called from any goroutine.
type Process struct {
	// Pid is the program's process id, and Inside that which it has in the sandbox's pid
	// namespace. Both are 0 where it ended before it was executed.
	Pid, Inside int

	cmd *Cmd
}

// Signal sends a signal to the program, by way of the sandbox's init: it is never another
// process's. One that has ended gets none, and the error is os.ErrProcessDone.
func (p *Process) Signal(sig os.Signal) error {
	select {
	case <-p.cmd.done:
		return os.ErrProcessDone
	default:
	}
	s, ok := sig.(unix.Signal)
	if !ok {
		return errors.New("sandbox: unsupported signal type")
	}
	return p.cmd.signal(s)
}

// Kill ends the program and all that it has started.
func (p *Process) Kill() error { return p.Signal(unix.SIGKILL) }

// ProcessState is how a program ended.
type ProcessState struct {
	// Exit has what is known of the sandbox besides.
	Exit Exit
	pid  int
}

// Pid is the process id that the program had.
func (s *ProcessState) Pid() int { return s.pid }

// Exited says whether it ended by itself, and not by a signal.
func (s *ProcessState) Exited() bool { return s.Exit.Status.Exited() }

// ExitCode is its exit status, or -1 where a signal ended it.
func (s *ProcessState) ExitCode() int {
	if s == nil {
		return -1
	}
	return s.Exit.Status.ExitStatus()
}

// Success says whether it exited with status 0.
func (s *ProcessState) Success() bool { return s.Exited() && s.ExitCode() == 0 }

// Sys is its wait status, a unix.WaitStatus.
func (s *ProcessState) Sys() any { return s.Exit.Status }

// SystemTime and UserTime are the processor time of all in the sandbox.
func (s *ProcessState) SystemTime() time.Duration { return s.Exit.Usage.System }

// UserTime is that in user mode.
func (s *ProcessState) UserTime() time.Duration { return s.Exit.Usage.User }

// String is as os.ProcessState prints it.
func (s *ProcessState) String() string {
	switch w := s.Exit.Status; {
	case w.Exited():
		return fmt.Sprintf("exit status %d", w.ExitStatus())
	case w.CoreDump():
		return "signal: " + w.Signal().String() + " (core dumped)"
	default:
		return "signal: " + w.Signal().String()
	}
}

// ExitError is a program that ran and did not end with status 0.
type ExitError struct {
	*ProcessState
	// Stderr is the beginning and the end of standard error, if Output has seen to it.
	Stderr []byte

	cause error
}

// Error says how the program ended, as os/exec does.
func (e *ExitError) Error() string { return e.ProcessState.String() }

// Unwrap is the context's error, if that ended the program; else nil.
func (e *ExitError) Unwrap() error { return e.cause }
