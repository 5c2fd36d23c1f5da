package sandbox_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sbx/policies"
	"sbx/policy"
	"sbx/sandbox"
)

// shipped is a shipped policy as a caller without a project has it.
func shipped(t *testing.T, name string) *policy.Policy {
	t.Helper()
	if testing.Short() && os.Getenv("SBX_MUST_WORK") == "" {
		t.Skip("it starts sandboxes, and -short does not without SBX_MUST_WORK=1")
	}
	p, err := policies.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = p.Expand(policy.Vars{Home: t.TempDir(), User: "u", UID: os.Getuid()}); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestCommand: a Cmd tells how the program ended, as os/exec does.
func TestCommand(t *testing.T) {
	p := shipped(t, "default")
	if err := sandbox.Command(p, "true").Run(); err != nil {
		t.Errorf("true: %v", err)
	}
	// Wait answers what the program's filter asks.
	if err := sandbox.Command(p, "sh", "-c", "mkdir /tmp/a && chmod 2755 /tmp/a && test -g /tmp/a").Run(); err != nil {
		t.Errorf("set-group-ID bit: %v", err)
	}
	var exit *sandbox.ExitError
	if err := sandbox.Command(p, "sh", "-c", "exit 7").Run(); !errors.As(err, &exit) || exit.Exit.Code() != 7 ||
		err.Error() != "exit status 7" {
		t.Errorf("exit 7: %v", err)
	}
	if err := sandbox.Command(p, "sh", "-c", "kill -KILL $$").Run(); !errors.As(err, &exit) || exit.Exit.Code() != 137 {
		t.Errorf("killed: %v", err)
	}
	var failed *sandbox.StepError
	if err := sandbox.Command(p, "no-such-program").Run(); !errors.As(err, &failed) || failed.ExitStatus() != 127 {
		t.Errorf("no program: %v", err)
	}
	// What is not there inside cannot be run; nothing of it starts.
	c := sandbox.Command(p, "true")
	c.Dir = "/no/such/directory"
	var need *sandbox.NeedError
	if err := c.Run(); !errors.As(err, &need) || sandbox.ExitStatus(err) != 125 || sandbox.Hint(err) == "" {
		t.Errorf("no directory: %v", err)
	}
	if err := c.Wait(); !errors.Is(err, sandbox.ErrNotStarted) {
		t.Error("waited for what was not started")
	}
	plan, err := sandbox.Command(p, "true").Plan()
	if err != nil || plan.Name != "default" {
		t.Errorf("plan %v, %v", plan, err)
	}
}

// TestCommandSignals: signals reach the program from any goroutine, and none is
// sent to a sandbox that is gone.
func TestCommandSignals(t *testing.T) {
	p := shipped(t, "default")
	c := sandbox.Command(p, "sleep", "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err == nil {
		t.Error("started twice")
	}
	if err := c.Signal(unix.SIGTERM); err != nil {
		t.Error(err)
	}
	var exit *sandbox.ExitError
	if err := c.Wait(); !errors.As(err, &exit) || exit.Exit.Code() != 143 {
		t.Errorf("after SIGTERM: %v", err)
	}
	if err := c.Signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("to a sandbox that is gone: %v", err)
	}
}

// TestCommandContext: the end of the context is the program's.
func TestCommandContext(t *testing.T) {
	p := shipped(t, "default")
	ctx, cancel := context.WithCancel(context.Background())
	c := sandbox.CommandContext(ctx, p, "sh", "-c", "sleep 1000 & wait")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	cancel()
	ended := make(chan error)
	go func() { ended <- c.Wait() }()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after the context: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it goes on")
	}
	if err := sandbox.CommandContext(ctx, p, "true").Run(); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that was over: %v", err)
	}
}
