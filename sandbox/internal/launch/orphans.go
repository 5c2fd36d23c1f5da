package launch

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// adoptOrphans makes this process the parent of all that the sandbox leaves when its init
// is killed, where the pid namespace is not the sandbox's own and so the kernel ends
// nobody with the init: prctl(2), PR_SET_CHILD_SUBREAPER. It comes before any child of ours.
// Where there is one already, of the shell's that has executed sbx, theirs could not be
// told from the sandbox's.
func (ps *Process) adoptOrphans() error {
	if !ps.plan.SharesPIDNS {
		return nil
	}
	var info unix.Siginfo
	if unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil) != unix.ECHILD {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the parent of what the sandbox leaves: %w", err)
	}
	ps.adopts = true
	return nil
}

// endOrphans kills the adopted until there are none. Processes that multiply faster than
// that stay.
func (ps *Process) endOrphans() error {
	if !ps.adopts {
		return nil
	}
	own := map[int]bool{}
	for _, j := range [...]*janitor{ps.janitor, ps.setID.janitor, ps.private.janitor} {
		if j != nil {
			own[j.pid] = true
		}
	}
	const patience = 10 * time.Second
	for began := time.Now(); time.Since(began) < patience; {
		list, err := children()
		if err != nil {
			return err
		}
		left := 0
		for _, pid := range list {
			if own[pid] {
				continue
			}
			left++
			// A child's number is its own until it is waited for.
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
				return fmt.Errorf("kill what the sandbox has left: %w", err)
			}
		}
		if left == 0 {
			return nil
		}
		for _, pid := range list {
			if !own[pid] {
				_, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
				if err != nil && err != unix.EINTR && err != unix.ECHILD {
					return fmt.Errorf("wait for what the sandbox has left: %w", err)
				}
			}
		}
	}
	return errors.New("kill what the sandbox has left: new processes come up all the time")
}

// children are those of all threads of this process.
func children() (list []int, err error) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil, fmt.Errorf("list what the sandbox has left: %w", err)
	}
	for _, t := range tasks {
		data, err := os.ReadFile("/proc/self/task/" + t.Name() + "/children")
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // a thread that has ended
		}
		if err != nil {
			return nil, fmt.Errorf("list what the sandbox has left: %w", err)
		}
		for word := range bytes.FieldsSeq(data) {
			pid, err := strconv.Atoi(string(word))
			if err != nil {
				return nil, fmt.Errorf("list what the sandbox has left: %w", err)
			}
			list = append(list, pid)
		}
	}
	return list, nil
}
