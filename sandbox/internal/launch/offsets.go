package launch

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/ns"
)

// carried is a file with an offset that was opened once more for the target; see
// ns.Reopen. The caller's descriptor and the target's have offsets of their own.
type carried struct {
	caller int // a copy of the caller's descriptor, since 0 and 1 are closed
	fd     int // the caller's number
	from   int64
	opened int // the file as the target has it, or -1
}

// holdOffsets keeps what carryOffsets needs.
func (ps *Process) holdOffsets() error {
	for _, s := range ps.plan.Setup {
		r, ok := s.(ns.Reopen)
		if !ok || !r.Seek {
			continue
		}
		fd, err := unix.FcntlInt(uintptr(r.FDs[0]), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return fmt.Errorf("keep descriptor %d for its offset: %w", r.FDs[0], err)
		}
		ps.offsets = append(ps.offsets, carried{caller: fd, fd: r.FDs[0], from: r.From, opened: -1})
	}
	return nil
}

// addOffset takes the file with that number, which the child has opened.
func (ps *Process) addOffset(index byte, rights []byte) error {
	fd, err := receivedFD(rights)
	if err != nil {
		return fmt.Errorf("receive a file that was opened once more: %w", err)
	}
	if int(index) >= len(ps.offsets) || ps.offsets[index].opened >= 0 {
		unix.Close(fd)
		return fmt.Errorf("receive a file that was opened once more: there is no number %d", index)
	}
	ps.offsets[index].opened = fd
	return nil
}

// carryOffsets gives the caller's files the offsets that the target has arrived
// at, when all in the sandbox have ended: the caller goes on there, as in
// "while read line; do sbx -- head -1; done <file". What the target has not read
// from keeps the caller's, which others may have moved.
func (ps *Process) carryOffsets() (failed []string) {
	// Without Supervise nobody has looked at the socket yet.
	var b [2]byte
	var oob [64]byte
	for len(ps.offsets) > 0 {
		n, rights, _, _, err := unix.Recvmsg(ps.notify, b[:], oob[:], unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			break
		}
		if n == 2 && b[0] == step.MsgStream {
			if err := ps.addOffset(b[1], oob[:rights]); err != nil {
				failed = append(failed, err.Error())
			}
		} else if fd, err := receivedFD(oob[:rights]); err == nil {
			unix.Close(fd) // what else came too late
		}
	}
	for _, s := range ps.offsets {
		if s.opened < 0 {
			continue
		}
		at, err := unix.Seek(s.opened, 0, unix.SEEK_CUR)
		if err == nil && at != s.from {
			_, err = unix.Seek(s.caller, at, unix.SEEK_SET)
		}
		if err != nil {
			failed = append(failed, fmt.Sprintf("give the offset of descriptor %d back: %v", s.fd, err))
		}
	}
	return failed
}

func (ps *Process) releaseOffsets() {
	for _, s := range ps.offsets {
		unix.Close(s.caller)
		if s.opened >= 0 {
			unix.Close(s.opened)
		}
	}
	ps.offsets = nil
}
