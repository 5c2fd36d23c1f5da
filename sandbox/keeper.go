package sandbox

import (
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/sys"
	"sbx/sandbox/child"
	"sbx/sandbox/process"
)

// keeper is a process of ours outside the sandbox, there only if something has
// to be undone outside when all is over. A launcher that is killed can undo
// nothing; so whatever would stay is made by the keeper, which cannot be
// reached by what kills the launcher (a session of its own, all signals
// blocked) and waits for the launcher's end on a socket that hangs up then.
//
// Who kills both, kills what undoes: then it stays. A keeper that dies alone
// is noticed: the sandbox is ended, and the launcher undoes.
type keeper struct {
	plan   *Plan
	pid    int
	socket int // the launcher's end
	undoAt int
	token  string
	table  *step.Table
	status *child.Status
}

// holder is a step of the keeper's that uses a descriptor of the launcher's.
type holder interface{ Holds() int }

// keeperSteps are all that the keeper does, before and after.
func (p *Plan) keeperSteps() (prepare, undo []step.Step) {
	if len(p.Undo) == 0 {
		return nil, nil
	}
	var hold process.Hold
	for _, list := range [...][]step.Step{p.Prepare, p.Undo} {
		for _, s := range list {
			if h, ok := s.(holder); ok {
				hold.FDs = append(hold.FDs, h.Holds())
			}
		}
	}
	// First what keeps it alive and apart, then what it makes.
	prepare = append(prepare, process.OwnSession{}, process.Undumpable{}, hold, process.Forget{Who: "keeper"})
	return append(prepare, p.Prepare...), p.Undo
}

// startKeeper forks the keeper and waits until it has prepared all. An error
// means that it has undone it again and is gone. The hook changes its table.
func (p *Plan) startKeeper(hook func(*step.Table)) (*keeper, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket to the keeper: %w", err)
	}
	k := &keeper{plan: p, socket: pair[0]}
	if err := k.start(pair[1], hook); err != nil {
		k.free()
		return nil, err
	}
	var b [1]byte
	for {
		n, _, err := unix.Recvfrom(k.socket, b[:], 0)
		if err == unix.EINTR {
			continue
		}
		if n == 1 {
			return k, nil
		}
		if err = k.end(); err == nil {
			err = errors.New("start the keeper: it ended at once")
		}
		return nil, err
	}
}

// start forks the keeper, whose end of the socket is theirs; here it is closed.
func (k *keeper) start(theirs int, hook func(*step.Table)) error {
	defer unix.Close(theirs)
	var token [16]byte
	_, err := unix.Getrandom(token[:], 0)
	if err != nil {
		return fmt.Errorf("draw a random name: %w", err)
	}
	k.token = hex.EncodeToString(token[:])
	if k.table, err = linkTable(k.plan.compileKeeper(k, theirs), hook); err != nil {
		return fmt.Errorf("lay out the keeper's plan: %w", err)
	}
	if k.status, err = child.NewStatus(); err != nil {
		return fmt.Errorf("lay out the keeper's status page: %w", err)
	}
	var pidfd int
	if k.pid, pidfd, err = child.StartKeeper(k.table, k.status, child.KeeperConfig{UndoAt: k.undoAt, Socket: theirs}); err != nil {
		return fmt.Errorf("fork the keeper: %w", err)
	}
	unix.Close(pidfd)
	return nil
}

func (p *Plan) compileKeeper(k *keeper, socket int) *step.Asm {
	asm := &step.Asm{Launcher: k.socket, Notify: socket, Token: k.token}
	prepare, undo := p.keeperSteps()
	asm.Grow(len(prepare) + len(undo))
	n := 0
	for i, list := range [...][]step.Step{prepare, undo} {
		if i == 1 {
			k.undoAt = asm.Len()
		}
		for _, s := range list {
			asm.Begin(n)
			n++
			if f, ok := s.(process.Forget); ok {
				s = ownMemory(f.Who)
			}
			s.Compile(asm)
		}
	}
	return asm
}

// end lets the keeper undo and waits until it has. If somebody killed it, this
// process does its work. The error says what failed, of all it had to do.
func (k *keeper) end() error {
	if k == nil || k.pid == 0 {
		return nil
	}
	// Said as well as hung up: another sandbox of this process may have its
	// copy of our end for a moment.
	if err := unix.Sendto(k.socket, []byte{0}, unix.MSG_NOSIGNAL, nil); err != nil && err != unix.EPIPE && err != unix.ECONNRESET {
		return fmt.Errorf("tell the keeper to undo: %w", err)
	}
	unix.Close(k.socket)
	k.socket = -1
	ws, err := sys.Wait(k.pid)
	if err != nil {
		return fmt.Errorf("wait for the keeper: %w", err)
	}
	k.pid = 0
	defer k.free()
	if !ws.Exited() {
		child.Undo(k.table, k.status, k.undoAt)
	}
	if k.status.Failed == 0 {
		return nil
	}
	prepare, undo := k.plan.keeperSteps()
	n := int(k.table.Calls[k.status.Failed-1].Step)
	if n < len(prepare) {
		return failure(k.status, prepare[n])
	}
	return failure(k.status, undo[n-len(prepare)])
}

func (k *keeper) free() {
	if k.socket >= 0 {
		unix.Close(k.socket)
	}
	if k.table != nil {
		k.table.Free()
	}
	if k.status != nil {
		k.status.Free()
	}
}

// loseKeeper ends a sandbox whose keeper is gone.
func (ps *Process) loseKeeper() (Exit, error) {
	if err := unix.PidfdSendSignal(ps.pidfd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return Exit{}, fmt.Errorf("end the sandbox, whose keeper was killed: %w", err)
	}
	exit, err := ps.Wait()
	exit.Notes = append(exit.Notes, "the keeper, which undoes what is made outside, was killed: the sandbox was ended for it")
	return exit, err
}
