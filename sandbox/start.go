package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"sbx/sandbox/internal/launch"
)

// ErrWaitDelay is what Wait returns for a program that ended well, but whose pipes had to be
// closed after WaitDelay.
var ErrWaitDelay = errors.New("sandbox: WaitDelay expired before I/O complete")

// ErrNotStarted is what Wait and the like return for a Cmd that was not started.
var ErrNotStarted = errors.New("sandbox: not started")

// Run is Start and Wait.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the program and returns what it has written to standard output. If that was
// not given, the *ExitError has the beginning and the end of standard error.
func (c *Cmd) Output() ([]byte, error) {
	if c.Stdout != nil {
		return nil, errors.New("sandbox: Stdout already set")
	}
	var stdout bytes.Buffer
	c.Stdout = &stdout
	var stderr *endsBuffer
	if c.Stderr == nil {
		stderr = &endsBuffer{}
		c.Stderr = stderr
	}
	err := c.Run()
	if e := (*ExitError)(nil); stderr != nil && errors.As(err, &e) {
		e.Stderr = stderr.bytes()
	}
	return stdout.Bytes(), err
}

// CombinedOutput runs the program and returns what it has written to standard output and
// standard error.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	if c.Stdout != nil || c.Stderr != nil {
		return nil, errors.New("sandbox: Stdout or Stderr already set")
	}
	var both bytes.Buffer
	c.Stdout, c.Stderr = &both, &both
	err := c.Run()
	return both.Bytes(), err
}

// Start starts the program and returns when it has been executed. An error means that
// nothing of it has run; see the types of errors in this package.
//
// The calling process goes on as it is: what Start needs it does in a thread of its own,
// which the sandbox dies with, as it does with the process.
func (c *Cmd) Start() (err error) {
	if c.started {
		return errors.New("sandbox: already started")
	}
	c.started = true
	defer func() {
		if err != nil {
			c.io.closeAll()
		}
	}()
	if c.ctx == nil && c.Cancel != nil {
		return errors.New("sandbox: Cancel is set, and there is no context: use CommandContext")
	}
	if c.ctx != nil && c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	given, release, err := c.openStreams()
	if err != nil {
		return err
	}
	t := c.target(given)
	p, facts, err := c.plan(t)
	if err == nil {
		err = launch.CheckBinary(p)
	}
	if err != nil {
		if facts != nil {
			facts.Close()
		}
		release()
		return err
	}
	c.done = make(chan struct{})
	started := make(chan struct{})
	go c.supervise(t, p, facts, release, started)
	var over <-chan struct{}
	if c.ctx != nil {
		over = c.ctx.Done()
	}
	select {
	case <-started:
	case <-c.done:
	case <-over:
		c.kill()
		select {
		case <-started:
		case <-c.done:
		}
	}
	if c.Process == nil {
		select {
		case <-started: // it was quick
		default:
			<-c.done
			if c.err != nil {
				return c.err
			}
		}
	}
	c.setProcess()
	c.io.started()
	c.watch()
	return nil
}

// setProcess is called once the target has been executed, or has ended.
func (c *Cmd) setProcess() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Process = &Process{cmd: c}
	if c.process != nil {
		c.Process.Pid, c.Process.Inside = c.process.Target()
	}
}

// supervise runs the plan, and makes it anew where it is outdated. The sandbox dies with
// the thread that forks it, which belongs to this goroutine and ends with it.
func (c *Cmd) supervise(t Target, p *Plan, facts *Facts, release func(), started chan struct{}) {
	runtime.LockOSThread()
	defer close(c.done)
	defer func() { facts.Close() }()
	defer release()
	for n := 1; ; n++ {
		ps, err := c.begin(p)
		if err == nil {
			facts.Remember()
		}
		facts.CloseFiles()
		if err == nil {
			held := release
			if n == launch.Tries || !p.Searched() {
				release()
				held = nil
			}
			c.exit, err = ps.Accompany(held, func() { close(started) })
		}
		c.err = err
		if n == launch.Tries || !p.Outdated(err) {
			return
		}
		next, found, err := c.plan(t)
		if found != nil {
			facts.Close()
			facts = found
		}
		if err != nil {
			c.err = err
			return
		}
		p = next
	}
}

// errSignaled says that a sandbox is not to be started again.
var errSignaled = errors.New("start a sandbox: it was sent a signal before it could be")

// begin starts the plan, unless a signal was sent to an earlier one.
func (c *Cmd) begin(p *Plan) (*launch.Process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.signaled {
		return nil, errSignaled
	}
	ps, err := launch.Start(p)
	if err == nil {
		c.process = ps
	}
	return ps, err
}

// kill ends the program, and so all in the sandbox.
func (c *Cmd) kill() error { return c.signal(unix.SIGKILL) }

func (c *Cmd) signal(sig unix.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signaled = true
	if c.process == nil {
		return nil // it is being started, and is not then
	}
	return c.process.Signal(sig)
}

// watch ends the program with the context.
func (c *Cmd) watch() {
	if c.ctx == nil {
		return
	}
	c.watched = make(chan error, 1)
	go func() {
		select {
		case <-c.done:
			c.watched <- nil
			return
		case <-c.ctx.Done():
		}
		err := c.ctx.Err()
		cancel := c.Cancel
		if cancel == nil {
			cancel = c.Process.Kill
		}
		switch e := cancel(); {
		case errors.Is(e, os.ErrProcessDone):
			err = nil
		case e != nil:
			err = fmt.Errorf("cancel a sandbox: %w", e)
		}
		if c.WaitDelay > 0 {
			timer := time.NewTimer(c.WaitDelay)
			defer timer.Stop()
			select {
			case <-c.done:
			case <-timer.C:
				if e := c.Process.Kill(); e != nil && !errors.Is(e, os.ErrProcessDone) {
					err = errors.Join(err, e)
				}
			}
		}
		c.watched <- err
	}()
}

// Wait waits until the program has ended, everything in the sandbox is gone, and all of its
// input and output is copied. The error is nil for status 0, an *ExitError for another way
// to end, and else what kept the sandbox from being what it should be. Where the context
// ended the program, errors.Is tells the context's error too.
func (c *Cmd) Wait() error {
	if c.Process == nil {
		return ErrNotStarted
	}
	if c.waited {
		return errors.New("sandbox: Wait was already called")
	}
	c.waited = true
	<-c.done
	var cause error
	if c.watched != nil {
		cause = <-c.watched
	}
	c.ProcessState = &ProcessState{Exit: c.exit, pid: c.Process.Pid}
	copied := c.io.wait(c.WaitDelay)
	switch {
	case c.err != nil:
		return errors.Join(c.err, cause)
	case !c.ProcessState.Success():
		return &ExitError{ProcessState: c.ProcessState, cause: cause}
	case cause != nil:
		return cause
	}
	return copied
}

// Signal is Process.Signal for a program that may not have been started.
func (c *Cmd) Signal(sig os.Signal) error {
	if c.Process == nil {
		return ErrNotStarted
	}
	return c.Process.Signal(sig)
}

// Context is that of CommandContext, or nil.
func (c *Cmd) Context() context.Context { return c.ctx }
