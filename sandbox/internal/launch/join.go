package launch

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// awaitJoin waits for the process that joins the namespaces and finds the one
// that it left there, which is this process's own child.
func (ps *Process) awaitJoin() error {
	unix.Close(ps.pidfd)
	ps.pidfd = -1
	ws, err := waitFor(ps.pid, nil)
	if err != nil {
		return fmt.Errorf("wait for the namespaces to be joined: %w", err)
	}
	st := ps.status
	switch {
	case st.Entered != 0:
	case st.Failed != 0:
		return failure(st, ps.plan.StepAt(int(ps.table.Calls[st.Failed-1].Step)))
	default:
		return fmt.Errorf("join namespaces: the process for it ended with status %#x", uint32(ws))
	}
	ps.pid = int(st.Entered)
	if ps.pidfd, err = unix.PidfdOpen(ps.pid, 0); err != nil {
		// It is ours and not reaped, so nobody else has its number.
		unix.Kill(ps.pid, unix.SIGKILL)
		_, e := waitFor(ps.pid, nil)
		return errors.Join(fmt.Errorf("open the sandbox's init: %w", err), e)
	}
	return nil
}
