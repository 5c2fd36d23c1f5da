package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/compile"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/launch"
	"sbx/sandbox/internal/plan"
)

// Cmd is a program to run in a sandbox, to be used like os/exec's Cmd. It has
// the standard streams of the calling process.
type Cmd struct {
	// Policy is what the sandbox is like: resolved and expanded.
	Policy *policy.Policy
	// Filters are the policy's seccomp filters in load order; nil: they are
	// compiled.
	Filters []seccomp.Program
	// Path is the program, looked for in the PATH of the environment inside if
	// it has no slash. Args are all arguments, the program's name first.
	Path string
	Args []string
	// Env is the environment of which the policy lets a part cross; nil: that of
	// the calling process.
	Env []string
	// Dir is the directory to start in, as it is called inside; empty: "/".
	Dir string
	// Project is the directory in which secrets are looked for, if the policy
	// shows it, and Home the caller's home; empty: none.
	Project, Home string
	// KeepFDs are descriptors above 2 that the program gets under the same numbers.
	KeepFDs []int
	// Exit is how the program ended, once Wait has returned.
	Exit Exit

	ctx     context.Context
	mu      sync.Mutex // of the next two
	process *launch.Process
	// signaled says that a signal was sent: then a start is not tried again.
	signaled bool
	done     chan struct{}
	err      error
}

// ExitError is a program that ran and did not end with status 0.
type ExitError struct{ Exit Exit }

func (e *ExitError) Error() string {
	if s := e.Exit.Status; s.Signaled() {
		return "signal: " + s.Signal().String()
	}
	return fmt.Sprintf("exit status %d", e.Exit.Status.ExitStatus())
}

// Command is the program with these arguments in a sandbox of the policy.
func Command(p *policy.Policy, name string, args ...string) *Cmd {
	return &Cmd{Policy: p, Path: name, Args: append([]string{name}, args...)}
}

// CommandContext is Command, and kills the program and all that it has started
// when the context is done.
func CommandContext(ctx context.Context, p *policy.Policy, name string, args ...string) *Cmd {
	c := Command(p, name, args...)
	c.ctx = ctx
	return c
}

// Plan is what Start would do. Nothing runs.
func (c *Cmd) Plan() (*Plan, error) {
	p, facts, err := c.plan()
	if facts != nil {
		facts.Close()
	}
	return p, err
}

func (c *Cmd) plan() (*Plan, *Facts, error) {
	if c.Policy == nil {
		return nil, nil, errors.New("start a sandbox: there is no policy")
	}
	t := Target{
		Path: c.Path, Args: c.Args, Env: c.Env, Dir: c.Dir, Project: c.Project, Home: c.Home, KeepFDs: c.KeepFDs,
		PID: os.Getpid(),
	}
	if t.Env == nil {
		t.Env = os.Environ()
	}
	if t.Dir == "" {
		t.Dir = "/"
	}
	filters := c.Filters
	if filters == nil {
		var err error
		if filters, err = compile.Compile(c.Policy.LaunchCalls(), seccomp.Native(), nil); err != nil {
			return nil, nil, fmt.Errorf("compile the seccomp filter of policy %s: %w", c.Policy.Name, err)
		}
	}
	own := *c.Policy
	own.OwnNames()
	facts, err := host.Probe(&own, t)
	if err != nil {
		return nil, nil, err
	}
	p, err := plan.Build(&own, filters, t, facts)
	return p, facts, err
}

// Start starts the program. An error means that nothing of it has run.
func (c *Cmd) Start() error {
	if c.done != nil {
		return errors.New("start a sandbox: it was started already")
	}
	if c.ctx != nil && c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	p, facts, err := c.plan()
	if err != nil {
		if facts != nil {
			facts.Close()
		}
		return err
	}
	c.done = make(chan struct{})
	started := make(chan error)
	go func() {
		// The sandbox dies with the thread that forks it, which belongs to this
		// goroutine to the end and ends with it.
		runtime.LockOSThread()
		defer func() { facts.Close() }()
		ps, err := launch.Start(p)
		facts.CloseFiles()
		c.process = ps
		started <- err
		if err == nil {
			c.Exit, c.err = ps.Wait()
		}
		for n := 1; n < launch.Tries && p.Outdated(c.err); n++ {
			next, found, err := c.plan()
			if found != nil {
				facts.Close()
				facts = found
			}
			if err == nil {
				ps, err = c.startAgain(next)
			}
			if err == errSignaled {
				break
			}
			if p, c.err = next, err; err == nil {
				facts.CloseFiles()
				c.Exit, c.err = ps.Wait()
			}
		}
		close(c.done)
	}()
	if err := <-started; err != nil {
		return err
	}
	if c.ctx != nil {
		go func() {
			select {
			case <-c.ctx.Done():
				c.Signal(unix.SIGKILL)
			case <-c.done:
			}
		}()
	}
	return nil
}

// Wait waits until the program has ended and everything in the sandbox is gone.
// The error is nil for status 0, an *ExitError for another way to end, and one
// of those of this package where the program has not run.
func (c *Cmd) Wait() error {
	if c.done == nil || c.process == nil {
		return errors.New("wait for a sandbox: it was not started")
	}
	<-c.done
	switch {
	case c.err != nil:
		return c.err
	case c.ctx != nil && c.ctx.Err() != nil && c.Exit.Status.Signaled():
		return c.ctx.Err()
	case c.Exit.Code() != 0:
		return &ExitError{c.Exit}
	}
	return nil
}

// Run is Start and Wait.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Signal sends a signal to the program. One that has ended gets none.
func (c *Cmd) Signal(sig unix.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return errors.New("send a signal to a sandbox: it was not started")
	}
	c.signaled = true
	return c.process.Signal(sig)
}

// errSignaled says that a sandbox is not to be started again.
var errSignaled = errors.New("a signal was sent")

// startAgain starts the plan in the place of one that was outdated.
func (c *Cmd) startAgain(p *plan.Plan) (*launch.Process, error) {
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
