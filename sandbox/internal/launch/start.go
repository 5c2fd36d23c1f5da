package launch

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/sandbox/internal/child"
	"sbx/sandbox/internal/notify"
	"sbx/sandbox/internal/plan"
	"sbx/sandbox/internal/sdnotify"
	"sbx/sandbox/internal/terminal"
)

// Process is a started plan.
type Process struct {
	plan    *plan.Plan
	pid     int // of the init, on the host
	pidfd   int
	mu      sync.Mutex // of notify, when it is released
	notify  int        // the launcher's end of the socket, -1 once it is closed; see step.MsgMapped
	table   *step.Table
	status  *child.Status
	janitor *janitor // nil if there is nothing to undo on the host
	setID   setIDs   // what is done against set-id files on the host
	cgroup  int      // the sandbox's, or -1
	missing []string // see Exit.Missing
	private privateDir
	adopts  bool      // it is the parent of orphans, see adoptOrphans
	offsets []carried // files of the caller's whose offsets are given back

	began time.Time // when the first process was to be made
	// held closes what is held of the target's streams, for another start; nil: nothing is.
	held     func()
	manager  *sdnotify.Relay  // to the service manager, or nil
	ready    execWatch        // when the target has been executed
	listener *notify.Listener // answers denied calls, or nil

	told bool // the target was sent a signal that asks it to end

	hostsPassed

	supervised bool
	lost       []Lost
	lostNote   string // why that could not be watched

	// While it is supervised:
	caught      int             // the descriptor of signals.Catch
	rested      func()          // Attached.Rested
	relay       *terminal.Relay // nil unless the target has a terminal of its own
	hungUp      bool            // the target was told that the caller's terminal is gone
	janitorLost bool            // somebody killed it
	mounts      mountSource     // those on the host's files
	ending      ending          // when the launcher itself ends all
	keys        keys            // what the user typed
	atTerminal  bool            // hooks.atTerminal
}

// hooks are what is special in one start: tables changed before they are used, which
// only the tests' fault sweeps do.
type hooks struct {
	table, janitor func(*step.Table)
	// adopt makes this process the parent of orphans; see adoptOrphans.
	adopt bool
	// born and caught are Attached.Born and the descriptor of signals.Catch.
	born   func(pid int) (until []int, err error)
	caught int
	// atTerminal says that the launcher has a controlling terminal that it shares with the
	// target. It is found out before signals are caught: the target may run before the
	// launcher supervises it, and the terminal be closed by then.
	atTerminal bool
}

// linkTable lays the table out for the child and lets the hook, if there is one, change it.
func linkTable(asm *step.Asm, hook func(*step.Table)) (*step.Table, error) {
	t, err := asm.Link()
	if err == nil && hook != nil {
		hook(t)
	}
	return t, err
}

// Start executes the plan's steps in a forked child. The calling thread must
// live as long as the sandbox, whose processes die with it. It may be called
// from several goroutines at once. An error here or from Wait is a *plan.StepError
// where a step is to blame, and means that the target has not run.
//
// A plan that is to be explained takes somebody who answers while it runs: Run.
func Start(p *plan.Plan) (*Process, error) {
	if len(p.Explained) > 0 {
		return nil, errors.New("start a sandbox whose denials are to be explained: only Run can")
	}
	if p.Holds {
		return nil, errors.New("start a sandbox that is to wait for the launcher: only Run can")
	}
	return start(p, hooks{})
}

