package launch

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/sandbox/internal/child"
	"sbx/sandbox/internal/plan"
	"sbx/sandbox/internal/process"
)

// janitor is a process of ours outside the sandbox, there only if something has
// to be undone outside when all is over. A launcher that is killed can undo
// nothing; so whatever would stay is made by the janitor, which cannot be
// reached by what kills the launcher (a session of its own, all signals
// blocked) and waits for the launcher's end on a socket that hangs up then.
//
// Who kills both, kills what undoes: then it stays. A janitor that dies alone
// is noticed: the sandbox is ended, and the launcher undoes.
type janitor struct {
	prepare, undo []step.Step

	pid    int
	socket int // the launcher's end
	undoAt int
	token  string
	table  *step.Table
	status *child.Status
	// notes say what of the caller's files was restored.
	notes []string
}

// fd is the launcher's end of the socket, or -1.
func (j *janitor) fd() int {
	if j == nil {
		return -1
	}
	return j.socket
}

// startJanitor forks the janitor and waits until it has prepared all. An error
// means that it has undone it again and is gone. The hook changes its table.
func startJanitor(prepare, undo []step.Step, hook func(*step.Table)) (*janitor, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket to the janitor: %w", err)
	}
	j := &janitor{prepare: prepare, undo: undo, socket: pair[0]}
	if err := j.start(pair[1], hook); err != nil {
		j.release()
		return nil, err
	}
	var b [1]byte
	for {
		n, _, err := unix.Recvfrom(j.socket, b[:], 0)
		if err == unix.EINTR {
			continue
		}
		if n == 1 {
			return j, nil
		}
		if err = j.finish(); err == nil {
			err = errors.New("start the janitor: it ended at once")
		}
		return nil, err
	}
}

// start forks the janitor, whose end of the socket is theirs; here it is closed.
func (j *janitor) start(theirs int, hook func(*step.Table)) error {
	defer unix.Close(theirs)
	var token [16]byte
	_, err := unix.Getrandom(token[:], 0)
	if err != nil {
		return fmt.Errorf("draw a random name: %w", err)
	}
	j.token = hex.EncodeToString(token[:])
	if j.table, err = linkTable(j.compile(theirs), hook); err != nil {
		return fmt.Errorf("lay out the janitor's plan: %w", err)
	}
	if j.status, err = child.NewStatus(); err != nil {
		return fmt.Errorf("lay out the janitor's status page: %w", err)
	}
	var pidfd int
	j.pid, pidfd, err = child.StartJanitor(j.table, j.status, child.JanitorConfig{UndoAt: j.undoAt, Socket: theirs})
	if err != nil {
		return fmt.Errorf("fork the janitor: %w", err)
	}
	unix.Close(pidfd)
	return nil
}

func (j *janitor) compile(socket int) *step.Asm {
	asm := &step.Asm{Launcher: j.socket, Notify: socket, Token: j.token}
	j.undoAt = plan.CompileJanitor(j.prepare, j.undo, asm, ownMemory)
	return asm
}

// finish lets the janitor undo and waits until it has. If somebody killed it, this
// process does its work. The error says what failed, of all it had to do.
func (j *janitor) finish() error {
	if j == nil || j.pid == 0 {
		return nil
	}
	// Said as well as hung up: another sandbox of this process may have its
	// copy of our end for a moment.
	if err := unix.Sendto(j.socket, []byte{0}, unix.MSG_NOSIGNAL, nil); err != nil && err != unix.EPIPE &&
		err != unix.ECONNRESET {
		return fmt.Errorf("tell the janitor to undo: %w", err)
	}
	unix.Close(j.socket)
	j.socket = -1
	ws, err := waitFor(j.pid, nil)
	if err != nil {
		return fmt.Errorf("wait for the janitor: %w", err)
	}
	j.pid = 0
	defer j.release()
	if !ws.Exited() {
		child.Undo(j.table, j.status, j.undoAt)
	}
	j.noteRestored()
	if j.status.Failed == 0 {
		return nil
	}
	n := int(j.table.Calls[j.status.Failed-1].Step)
	if n < len(j.prepare) {
		return failure(j.status, j.prepare[n])
	}
	return failure(j.status, j.undo[n-len(j.prepare)])
}

// noteRestored notes which metadata of the caller's files the target had changed.
func (j *janitor) noteRestored() {
	for _, s := range j.undo {
		r, ok := s.(process.RestoreMetadata)
		if !ok {
			continue
		}
		var changed []string
		for _, x := range [...]struct {
			bit  uint8
			name string
		}{{step.RestoredMode, "mode"}, {step.RestoredOwner, "owner"}, {step.RestoredTimes, "times"},
			{step.RestoredAttributes, "attributes"}} {
			if j.status.Restored(r.Index)&x.bit != 0 {
				changed = append(changed, x.name)
			}
		}
		if len(changed) > 0 {
			j.notes = append(j.notes, fmt.Sprintf("the file at descriptor %d had its %s changed, which was restored",
				r.Stream, strings.Join(changed, ", ")))
		}
	}
}

// restoredNotes are those notes, once the janitor has finished.
func (j *janitor) restoredNotes() []string {
	if j == nil {
		return nil
	}
	return j.notes
}

func (j *janitor) release() {
	if j.socket >= 0 {
		unix.Close(j.socket)
	}
	if j.table != nil {
		j.table.Free()
	}
	if j.status != nil {
		j.status.Free()
	}
}
