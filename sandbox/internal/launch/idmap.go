package launch

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
	"sbx/ns"
	"sbx/sandbox/internal/child"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plan"
	"sbx/sandbox/internal/process"
)

// mapRanges runs the two programs on the child and lets it go.
func (ps *Process) mapRanges(r *ns.Ranges) error {
	for i, m := range [...][]ns.Extent{r.UIDs, r.GIDs} {
		args := []string{host.IDMappers[i], strconv.Itoa(ps.pid)}
		for _, e := range m {
			args = append(args, fmt.Sprint(e.Inside), fmt.Sprint(e.Outside), fmt.Sprint(e.Count))
		}
		if err := runMapper(args); err != nil {
			return ps.abortIDMap(*r, err)
		}
	}
	if err := ps.mapped(); err != nil {
		return ps.abortIDMap(*r, err)
	}
	return nil
}

// mapped lets the child go that waits for it.
func (ps *Process) mapped() error {
	return unix.Sendto(ps.notify, []byte{step.MsgMapped}, unix.MSG_NOSIGNAL, nil)
}

// abortIDMap ends the child that waits in vain. If it has failed by itself, that
// is what is told.
func (ps *Process) abortIDMap(s step.Step, err error) error {
	err = errors.Join(err, ps.kill())
	if _, e := waitFor(ps.pid, nil); e != nil {
		err = errors.Join(err, e)
	}
	if st := ps.status; st.Failed != 0 {
		return failure(st, ps.plan.StepAt(int(ps.table.Calls[st.Failed-1].Step)))
	}
	return &plan.StepError{Step: s, Err: err}
}

// MapperError is what newuidmap or newgidmap said before it failed.
type MapperError struct {
	Program, Said string
	Status        unix.WaitStatus
}

func (e *MapperError) Error() string {
	if e.Said == `""` {
		return fmt.Sprintf("%s ended with status %#x", e.Program, uint32(e.Status))
	}
	return e.Said
}

// runMapper runs one of them, with an empty environment, no descriptors but
// three of a file in memory for what it says, and signals as usual.
func runMapper(args []string) error {
	said, err := unix.MemfdCreate("said", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(said)
	steps := []step.Step{stdio{said}, process.CloseFDs{}, process.Signals{}, process.Exec{Paths: args[:1], Args: args}}
	asm := &step.Asm{}
	for i, s := range steps {
		asm.Begin(i)
		s.Compile(asm)
	}
	table, err := asm.Link()
	if err != nil {
		return err
	}
	defer table.Free()
	status, err := child.NewStatus()
	if err != nil {
		return err
	}
	defer status.Free()
	pid, pidfd, err := child.Start(table, status, child.Config{Notify: -1, Children: -1, Cgroup: -1, Stack: table.Stack})
	if err != nil {
		return err
	}
	unix.Close(pidfd)
	ws, err := waitFor(pid, nil)
	switch {
	case err != nil:
		return err
	case status.Failed != 0:
		// Not as a StepError: its words for an exec are about the target.
		failed := failure(status, steps[table.Calls[status.Failed-1].Step])
		return fmt.Errorf("%s: %w", failed.Step, failed.Err)
	case ws != 0:
		var b [300]byte
		n, err := unix.Pread(said, b[:], 0)
		if err != nil {
			n = 0
		}
		first, _, _ := strings.Cut(string(b[:n]), "\n")
		return &MapperError{args[0], text.Quote(first), ws}
	}
	return nil
}

// stdio puts one descriptor in the place of the standard streams.
type stdio struct{ fd int }

func (stdio) String() string { return "catch what the program says" }

func (stdio) Kind() string { return "redirect-stdio" }

// Compile is three dup3(2).
func (s stdio) Compile(a *step.Asm) {
	for fd := range 3 {
		a.Sys(unix.SYS_DUP3, step.Fd(s.fd), step.Fd(fd), step.Int(0))
	}
}
