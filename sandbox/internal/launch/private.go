package launch

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/sandbox/internal/plan"
	"sbx/sandbox/internal/private"
	"sbx/sandbox/internal/process"
)

// privateDir is the target's private directory, where it has no tmpfs.
type privateDir struct {
	private.Dir
	janitor *janitor // removes it after a launcher that was killed
	made    bool
}

// makePrivate makes it. The janitor is there before it.
func (ps *Process) makePrivate(p *process.Private) (err error) {
	if p == nil {
		return nil
	}
	d := &ps.private
	if d.Parent, err = unix.FcntlInt(uintptr(p.FD), unix.F_DUPFD_CLOEXEC, 3); err != nil {
		return fmt.Errorf("keep %s open: %w", p.Parent, err)
	}
	d.made = true
	name, err := private.Name()
	if err != nil {
		return err
	}
	d.Name = name
	undo := []step.Step{private.Clean{Parent: d.Parent, Name: name}}
	if d.janitor, err = startJanitor(plan.JanitorSteps(nil, undo, false), undo, nil); err != nil {
		return err
	}
	d.Dir, err = private.Make(d.Parent, p.Parent, name, p.Dirs, p.Links)
	return err
}

// removePrivate removes it, once nothing of the sandbox is left, and says what went wrong.
func (ps *Process) removePrivate() (notes []string) {
	d := &ps.private
	if !d.made {
		return nil
	}
	d.made = false
	if d.Name != "" {
		if err := private.Remove(d.Parent, d.Name); err != nil {
			notes = append(notes, err.Error())
		}
	}
	if err := d.janitor.dismiss(); err != nil {
		notes = append(notes, err.Error())
	}
	if d.FD > 0 {
		unix.Close(d.FD)
	}
	unix.Close(d.Parent)
	return notes
}
