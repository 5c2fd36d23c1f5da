package launch

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/sandbox/internal/setid"
)

// signalSource are the signals to the launcher.
type signalSource struct{ ps *Process }

func (s signalSource) fds(list []unix.PollFd) ([]unix.PollFd, int) {
	return append(list, unix.PollFd{Fd: int32(s.ps.caught), Events: unix.POLLIN}), -1
}

func (s signalSource) ready(list []unix.PollFd) (bool, error) {
	if list[0].Revents == 0 {
		return false, nil
	}
	_, err := s.ps.readSignals()
	return false, err
}

// exitSource is the end of the init, and so of all in the sandbox.
type exitSource struct{ ps *Process }

func (s exitSource) fds(list []unix.PollFd) ([]unix.PollFd, int) {
	return append(list, unix.PollFd{Fd: int32(s.ps.pidfd), Events: unix.POLLIN}), -1
}

func (s exitSource) ready(list []unix.PollFd) (bool, error) { return list[0].Revents != 0, nil }

// janitorSource is the end of a janitor that somebody killed.
type janitorSource struct{ ps *Process }

func (s janitorSource) fds(list []unix.PollFd) ([]unix.PollFd, int) {
	if s.ps.janitor == nil || s.ps.janitorLost {
		return list, -1
	}
	return append(list, unix.PollFd{Fd: int32(s.ps.janitor.socket), Events: unix.POLLIN}), -1
}

// ready ends the sandbox: nobody would undo any more what a launcher that is
// killed leaves behind.
func (s janitorSource) ready(list []unix.PollFd) (bool, error) {
	if len(list) == 0 || list[0].Revents == 0 {
		return false, nil
	}
	s.ps.janitorLost = true
	if err := s.ps.kill(); err != nil {
		return false, fmt.Errorf("end the sandbox, whose janitor was killed: %w", err)
	}
	return false, nil
}

// controlSource is what the init says; see step.MsgStopped and its like.
type controlSource struct {
	ps    *Process
	ended bool // the init is ending; exitSource is about to say so
}

func (s *controlSource) fds(list []unix.PollFd) ([]unix.PollFd, int) {
	if s.ended {
		return list, -1
	}
	return append(list, unix.PollFd{Fd: int32(s.ps.notify), Events: unix.POLLIN}), -1
}

func (s *controlSource) ready(list []unix.PollFd) (bool, error) {
	if len(list) == 0 || list[0].Revents == 0 {
		return false, nil
	}
	by, err := s.ps.readControl()
	if err == nil && by != 0 {
		err = s.ps.onStop(by)
	}
	s.ended = list[0].Revents&unix.POLLHUP != 0
	return false, err
}

// readControl reads all that the init has said by now: the terminal it passes
// on is relayed from here. by is the signal that stopped the target last, or 0.
func (ps *Process) readControl() (by unix.Signal, err error) {
	const most = 64 // packets: who stops and continues all the time does not hold us up
	var b [2]byte
	var oob [96]byte
	for range most {
		n, rights, _, _, err := unix.Recvmsg(ps.notify, b[:], oob[:], unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		if err != nil || n == 0 {
			return by, nil // nothing more, or the end
		}
		switch {
		case b[0] == step.MsgTarget && n == 1 && ps.plan.Announces && ps.ready.pid == 0:
			ps.ready.pid = senderOf(oob[:rights])
		case b[0] == step.MsgStarted && n == 1:
			if err := ps.onStarted(); err != nil {
				return by, err
			}
		case b[0] == step.MsgListener && n == 1 && ps.plan.SetID.Listens && ps.setID.listener == nil:
			fd, err := receivedFD(oob[:rights])
			if err != nil {
				return by, fmt.Errorf("receive the filter's listener: %w", err)
			}
			ps.setID.listener = setid.Listen(fd, ps.metadata())
		case b[0] == step.MsgNetwork && n == 2 && ps.gateway != nil:
			if err := ps.onNetwork(b[1], oob[:rights]); err != nil {
				return by, err
			}
		case b[0] == step.MsgNotify && n == 1 && ps.manager != nil && !ps.manager.Attached():
			fd, err := receivedFD(oob[:rights])
			if err != nil {
				return by, fmt.Errorf("receive the notify socket: %w", err)
			}
			ps.manager.Attach(fd)
		case b[0] == step.MsgStopped && n == 2:
			by = unix.Signal(b[1])
		case b[0] == step.MsgStream && n == 2:
			if err := ps.addOffset(b[1], oob[:rights]); err != nil {
				return by, err
			}
		case b[0] == step.MsgListener && n == 1 && ps.listener != nil && !ps.listener.Attached():
			fd, err := receivedFD(oob[:rights])
			if err != nil {
				return by, fmt.Errorf("receive the filter's listener: %w", err)
			}
			ps.listener.Attach(fd)
			ps.listener.Enter(ps.pid)
		case b[0] == step.MsgTerminal && n == 1 && ps.plan.PTY != nil && ps.relay == nil:
			master, err := receivedFD(oob[:rights])
			if err != nil {
				return by, fmt.Errorf("receive the terminal: %w", err)
			}
			if ps.relay, err = ps.plan.PTY.Start(master); err != nil {
				return by, err
			}
			ps.relay.OnKey = ps.onKey
		default:
			return by, fmt.Errorf("read what the init says: unknown message %q", b[:n])
		}
	}
	return by, nil
}

// onStarted begins what begins with the target.
func (ps *Process) onStarted() error {
	if l := ps.plan.Limits; l != nil && l.Duration > 0 {
		ps.endAt(time.Now().Add(l.Duration+grace), "")
	}
	if ps.plan.Tree.AnyOnHost() && ps.mounts.info < 0 {
		return ps.mounts.begin()
	}
	return nil
}

// senderOf is the pid of who sent a packet, by its control messages.
func senderOf(oob []byte) int {
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	for i := range list {
		if c, err := unix.ParseUnixCredentials(&list[i]); err == nil {
			return int(c.Pid)
		}
	}
	return 0
}

// receivedFD is the one descriptor that came with a packet.
func receivedFD(rights []byte) (int, error) {
	list, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return -1, err
	}
	for i := range list {
		if list[i].Header.Type != unix.SCM_RIGHTS {
			continue
		}
		if fds, err := unix.ParseUnixRights(&list[i]); err == nil && len(fds) == 1 {
			return fds[0], nil
		}
	}
	return -1, unix.EBADMSG
}

// relaySource is the terminal of the target's own, once it is there.
type relaySource struct{ ps *Process }

func (s relaySource) fds(list []unix.PollFd) ([]unix.PollFd, int) {
	if s.ps.relay == nil {
		return list, -1
	}
	return s.ps.relay.Watch(list)
}

func (s relaySource) ready(list []unix.PollFd) (bool, error) {
	if s.ps.relay == nil {
		return false, nil
	}
	hungUp, err := s.ps.relay.Move(list)
	if err != nil || hungUp {
		err = errors.Join(err, s.ps.hangUp())
	}
	return false, err
}