func start(p *plan.Plan, h hooks) (_ *Process, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket to the init: %w", err)
	}
	defer func() { unix.Close(pair[1]) }()
	ps := &Process{plan: p, notify: pair[0], pidfd: -1, cgroup: -1, began: time.Now(), ready: execWatch{read: -1},
		atTerminal: h.atTerminal}
	defer func() {
		if err == nil {
			return
		}
		if e := ps.janitor.finish(); e != nil {
			err = errors.Join(err, e)
		}
		ps.removePrivate() // nothing has run that could keep it
		ps.release()
	}()
	if h.adopt {
		if err = ps.adoptOrphans(); err != nil {
			return nil, err
		}
	}
	if err = ps.connectManager(); err != nil {
		return nil, err
	}
	if err = ps.holdOffsets(); err != nil {
		return nil, err
	}
	if pair[1], err = above(pair[1], len(p.Given)); err != nil {
		return nil, err
	}
	closed, err := ps.watchExec()
	if err != nil {
		return nil, err
	}
	defer func() { unix.Close(closed) }()
	if len(p.Cleanup) > 0 {
		// Before anything is there that could be left behind.
		prepare, undo := p.JanitorSteps()
		if ps.janitor, err = startJanitor(prepare, undo, h.janitor); err != nil {
			return nil, err
		}
	}
	if err = ps.setID.hold(p.SetID.Dirs); err != nil {
		return nil, err
	}
	if ps.listener, err = newListener(p); err != nil {
		return nil, err
	}
	if err = ps.newGateway(); err != nil {
		return nil, err
	}
	if err = ps.makePrivate(p.Private); err != nil {
		return nil, err
	}
	if ps.listener != nil {
		ps.listener.Bound(notify.Bounds{Processes: p.Rlimit(unix.RLIMIT_NPROC), Data: p.Rlimit(unix.RLIMIT_DATA),
			OpenFiles: p.Rlimit(unix.RLIMIT_NOFILE), Tmpfs: p.Tmpfs()})
	}
	if ps.listener != nil && p.ObservesFiles {
		ps.listener.Restrict(p.Allowed(ps.private.Path))
	}
	asm, initAt := p.Compile(plan.Descriptors{Launcher: pair[0], Notify: pair[1], Janitor: ps.janitor.fd(), Ready: closed,
		Private: ps.private.Dir}, ownMemory)
	if ps.table, err = linkTable(asm, h.table); err != nil {
		return nil, fmt.Errorf("lay out the plan: %w", err)
	}
	if ps.status, err = child.NewStatus(); err != nil {
		return nil, fmt.Errorf("lay out the status page: %w", err)
	}
	cfg := child.Config{Flags: plan.NewNamespaces{Set: p.New}.Flags(), Cgroup: -1, Children: -1,
		Notify: pair[1], InitAt: initAt, Stack: ps.table.Stack,
		Code:  ownProgram().code,
		Timed: p.Limits != nil && p.Limits.Duration > 0, Watched: p.Tree.AnyOnHost()}
	if p.SharesPIDNS {
		cfg.Children = pair[0] // see process.Subreaper
	}
	if len(p.Join) > 0 {
		cfg.Flags = 0
	}
	if p.Limits != nil && p.Limits.Cgroup != nil {
		if cfg.Cgroup, err = ps.enterCgroup(); err != nil {
			return nil, err
		}
		defer unix.Close(cfg.Cgroup)
	}
	if ps.pid, ps.pidfd, err = child.Start(ps.table, ps.status, cfg); err != nil {
		return nil, &plan.StepError{Step: plan.NewNamespaces{Set: p.New}, Err: err}
	}
	if len(p.Join) > 0 {
		if err = ps.awaitJoin(); err != nil {
			return nil, err
		}
	}
	if p.Ranges != nil {
		if err = ps.mapRanges(p.Ranges); err != nil {
			return nil, err
		}
	}
	if p.Holds {
		if err = ps.letGo(h); err != nil {
			return nil, err
		}
	}
	if err = ps.guardAlways(); err != nil {
		return nil, errors.Join(err, ps.kill())
	}
	return ps, nil
}

// Wait waits until the sandbox has ended and everything in it is gone.
func (ps *Process) Wait() (Exit, error) {
	var used unix.Rusage
	if err := ps.answerAlone(); err != nil {
		return Exit{}, err
	}
	ws, err := waitFor(ps.pid, &used)
	if err != nil {
		return Exit{}, fmt.Errorf("wait for the sandbox: %w", err)
	}
	defer ps.release()
	exit, err := ps.exit(ws)
	lost := ps.endGateway()
	if ws.Signaled() {
		err = errors.Join(err, ps.endOrphans())
	}
	failed := append(append(ps.endSetID(), ps.carryOffsets()...), ps.removePrivate()...)
	if err == nil {
		exit.Usage, exit.Missing = ps.usage(&used), ps.missing
		ps.tellLimits(&exit)
		exit.Notes = slices.Concat(exit.Notes, ps.leftNote(exit), failed, lost, ps.deniedNotes(exit))
		exit.Notes, exit.Lost = append(exit.Notes, ps.lostNotes()...), ps.lost
		if why, did := ps.endedBy(); did && why != "" {
			exit.Notes = append(exit.Notes, why)
		}
	}
	if e := ps.janitor.finish(); e != nil {
		if err != nil {
			return Exit{}, errors.Join(err, e)
		}
		exit.Notes = append(exit.Notes, e.Error())
	}
	if err == nil {
		exit.Notes = append(exit.Notes, ps.janitor.restoredNotes()...)
	}
	if ps.listener != nil {
		exit.Explained, exit.Seen = ps.explained(), ps.listener.Seen()
		if ps.listener.Filled() {
			exit.Limits = append(exit.Limits, "tmp")
		}
	}
	return exit, err
}

