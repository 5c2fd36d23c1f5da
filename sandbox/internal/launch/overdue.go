package launch

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// grace is how long after the limit on time the launcher waits for the init to
// end all, before it does so itself.
const grace = time.Second

// deadlineSource is the limit on time once more, for the day that the init is
// kept from seeing to it.
type deadlineSource struct{ ps *Process }

func (s deadlineSource) fds(list []unix.PollFd) ([]unix.PollFd, int) {
	if s.ps.deadline.IsZero() {
		return list, -1
	}
	left := max(time.Until(s.ps.deadline), 0)
	return list, int(min(left/time.Millisecond+1, math.MaxInt32))
}

// ready kills the init, and so all in its pid namespace. Where that is not the
// sandbox's own, the init is all that holds the others together: its children
// are killed, among which the orphans come to be, and itself at last.
func (s deadlineSource) ready([]unix.PollFd) (bool, error) {
	ps, now := s.ps, time.Now()
	if ps.deadline.IsZero() || now.Before(ps.deadline) {
		return false, nil
	}
	if ps.overdue.IsZero() {
		ps.overdue = now
	}
	ps.deadline = time.Time{}
	if ps.plan.SharesPIDNS && now.Sub(ps.overdue) < 2*grace {
		ps.deadline = now.Add(50 * time.Millisecond)
		return false, killChildren(ps.pid)
	}
	if err := ps.kill(); err != nil {
		return false, fmt.Errorf("end the sandbox after its time: %w", err)
	}
	return false, nil
}

// killChildren kills the children that a process of one thread has now. A
// number on the list may be another process's by the time it is looked up: so
// it is opened, and then asked whose child it is.
func killChildren(parent int) error {
	dir := "/proc/" + strconv.Itoa(parent)
	list, err := os.ReadFile(dir + "/task/" + strconv.Itoa(parent) + "/children")
	if os.IsNotExist(err) {
		return nil // it has ended
	}
	if err != nil {
		return fmt.Errorf("list what is left in the sandbox: %w", err)
	}
	for word := range bytes.FieldsSeq(list) {
		pid, err := strconv.Atoi(string(word))
		if err != nil {
			return fmt.Errorf("list what is left in the sandbox: %w", err)
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err == unix.ESRCH {
			continue
		}
		if err != nil {
			return fmt.Errorf("open what is left in the sandbox: %w", err)
		}
		if parentOf(pid) == parent {
			err = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
		unix.Close(fd)
		if err != nil && err != unix.ESRCH {
			return fmt.Errorf("kill what is left in the sandbox: %w", err)
		}
	}
	return nil
}

// parentOf is the parent of a process, or 0 if it is gone.
func parentOf(pid int) int {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// Behind the name, which may have anything in it: state and parent.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return parent
}
