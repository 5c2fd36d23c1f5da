package sandbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/sandbox/internal/launch"
	"sbx/sandbox/internal/trial"
)

type (
	// Attempt is one thing to try in a sandbox, and Outcome what came of it.
	Attempt = trial.Attempt
	Outcome = trial.Outcome
)

// TriesOutside is the object of an attempt that stands for any process of the host.
const TriesOutside = trial.Outside

// IsTrial says whether a process with these arguments is the program that Trial
// runs in its sandbox. RunTrial does its work then.
func IsTrial(args []string) bool { return trial.Is(args) }

// RunTrial is that work.
func RunTrial() error { return trial.Main() }

// Trial tries things in a sandbox. Between NewTrial and Close the standard input and
// output of this process are the program's that tries.
type Trial struct {
	fd         int    // the program: this one, in memory
	saved      [2]int // the standard input and output
	to, from   *os.File
	comm, name string
}

// NewTrial prepares one.
func NewTrial() (_ *Trial, err error) {
	t := &Trial{fd: -1, saved: [2]int{-1, -1}}
	defer func() {
		if err != nil {
			t.Close()
			err = fmt.Errorf("prepare to try things in a sandbox: %w", err)
		}
	}()
	if t.fd, err = launch.SealedCopy(); err != nil {
		return nil, err
	}
	var in, out [2]int
	if err = unix.Pipe2(in[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	if err = unix.Pipe2(out[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	t.to, t.from = os.NewFile(uintptr(in[1]), "attempts"), os.NewFile(uintptr(out[0]), "outcomes")
	for fd, end := range []int{in[0], out[1]} {
		if t.saved[fd], err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 10); err != nil && err != unix.EBADF {
			return nil, err
		}
		if err = unix.Dup3(end, fd, 0); err != nil {
			return nil, err
		}
		unix.Close(end)
	}
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		return nil, err
	}
	t.comm = string(comm)
	t.name = "sbx-" + strconv.Itoa(os.Getpid())
	return t, nil
}

// Prepare has the policy and the target run the program that tries. What only a
// caller at a terminal has, or one who looks on, is left out.
func (t *Trial) Prepare(p *policy.Policy, target *Target) {
	target.Path, target.Args, target.FD = "/proc/self/exe", []string{trial.Name}, t.fd
	if p.Process.Terminal == "pty" {
		p.Process.Terminal = "new-session"
	}
	p.Process.Supervise = nil // the sandbox is the same, and this process has more to do
	p.Report.Keep, target.Explain, target.ExplainFiles = nil, false, false
}

// Run tries the list in the sandbox of a plan that the command has prepared, with a target
// that Prepare has changed. Where the program ended early, there are fewer outcomes than attempts,
// and exit says how it ended.
func (t *Trial) Run(c *Cmd, p *Plan, list []Attempt) (outcomes []Outcome, exit Exit, err error) {
	request, err := json.Marshal(trial.Request{Outside: os.Getpid(), Comm: t.name,
		SamePIDs: p.HostPIDs(), Relayed: p.Relayed(), Attempts: list})
	if err != nil {
		return nil, exit, err
	}
	type ended struct {
		exit Exit
		err  error
	}
	f := c.facts
	c.facts = nil
	done := make(chan ended, 1)
	started := make(chan struct{})
	go func() {
		defer f.Close()
		runtime.LockOSThread() // the sandbox dies with the thread that forks it
		ps, err := launch.Start(p)
		f.CloseFiles()
		close(started)
		if err != nil {
			done <- ended{err: err}
			return
		}
		exit, err := ps.Wait()
		done <- ended{exit, err}
	}()
	<-started
	// The program has its own by now; that there is no other is how its end is seen.
	if err := t.restore(); err != nil {
		return nil, exit, err
	}
	// So that the program knows this process by its name, if it can see it. The init,
	// which was forked before, does not have the name.
	if err := os.WriteFile("/proc/self/comm", []byte(t.name), 0); err != nil {
		return nil, exit, err
	}
	go func() {
		t.to.Write(request) // if the program has ended, that is seen by its outcomes
		t.to.Close()
	}()
	lines := bufio.NewScanner(t.from)
	for lines.Scan() && len(outcomes) < len(list) {
		var o Outcome
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return nil, exit, fmt.Errorf("read what came of %q: %w", list[len(outcomes)].Verb, err)
		}
		outcomes = append(outcomes, o)
	}
	end := <-done
	return outcomes, end.exit, end.err
}

// restore gives this process its standard input and output back.
func (t *Trial) restore() (err error) {
	for fd, saved := range t.saved {
		if saved < 0 {
			unix.Close(fd)
			continue
		}
		err = errors.Join(err, unix.Dup3(saved, fd, 0), unix.Close(saved))
		t.saved[fd] = -1
	}
	return err
}

// Close undoes what NewTrial has done.
func (t *Trial) Close() error {
	var err error
	if t.saved != [2]int{-1, -1} {
		err = t.restore()
	}
	if t.fd >= 0 {
		unix.Close(t.fd)
	}
	if t.to != nil {
		t.to.Close()
		t.from.Close()
	}
	if t.comm != "" {
		err = errors.Join(err, os.WriteFile("/proc/self/comm", []byte(t.comm), 0))
	}
	return err
}
