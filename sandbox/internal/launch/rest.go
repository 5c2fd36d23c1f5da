package launch

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/sandbox/internal/child"
)

// restAfter is how long a sandbox runs until it is expected to run for longer.
const restAfter = time.Second

// restSource gives back what launcher and init have mapped of the program's code and
// constants once the sandbox has run for a while: they need little of them to wait.
type restSource struct {
	ps *Process
	at time.Time // zero: it is done
}

// rest is the source, for a launcher that has nothing else to do.
func (ps *Process) rest() *restSource {
	if ps.caught < 0 {
		return &restSource{}
	}
	return &restSource{ps, time.Now().Add(restAfter)}
}

func (s *restSource) fds(list []unix.PollFd) ([]unix.PollFd, int) {
	if s.at.IsZero() {
		return list, -1
	}
	return list, int(max(time.Until(s.at), 0)/time.Millisecond) + 1
}

func (s *restSource) ready([]unix.PollFd) (bool, error) {
	if s.at.IsZero() || time.Now().Before(s.at) {
		return false, nil
	}
	s.at = time.Time{}
	if s.ps.rested != nil {
		s.ps.rested()
	}
	code := ownProgram().code
	if code[0] == code[1] {
		return false, nil
	}
	child.GiveBack(code[0], code[1])
	switch err := unix.Sendto(s.ps.notify, []byte{step.MsgRest}, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil); err {
	case nil, unix.EPIPE, unix.ECONNRESET, unix.EAGAIN: // it is ending, or has much else to do
		return false, nil
	default:
		return false, fmt.Errorf("tell the init to give memory back: %w", err)
	}
}
