package launch

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/ns"
)

// execWatch is how the launcher sees that the target has been executed: by the end of a pipe
// whose other end the target has until then, and nobody else for longer.
type execWatch struct {
	read int // -1: nobody wants to know, or it is over
	pid  int // of the target, as the launcher sees it
	done bool
	// tell is told of it once.
	tell func()
}

// watchExec makes the pipe, if the plan is to be watched. closed is the target's end, to
// be closed here when the target has it.
func (ps *Process) watchExec() (closed int, err error) {
	if !ps.plan.Announces {
		return -1, nil
	}
	if err := unix.SetsockoptInt(ps.notify, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return -1, fmt.Errorf("ask which process the target is: %w", err)
	}
	var pair [2]int
	if err := unix.Pipe2(pair[:], unix.O_CLOEXEC); err != nil {
		return -1, fmt.Errorf("make a pipe that the target's exec closes: %w", err)
	}
	ps.ready.read = pair[0]
	return above(pair[1], len(ps.plan.Given))
}

// above is a descriptor's file under a number from n on.
func above(fd, n int) (int, error) {
	if fd < 0 || fd >= n {
		return fd, nil
	}
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, n)
	if err != nil {
		return fd, fmt.Errorf("have a descriptor above the target's: %w", err)
	}
	unix.Close(fd)
	return high, nil
}

func (x *execWatch) release() {
	if x.read >= 0 {
		unix.Close(x.read)
		x.read = -1
	}
}

// readySource is the target's exec.
type readySource struct{ ps *Process }

func (s readySource) fds(list []unix.PollFd) ([]unix.PollFd, int) {
	if s.ps.ready.read < 0 {
		return list, -1
	}
	return append(list, unix.PollFd{Fd: int32(s.ps.ready.read), Events: unix.POLLIN}), -1
}

func (s readySource) ready(list []unix.PollFd) (bool, error) {
	ps := s.ps
	if len(list) == 0 || list[0].Revents == 0 {
		return false, nil
	}
	if ps.ready.pid == 0 && ps.status.Failed == 0 {
		return false, nil // its message is about to be read, or the end to be seen
	}
	ps.executed()
	return false, nil
}

// executed tells of the exec once the pipe has ended, unless it was not for the exec that
// it did.
func (ps *Process) executed() {
	ps.ready.release()
	if ps.ready.pid == 0 || ps.status.Failed != 0 {
		return
	}
	ps.ready.done = true
	if ps.ready.tell != nil {
		ps.ready.tell()
	}
}

// Target is the target's process: its pid as the launcher sees it, and as the target
// itself does. Both are 0 before its exec.
func (ps *Process) Target() (pid, inside int) {
	pid = ps.ready.pid
	switch {
	case !ps.ready.done:
		return 0, 0
	case ps.plan.New&ns.PID != 0:
		return pid, 2
	}
	return pid, innerPID(pid)
}

// innerPID is the pid that a process has in its own pid namespace, or 0 where that is not
// known.
func innerPID(pid int) int {
	text, err := sys.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	if pids := parseStatus(text).pids; len(pids) > 0 {
		return pids[len(pids)-1]
	}
	return 0
}
