package launch

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// streams are what the caller shares with the target and gets back as it was:
// the open file descriptions of descriptors 0 to 2, with flags that whoever has
// one can change for all (fcntl(2), F_SETFL), and the terminal.
type streams []stream

type stream struct {
	fd    int // the launcher's own descriptor of it
	flags int
	// tty says that it is a terminal, exclusive whether it was for us alone
	// (TIOCEXCL), group which process group had it in the foreground; 0: it is
	// not ours to say.
	tty, exclusive bool
	group          int
}

// holdStreams looks at descriptors 0 to 2. Of a pipe the target gets an open
// file description of its own, so that it cannot change the caller's: to hold
// the caller's would be to keep whoever is at the other end from seeing that
// the target has closed it. For all else, files and terminals, whose position
// and identity are shared, the launcher holds the caller's and puts its flags
// back when all has ended. What can be had in neither way, as a socket, or a
// pipe that is another user's, is left as it is; see docs/security.md.
func holdStreams() (streams, error) {
	var list streams
	for fd := range 3 {
		var st unix.Stat_t
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_PATH != 0 || unix.Fstat(fd, &st) != nil {
			continue // closed
		}
		hold := fd == 2 // which sbx has to the end anyway
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG, unix.S_IFCHR, unix.S_IFBLK:
			hold = true
		case unix.S_IFIFO:
			own, err := reopenPipe(fd, flags)
			if err != nil {
				return list, err
			}
			hold = hold && !own
		}
		if !hold {
			continue
		}
		s := stream{flags: flags}
		if s.fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
			return list, fmt.Errorf("hold descriptor %d: %w", fd, err)
		}
		if st.Mode&unix.S_IFMT == unix.S_IFCHR {
			s.lookAtTerminal()
		}
		list = append(list, s)
	}
	return list, nil
}

// reopenPipe puts a new open file description of the same pipe in the place of
// the caller's, if the caller may open it.
func reopenPipe(fd, flags int) (done bool, err error) {
	const settable = unix.O_NONBLOCK | unix.O_APPEND | unix.O_DIRECT | unix.O_ASYNC
	if flags&unix.O_ASYNC != 0 {
		return false, nil // somebody waits for its signals
	}
	own, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), flags&unix.O_ACCMODE|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, nil // another user's, or there is no /proc
	}
	defer unix.Close(own)
	if _, err = unix.FcntlInt(uintptr(own), unix.F_SETFL, flags&settable); err == nil {
		err = unix.Dup3(own, fd, 0)
	}
	if err != nil {
		return false, fmt.Errorf("open the pipe at descriptor %d anew: %w", fd, err)
	}
	return true, nil
}

func (s *stream) lookAtTerminal() {
	exclusive, err := unix.IoctlGetInt(s.fd, unix.TIOCGEXCL)
	if err != nil {
		return // no terminal
	}
	s.tty, s.exclusive = true, exclusive != 0
	if group, err := unix.IoctlGetInt(s.fd, unix.TIOCGPGRP); err == nil {
		s.group = group
	}
}

// restore gives all back as it was and lets go of it. It says what it could not.
func (l streams) restore() (notes []string) {
	for i := range l {
		s := &l[i]
		flags, err := unix.FcntlInt(uintptr(s.fd), unix.F_GETFL, 0)
		if err == nil && flags != s.flags {
			_, err = unix.FcntlInt(uintptr(s.fd), unix.F_SETFL, s.flags)
		}
		if err == nil && s.tty {
			err = s.restoreTerminal()
		}
		unix.Close(s.fd)
		if err != nil && err != unix.EIO { // a terminal that is gone
			notes = append(notes, "a standard stream is not as it was: "+err.Error())
		}
	}
	return notes
}

// restoreTerminal undoes what would keep the caller from using the terminal:
// output that is stopped (tcflow(3)), nobody else who may open it, and a
// foreground process group of which nobody is left, so that keys reach nobody.
func (s *stream) restoreTerminal() error {
	const tcoon = 1 // TCOON; see ioctl_tty(2)
	// Another process group may have the terminal: SIGTTOU would stop us.
	var block, old unix.Sigset_t
	block.Val[0] = 1 << (uint(unix.SIGTTOU) - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &block, &old); err != nil {
		return err
	}
	err := unix.IoctlSetInt(s.fd, unix.TCXONC, tcoon)
	if err == nil {
		request := uint(unix.TIOCNXCL)
		if s.exclusive {
			request = unix.TIOCEXCL
		}
		err = unix.IoctlSetInt(s.fd, request, 0)
	}
	if group, e := unix.IoctlGetInt(s.fd, unix.TIOCGPGRP); e == nil && s.group > 0 && group != s.group && !alive(group) {
		to := s.group
		if !alive(to) {
			to = unix.Getpgrp()
		}
		if e := unix.IoctlSetPointerInt(s.fd, unix.TIOCSPGRP, to); err == nil {
			err = e
		}
	}
	if e := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil); err == nil {
		err = e
	}
	return err
}

// alive says whether anybody is in the process group.
func alive(group int) bool { return group > 0 && unix.Kill(-group, 0) != unix.ESRCH }
