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

// hangUpGrace is how long after the terminal was closed, which the target is
// told by SIGHUP, it is asked by SIGTERM to end, and as long again after that
// is ended.
const hangUpGrace = 5 * time.Second

// ending is when the launcher ends the sandbox itself, and why.
type ending struct {
	ask   time.Time // when it sends SIGTERM before; zero: not at all
	at    time.Time // zero: not at all
	why   string    // "": the time is over
	began time.Time // when it did
	// hungUp says that the terminal is gone.
	hungUp bool
	// terms is how many times sbx was asked by SIGTERM, and say when it tells
	// whom it waits for.
	terms int
	say   time.Time
}

// endAt ends the sandbox at that time, if nothing else does before.
func (ps *Process) endAt(at time.Time, why string) {
	if e := &ps.ending; e.began.IsZero() && (e.at.IsZero() || at.Before(e.at)) {
		e.at, e.why = at, why
	}
}

// endedBy says why the launcher ended the sandbox, if it did.
func (ps *Process) endedBy() (why string, did bool) {
	return ps.ending.why, !ps.ending.began.IsZero()
}

// endingSource is the end that the launcher makes itself: after the limit on
// time once more, for the day that the init is kept from seeing to it; after
// the terminal is gone; and for keys that nobody heeds.
type endingSource struct{ ps *Process }

func (s endingSource) fds(list []unix.PollFd) ([]unix.PollFd, int) {
	timeout := -1
	for _, at := range [...]time.Time{s.ps.ending.ask, s.ps.ending.say, s.ps.ending.at} {
		if at.IsZero() {
			continue
		}
		left := max(time.Until(at), 0)
		if ms := int(min(left/time.Millisecond+1, math.MaxInt32)); timeout < 0 || ms < timeout {
			timeout = ms
		}
	}
	return list, timeout
}

// ready kills the init, and so all in its pid namespace. Where that is not the
// sandbox's own, the init is all that holds the others together: its children
// are killed, among which the orphans come to be, and itself at last.
func (s endingSource) ready([]unix.PollFd) (bool, error) {
	ps, e, now := s.ps, &s.ps.ending, time.Now()
	if !e.ask.IsZero() && !now.Before(e.ask) {
		e.ask = time.Time{}
		if err := ps.Signal(unix.SIGTERM); err != nil {
			return false, err
		}
	}
	if !e.say.IsZero() && !now.Before(e.say) {
		e.say = time.Time{}
		ps.sayWaiting()
	}
	if e.at.IsZero() || now.Before(e.at) {
		return false, nil
	}
	if e.began.IsZero() {
		e.began = now
	}
	e.at = time.Time{}
	if ps.plan.SharesPIDNS && now.Sub(e.began) < 2*grace {
		e.at = now.Add(50 * time.Millisecond)
		return false, killChildren(ps.pid)
	}
	if err := ps.kill(); err != nil {
		return false, fmt.Errorf("end the sandbox: %w", err)
	}
	return false, nil
}

// patience is how long after a SIGTERM sbx says whom it waits for.
const patience = 10 * time.Second

// onTerm notes that somebody wants the sandbox to end: a second time, or after
// a while, it is said who has not.
func (ps *Process) onTerm() {
	e := &ps.ending
	e.terms++
	switch e.terms {
	case 1:
		e.say = time.Now().Add(patience)
	case 2:
		e.say = time.Now()
	}
}

// sayWaiting says at a terminal whom sbx waits for; elsewhere nobody looks. It
// does not wait for the terminal.
func (ps *Process) sayWaiting() {
	if _, err := unix.IoctlGetTermios(2, unix.TCGETS); err != nil {
		return
	}
	ps.say("waiting for " + ps.targetName() + ", which was sent SIGTERM; Ctrl-C three times within a second ends it")
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
