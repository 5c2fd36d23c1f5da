package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/compile"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/launch"
	"sbx/sandbox/internal/plan"
)

// Cmd is a program to run in a sandbox. It is used as exec.Cmd of package os/exec is:
// set the fields, then call Run, or Start and Wait, once.
type Cmd struct {
	// Policy is what the sandbox is like: resolved and expanded; see policy.Policy.Expand.
	Policy *policy.Policy
	// Filters are the policy's seccomp filters in load order; nil: they are
	// compiled, which takes some milliseconds. Compile does that once for many.
	Filters []seccomp.Program
	// Path is the program, looked for in the PATH of the environment inside if
	// it has no slash. Args are all arguments, the program's name first.
	Path string
	Args []string
	// Env is the environment of which the policy lets a part cross; nil: that of
	// the calling process, without what a service manager told that one.
	Env []string
	// Dir is the directory to start in, as it is called inside; empty: "/".
	Dir string
	// Project is the directory in which secrets are looked for, if the policy
	// shows it, and Home the caller's home; empty: none.
	Project, Home string

	// Stdin is the program's standard input. nil: it is empty. An *os.File is handed over,
	// under the rules of the policy; from anything else Start has it copied through a
	// pipe.
	Stdin io.Reader
	// Stdout and Stderr are the program's output. nil: it is thrown away. An *os.File is
	// handed over. If both are the same and can be compared, at most one goroutine at a
	// time calls Write.
	Stdout, Stderr io.Writer
	// ExtraFiles become the program's descriptors 3 and up; nil entries are closed there.
	ExtraFiles []*os.File

	// Cancel is called when the context of CommandContext is done before the program has
	// ended. nil: it is killed, with all that it has started.
	Cancel func() error
	// WaitDelay bounds the time from there, or from the program's end, until it is killed
	// and the pipes are closed; 0: there is no bound. See exec.Cmd.WaitDelay.
	WaitDelay time.Duration

	// Process is the started program, once Start has returned, and ProcessState how it
	// ended, once Wait has.
	Process      *Process
	ProcessState *ProcessState

	// Attached is the target of Attach, in the place of what the fields from Path to
	// ExtraFiles say.
	Attached *Target

	ctx context.Context
	// facts are those of the last Prepare.
	facts *host.Facts
	io    pipes

	mu      sync.Mutex // of the next two
	process *launch.Process
	// signaled says that a signal was sent: then a start is not tried again.
	signaled bool

	started bool
	waited  bool
	exit    Exit          // once done is closed
	done    chan struct{} // closed when all in the sandbox have ended
	err     error
	watched chan error // what the watcher of the context says
}

// Command is the program with these arguments in a sandbox of the policy.
func Command(p *policy.Policy, name string, args ...string) *Cmd {
	return &Cmd{Policy: p, Path: name, Args: append([]string{name}, args...)}
}

// CommandContext is Command, and kills the program and all that it has started
// when the context is done before it has ended.
func CommandContext(ctx context.Context, p *policy.Policy, name string, args ...string) *Cmd {
	if ctx == nil {
		panic("nil Context")
	}
	c := Command(p, name, args...)
	c.ctx = ctx
	return c
}

// Compile compiles the policy's seccomp filters, for Cmd.Filters.
func Compile(p *policy.Policy) ([]seccomp.Program, error) {
	filters, err := compile.Compile(p.LaunchCalls(), seccomp.Native(), nil)
	if err != nil {
		return nil, fmt.Errorf("compile the seccomp filter of policy %s: %w", p.Name, err)
	}
	return filters, nil
}

// String is the command line, for messages.
func (c *Cmd) String() string { return strings.Join(c.Args, " ") }

// Environ is the environment that the policy is asked about; see Env.
func (c *Cmd) Environ() []string {
	if c.Env != nil {
		return slices.Clone(c.Env)
	}
	return slices.DeleteFunc(os.Environ(), plan.FromManager)
}

// Plan is what Start would do. Nothing runs.
func (c *Cmd) Plan() (*Plan, error) {
	given, closeAll, err := c.sampleStreams()
	if err != nil {
		return nil, err
	}
	defer closeAll()
	p, facts, err := c.plan(c.target(given))
	if facts != nil {
		facts.Close()
	}
	return p, err
}

// target is what the fields say.
func (c *Cmd) target(given []int) Target {
	t := Target{
		Path: c.Path, Args: c.Args, Env: c.Environ(), Dir: c.Dir, Project: c.Project, Home: c.Home,
		Given: given, Announce: true, PID: os.Getpid(),
	}
	if t.Dir == "" {
		t.Dir = "/"
	}
	return t
}

// plan looks at the machine and makes the plan. The facts are to be closed, if there are
// any.
func (c *Cmd) plan(t Target) (*Plan, *host.Facts, error) {
	if c.Policy == nil {
		return nil, nil, errors.New("start a sandbox: there is no policy")
	}
	if c.Filters == nil {
		filters, err := Compile(c.Policy)
		if err != nil {
			return nil, nil, err
		}
		c.Filters = filters
	}
	own := *c.Policy
	own.OwnNames()
	facts, err := host.Probe(&own, t)
	if err != nil {
		return nil, nil, err
	}
	p, err := plan.Build(&own, c.Filters, t, facts)
	return p, facts, err
}