// exit is how the sandbox ended, whose init's status is ws.
func (ps *Process) exit(ws unix.WaitStatus) (Exit, error) {
	st := ps.status
	switch {
	case st.Failed != 0:
		return Exit{}, failure(st, ps.plan.StepAt(int(ps.table.Calls[st.Failed-1].Step)))
	case st.TimedOut != 0:
		return Exit{Status: unix.WaitStatus(unix.SIGKILL)}, nil
	case st.Ended != 0:
		return Exit{Status: unix.WaitStatus(st.WaitStatus), Left: int(st.Left)}, nil
	case st.Lost != 0:
		return Exit{}, fmt.Errorf("wait for the target in the sandbox, which was ended for it: %w", unix.Errno(st.Lost))
	case ws.Signaled():
		return Exit{Status: ws}, nil // somebody killed the init, and so all
	}
	return Exit{}, errors.New("run the target: the sandbox's init exited without reporting a status")
}

// failure is the failed call in st as the step's error.
func failure(st *child.Status, s step.Step) *plan.StepError {
	if st.Errno == 0 {
		return &plan.StepError{Step: s, Err: &plan.MismatchError{Got: st.Got}}
	}
	return &plan.StepError{Step: s, Err: unix.Errno(st.Errno)}
}

// waitFor waits for the end of a child of this process.
func waitFor(pid int, used *unix.Rusage) (ws unix.WaitStatus, err error) {
	for {
		if _, err = unix.Wait4(pid, &ws, 0, used); err != unix.EINTR {
			return ws, err
		}
	}
}

// Signal sends a signal to the target, by way of its init. One that has ended
// gets none. It may be called from any goroutine.
func (ps *Process) Signal(sig unix.Signal) error { return ps.forward(sig, step.ToTarget) }

// signalGroup sends one to the target's process group, as a terminal does.
func (ps *Process) signalGroup(sig unix.Signal) error { return ps.forward(sig, step.ToGroup) }

func (ps *Process) forward(sig unix.Signal, to byte) error {
	ps.mu.Lock() // release may be at work
	defer ps.mu.Unlock()
	if ps.notify < 0 {
		return nil // it has ended
	}
	ps.told = ps.told || asksToEnd(sig)
	err := unix.Sendto(ps.notify, []byte{step.MsgSignal, byte(sig), to}, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
	switch err {
	case nil, unix.EPIPE, unix.ECONNRESET: // the init has ended
		return nil
	case unix.EAGAIN: // hundreds are there already, as with a signal that is pending
		return nil
	}
	return fmt.Errorf("send signal %d to the sandbox: %w", sig, err)
}

// kill ends the init, and so all in its pid namespace.
func (ps *Process) kill() error {
	err := unix.PidfdSendSignal(ps.pidfd, unix.SIGKILL, nil, 0)
	if err == unix.ESRCH {
		return nil
	}
	return err
}

func (ps *Process) release() {
	ps.releaseOffsets()
	ps.mu.Lock()
	unix.Close(ps.notify)
	ps.notify = -1
	ps.mu.Unlock()
	if ps.listener != nil {
		ps.listener.Close()
	}
	ps.endGateway()
	ps.setID.release()
	ps.ready.release()
	if ps.manager != nil {
		ps.manager.Close()
	}
	if ps.cgroup >= 0 {
		unix.Close(ps.cgroup)
	}
	if ps.pidfd >= 0 {
		unix.Close(ps.pidfd)
	}
	if ps.table != nil {
		ps.table.Free()
	}
	if ps.status != nil {
		ps.status.Free()
	}
}
