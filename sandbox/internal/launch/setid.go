package launch

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/policy"
	"sbx/sandbox/internal/plan"
	"sbx/sandbox/internal/setid"
)

// setIDs is what the launcher does against set-id files on the host.
type setIDs struct {
	listener *setid.Listener // of the target's filter, once it is there
	dirs     []setid.Dir     // with descriptors of its own
	// janitor looks for them in the launcher's place, if that is killed; nil until
	// there can be any.
	janitor *janitor
	since   time.Time
	began   time.Time // of the launch
	unused  []int     // what came with a descriptor and nobody uses
}

// hold keeps the directories open until the end. Facts.Close closes its own.
func (s *setIDs) hold(dirs []setid.Dir) error {
	s.began = time.Now()
	for _, d := range dirs {
		fd, err := unix.FcntlInt(uintptr(d.FD), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return fmt.Errorf("keep %s open: %w", d.Path, err)
		}
		s.dirs = append(s.dirs, setid.Dir{Path: d.Path, FD: fd})
	}
	return nil
}

func (s *setIDs) release() {
	if s.listener != nil {
		s.listener.Close()
	}
	for _, fd := range s.unused {
		unix.Close(fd)
	}
	s.unused = nil
	for _, d := range s.dirs {
		unix.Close(d.FD)
	}
	s.dirs = nil
}

// guardAlways guards from the start where nobody tells of the first openat2.
func (ps *Process) guardAlways() error {
	if len(ps.plan.SetID.Dirs) == 0 || !ps.plan.SetID.Always {
		return nil
	}
	return ps.guardSetID()
}

// guardSetID is called before the target can make the first set-id file.
func (ps *Process) guardSetID() error {
	s := &ps.setID
	if s.janitor != nil {
		return nil
	}
	s.since = time.Now()
	if ps.plan.SetID.Always {
		s.since = s.began
	}
	undo := []step.Step{setid.Clean{Init: ps.pidfd, Since: s.since, Dirs: s.dirs}}
	var err error
	s.janitor, err = startJanitor(plan.JanitorSteps(nil, undo, ps.plan.Given != nil), undo, nil)
	return err
}

// endSetID looks for set-id files, once nothing of the sandbox is left.
func (ps *Process) endSetID() []string {
	s := &ps.setID
	if s.since.IsZero() || len(s.dirs) == 0 {
		return nil
	}
	notes := setid.Sweep(s.dirs, s.since)
	if err := s.janitor.dismiss(); err != nil {
		notes = append(notes, err.Error())
	}
	return notes
}

// dismiss ends a janitor that has nothing to do any more.
func (j *janitor) dismiss() error {
	if j == nil || j.pid == 0 {
		return nil
	}
	err := unix.Kill(j.pid, unix.SIGKILL)
	if _, e := waitFor(j.pid, nil); e != nil {
		err = errors.Join(err, e)
	}
	j.pid = 0
	j.release()
	if err != nil {
		return fmt.Errorf("end the janitor: %w", err)
	}
	return nil
}

// answerAlone answers what the target's filter asks until the end, where nobody
// supervises.
func (ps *Process) answerAlone() error {
	if !ps.plan.SetID.Listens && ps.gateway == nil || ps.supervised {
		return nil
	}
	if err := loop([]source{exitSource{ps}, &setIDArrival{ps: ps}, setIDSource{ps}}); err != nil {
		return errors.Join(err, ps.kill())
	}
	return nil
}

// setIDArrival waits for the listener of a target that nobody supervises. Whatever
// else comes with a descriptor is left as if it had not come.
type setIDArrival struct {
	ps   *Process
	done bool
}

func (s *setIDArrival) fds(list []unix.PollFd) ([]unix.PollFd, int) {
	if s.done {
		return list, -1
	}
	return append(list, unix.PollFd{Fd: int32(s.ps.notify), Events: unix.POLLIN}), -1
}

func (s *setIDArrival) ready(list []unix.PollFd) (bool, error) {
	if len(list) == 0 || list[0].Revents == 0 {
		return false, nil
	}
	var b [2]byte
	var oob [64]byte
	n, rights, _, _, err := unix.Recvmsg(s.ps.notify, b[:], oob[:], unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return false, nil
	case err != nil || n == 0: // the end
		s.done = true
		return false, nil
	case rights == 0:
		return false, nil
	case n == 2 && b[0] == step.MsgNetwork && s.ps.gateway != nil:
		return false, s.ps.onNetwork(b[1], oob[:rights])
	case n == 2 && b[0] == step.MsgStream:
		return false, s.ps.addOffset(b[1], oob[:rights])
	}
	fd, err := receivedFD(oob[:rights])
	if err != nil {
		return false, fmt.Errorf("receive a descriptor of the init: %w", err)
	}
	if b[0] == step.MsgListener && s.ps.setID.listener == nil {
		s.ps.setID.listener, s.done = setid.Listen(fd, s.ps.metadata()), true
		return false, nil
	}
	s.ps.setID.unused = append(s.ps.setID.unused, fd)
	return false, nil
}

// setIDSource is what the target's filter asks.
type setIDSource struct{ ps *Process }

func (s setIDSource) fds(list []unix.PollFd) ([]unix.PollFd, int) {
	if s.ps.setID.listener == nil || s.ps.setID.listener.FD() < 0 {
		return list, -1
	}
	return append(list, unix.PollFd{Fd: int32(s.ps.setID.listener.FD()), Events: unix.POLLIN}), -1
}

func (s setIDSource) ready(list []unix.PollFd) (bool, error) {
	if len(list) == 0 || list[0].Revents == 0 {
		return false, nil
	}
	gone, err := s.ps.setID.listener.Answer(s.ps.guardSetID)
	if gone {
		s.ps.setID.listener.Close()
	}
	return false, err
}

// metadata answers for modes, owners and times of files, where the target has no mounts of
// its own; else it is nil.
func (ps *Process) metadata() *setid.Metadata {
	if !ps.plan.SetID.Metadata {
		return nil
	}
	own := ps.private.Path
	return &setid.Metadata{Writes: func(name string) bool {
		return own != "" && policy.Within(name, own) || ps.plan.Bare.Writes(name)
	}}
}
