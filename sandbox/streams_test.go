package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sbx/sandbox"
)

// TestStreams: input and output go where they go with os/exec.
func TestStreams(t *testing.T) {
	t.Parallel()
	p := shipped(t, "pure")
	out, err := sandbox.Command(p, "echo", "hello").Output()
	if err != nil || string(out) != "hello\n" {
		t.Errorf("output %q, %v", out, err)
	}
	c := sandbox.Command(p, "sh", "-c", "cat; echo error >&2; exit 3")
	c.Stdin = strings.NewReader(strings.Repeat("x", 1<<18))
	var exit *sandbox.ExitError
	if out, err = c.Output(); !errors.As(err, &exit) || len(out) != 1<<18 || string(exit.Stderr) != "error\n" {
		t.Errorf("output of %d bytes, %v", len(out), err)
	}
	if out, err = sandbox.Command(p, "sh", "-c", "echo a; echo b >&2; echo c").CombinedOutput(); err != nil ||
		string(out) != "a\nb\nc\n" {
		t.Errorf("combined output %q, %v", out, err)
	}
	// Without any, input is empty and output is lost.
	if err := sandbox.Command(p, "sh", "-c", `[ "$(cat)" = "" ] && echo lost`).Run(); err != nil {
		t.Error(err)
	}
	// The program need not read all.
	c = sandbox.Command(p, "true")
	c.Stdin = strings.NewReader(strings.Repeat("x", 1<<20))
	if err := c.Run(); err != nil {
		t.Errorf("input that nobody reads: %v", err)
	}
	// Files are handed over, also beyond standard error, and under their numbers there.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c = sandbox.Command(p, "sh", "-c", "ls /proc/self/fd; echo $((3 < 4)) >&4; exec 2>/dev/null; echo >&3")
	c.ExtraFiles = []*os.File{nil, w}
	var listed bytes.Buffer
	c.Stdout = &listed
	if err := c.Run(); !errors.As(err, &exit) || listed.String() != "0\n1\n2\n3\n4\n" { // 3 is ls's own
		t.Errorf("descriptors %q, %v", listed.String(), err)
	}
	w.Close()
	if all, err := io.ReadAll(r); err != nil || string(all) != "1\n" {
		t.Errorf("from descriptor 4: %q, %v", all, err)
	}
}

// TestPipes: StdinPipe and the like are the caller's to use.
func TestPipes(t *testing.T) {
	t.Parallel()
	p := shipped(t, "pure")
	c := sandbox.Command(p, "sh", "-c", "read x; echo got $x; echo said $x >&2; cat >/dev/null")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	messages, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if c.Process.Pid == 0 || c.Process.Inside != 2 || unix.Kill(c.Process.Pid, 0) != nil {
		t.Errorf("process %d, inside %d", c.Process.Pid, c.Process.Inside)
	}
	if _, err := io.WriteString(in, "word\n"); err != nil {
		t.Error(err)
	}
	in.Close()
	all, err := io.ReadAll(out)
	more, err2 := io.ReadAll(messages)
	if err := errors.Join(err, err2, c.Wait()); err != nil || string(all) != "got word\n" ||
		string(more) != "said word\n" {
		t.Errorf("%q and %q, %v", all, more, err)
	}
	if !c.ProcessState.Success() || c.ProcessState.Pid() != c.Process.Pid || c.ProcessState.String() != "exit status 0" {
		t.Errorf("state %v", c.ProcessState)
	}
	if _, err := c.StdinPipe(); err == nil {
		t.Error("a pipe after the start")
	}
	if err := c.Wait(); err == nil {
		t.Error("waited twice")
	}
}

// TestCancel: Cancel asks in its own way, and WaitDelay ends who does not heed it.
func TestCancel(t *testing.T) {
	t.Parallel()
	p := shipped(t, "pure")
	for _, trap := range []string{"trap 'exit 9' TERM", "trap '' TERM"} {
		script := trap + "; echo; while :; do sleep .01; done"
		ctx, cancel := context.WithCancel(context.Background())
		c := sandbox.CommandContext(ctx, p, "sh", "-c", script)
		c.Cancel = func() error { return c.Process.Signal(unix.SIGTERM) }
		c.WaitDelay = 300 * time.Millisecond
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil { // the trap is set
			t.Fatal(err)
		}
		cancel()
		var exit *sandbox.ExitError
		err = c.Wait()
		if !errors.As(err, &exit) || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", script, err)
			continue
		}
		want := 9
		if strings.HasPrefix(script, "trap ''") {
			want = -1
		}
		if exit.ExitCode() != want {
			t.Errorf("%s: ended with %v", script, exit)
		}
	}
	c := sandbox.Command(p, "true")
	c.Cancel = func() error { return nil }
	if err := c.Start(); err == nil {
		t.Error("Cancel without a context")
	}
	// A pipe that outlives the program, whose end somebody else has.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c = sandbox.Command(p, "true")
	c.Stdin, c.WaitDelay = io.NopCloser(r), 50*time.Millisecond
	if err := c.Run(); !errors.Is(err, sandbox.ErrWaitDelay) {
		t.Errorf("input without an end: %v", err)
	}
	r.Close()
}
