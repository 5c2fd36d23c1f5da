package notify

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
)

// condemned is a process that the policy ends, and that was sent SIGSYS for it.
type condemned struct {
	pidfd int
	at    time.Time // when it is killed, if it has not ended
}

// patience is how long a process has to end by SIGSYS.
const patience = 100 * time.Millisecond

// endProcess begins the errors of kill.
const endProcess = "end process %d for a call that the policy answers with its end: "

// kill ends the process of a thread, as the action kill-process does: by SIGSYS, with
// which a process that has changed nothing about it ends at once. One that has done so
// is killed. kill-thread ends the whole process too, which is stricter: nobody but the
// kernel can end one thread.
func (l *Listener) kill(thread uint32) error {
	process, _ := l.pids()
	if process == 0 {
		if !l.valid() {
			return nil // it has ended
		}
		return fmt.Errorf(endProcess+"cannot read which process it is", thread)
	}
	pidfd, err := unix.PidfdOpen(process, 0)
	if !l.valid() {
		if err == nil {
			unix.Close(pidfd)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf(endProcess+"%w", process, err)
	}
	signal := unix.SIGKILL
	if l.leavesAlone(unix.SIGSYS) && len(l.condemned) < maxDenials {
		signal = unix.SIGSYS
	}
	err = unix.PidfdSendSignal(pidfd, signal, nil, 0)
	if err == nil && signal == unix.SIGSYS {
		l.condemned = append(l.condemned, condemned{pidfd, time.Now().Add(patience)})
		return nil
	}
	unix.Close(pidfd)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf(endProcess+"%w", process, err)
	}
	return nil
}

// leavesAlone says that the one who asks neither blocks, ignores nor catches the signal.
func (l *Listener) leavesAlone(s unix.Signal) bool {
	status, err := sys.ReadFile(l.proc("status"))
	if err != nil {
		return false
	}
	all := field(status, "SigBlk:", 16) | field(status, "SigIgn:", 16) | field(status, "SigCgt:", 16)
	return all&(1<<(uint(s)-1)) == 0
}

// Timeout is for how many milliseconds at most to wait before Execute is called; -1 is
// without end.
func (l *Listener) Timeout() int {
	if len(l.condemned) == 0 {
		return -1
	}
	return int(max(time.Until(l.condemned[0].at), 0)/time.Millisecond) + 1
}

// Execute kills those whose time is over.
func (l *Listener) Execute() error {
	for len(l.condemned) > 0 && !time.Now().Before(l.condemned[0].at) {
		c := l.condemned[0]
		l.condemned = l.condemned[1:]
		err := unix.PidfdSendSignal(c.pidfd, unix.SIGKILL, nil, 0)
		unix.Close(c.pidfd)
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("end a process that has not ended by SIGSYS: %w", err)
		}
	}
	return nil
}

func (l *Listener) release() {
	for _, c := range l.condemned {
		unix.Close(c.pidfd)
	}
	l.condemned = nil
}
