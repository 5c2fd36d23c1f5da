package sdnotify

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Relay sends on what comes from a sandbox. It never waits: while the manager's socket is
// full nothing more is read, and the program waits as it would without a relay.
type Relay struct {
	manager int // a socket that is connected to the manager's
	inside  int // the sandbox's, or -1 before Attach
	// translate says which process of the host a pid of the sandbox is, 0: none of it.
	translate func(pid int) int
	waiting   *packet
}

// packet is what has not been sent on yet.
type packet struct {
	data []byte
	fds  []int
}

// Connect makes a relay to a manager's socket: a path, or with "@" an abstract name. fd, if
// it is not negative, is open to the path by O_PATH, and is used in its place.
func Connect(address string, fd int, translate func(pid int) int) (*Relay, error) {
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket to the service manager: %w", err)
	}
	name := address
	if fd >= 0 {
		name = "/proc/self/fd/" + strconv.Itoa(fd)
	}
	if err := unix.Connect(socket, &unix.SockaddrUnix{Name: name}); err != nil {
		unix.Close(socket)
		return nil, fmt.Errorf("connect to the service manager's socket %s: %w", strconv.Quote(address), err)
	}
	return &Relay{manager: socket, inside: -1, translate: translate}, nil
}

// Attach gives the relay the sandbox's socket, which it closes in the end.
func (r *Relay) Attach(fd int) { r.inside = fd }

// Attached says whether it has that.
func (r *Relay) Attached() bool { return r.inside >= 0 }

// Close closes the sockets, and the descriptors that were not sent on.
func (r *Relay) Close() {
	r.drop()
	unix.Close(r.manager)
	if r.inside >= 0 {
		unix.Close(r.inside)
	}
}

// Watch appends what to poll for.
func (r *Relay) Watch(list []unix.PollFd) []unix.PollFd {
	switch {
	case r.waiting != nil:
		return append(list, unix.PollFd{Fd: int32(r.manager), Events: unix.POLLOUT})
	case r.inside >= 0:
		return append(list, unix.PollFd{Fd: int32(r.inside), Events: unix.POLLIN})
	}
	return list
}

// Move sends on what there is, a bounded number of datagrams.
func (r *Relay) Move() {
	const most = 64
	for range most {
		if r.waiting != nil && !r.send() || r.inside < 0 {
			return
		}
		if !r.receive() {
			return
		}
	}
}

// receive takes one datagram. It is false where there is none.
func (r *Relay) receive() bool {
	data := make([]byte, MaxSize+1)
	oob := make([]byte, unix.CmsgSpace(4*MaxFDs)+unix.CmsgSpace(unix.SizeofUcred))
	n, rights, flags, _, err := unix.Recvmsg(r.inside, data, oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err == unix.EINTR {
		return true
	}
	if err != nil {
		return false
	}
	p := &packet{fds: descriptors(oob[:rights])}
	m, err := parse(data[:n], len(p.fds))
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) == 0 {
		p.data = r.rewrite(m)
	}
	if !m.fds || p.data == nil {
		p.close()
	}
	if p.data != nil {
		r.waiting = p
	}
	return true
}

// rewrite is the datagram for the manager, or nil where nothing is left.
func (r *Relay) rewrite(m message) []byte {
	if m.mainPID >= 0 {
		pid := r.translate(m.pid)
		if pid == 0 {
			return nil
		}
		m.lines[m.mainPID] = "MAINPID=" + strconv.Itoa(pid)
	}
	if len(m.lines) == 0 {
		return nil
	}
	return []byte(strings.Join(m.lines, "\n"))
}

// send sends what waits. It is false where it has to wait longer.
func (r *Relay) send() bool {
	var rights []byte
	if len(r.waiting.fds) > 0 {
		rights = unix.UnixRights(r.waiting.fds...)
	}
	err := unix.Sendmsg(r.manager, r.waiting.data, rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if err == unix.EAGAIN || err == unix.EINTR {
		return false
	}
	r.drop() // it was sent, or nobody hears it
	return true
}

func (r *Relay) drop() {
	if r.waiting != nil {
		r.waiting.close()
		r.waiting = nil
	}
}

func (p *packet) close() {
	for _, fd := range p.fds {
		unix.Close(fd)
	}
	p.fds = nil
}

// descriptors are those that came with a datagram.
func descriptors(oob []byte) (fds []int) {
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range list {
		if list[i].Header.Type != unix.SCM_RIGHTS {
			continue
		}
		if some, err := unix.ParseUnixRights(&list[i]); err == nil {
			fds = append(fds, some...)
		}
	}
	return fds
}
