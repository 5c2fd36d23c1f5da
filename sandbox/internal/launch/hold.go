package launch

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/ns"
	"sbx/sandbox/internal/signals"
)

// endedError says that a signal to the launcher asked for the end before the target was
// there.
type endedError struct{ signal unix.Signal }

func (e *endedError) Error() string { return fmt.Sprintf("ended by signal %d", e.signal) }

// letGo tells of the sandbox's first process, which waits, and lets it go when it may.
func (ps *Process) letGo(h hooks) error {
	err := ps.awaitLeave(h)
	if err == nil && ps.plan.MappedOutside {
		err = mappedIDs(ps.pid)
	}
	if err == nil {
		err = ps.mapped()
	}
	if err == nil {
		return nil
	}
	if ended := (*endedError)(nil); errors.As(err, &ended) {
		err = errors.Join(err, ps.kill())
		_, e := waitFor(ps.pid, nil)
		return errors.Join(err, e)
	}
	return ps.abortIDMap(ns.Hold{IDs: ps.plan.MappedOutside}, err)
}

// awaitLeave waits for what the caller waits for, for the end of the process, and for a
// signal that asks for the end.
func (ps *Process) awaitLeave(h hooks) error {
	if h.born == nil {
		return nil
	}
	until, err := h.born(ps.pid)
	if err != nil {
		return err
	}
	list := []unix.PollFd{{Fd: int32(h.caught), Events: unix.POLLIN}, {Fd: int32(ps.pidfd), Events: unix.POLLIN}, {}}
	for len(until) > 0 {
		list[2] = unix.PollFd{Fd: int32(until[0]), Events: unix.POLLIN}
		if _, err := unix.Poll(list, -1); err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for descriptor %d: %w", until[0], err)
		}
		if s, ok := signals.Read(h.caught); ok && asksToEnd(s.Signal) {
			return &endedError{s.Signal}
		}
		switch {
		case list[1].Revents != 0:
			return errors.New("it was ended meanwhile")
		case list[2].Revents&unix.POLLNVAL != 0:
			return fmt.Errorf("wait for descriptor %d: %w", until[0], unix.EBADF)
		case list[2].Revents != 0:
			until = until[1:]
		}
	}
	return nil
}

// mappedIDs checks that the ids of a process's user namespace are mapped: without that it
// would be nobody, who owns nothing.
func mappedIDs(pid int) error {
	for _, name := range [...]string{"uid_map", "gid_map"} {
		text, err := sys.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + name)
		if err != nil {
			return err
		}
		if strings.TrimSpace(text) == "" {
			return fmt.Errorf("the %s of process %d is empty still", name, pid)
		}
	}
	return nil
}
