package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// PublishError is that the host gives no place to listen at.
type PublishError struct {
	At  string
	Err error
}

func (e *PublishError) Error() string { return "listen at " + e.At + ": " + e.Err.Error() }

// Unwrap gives the errno.
func (e *PublishError) Unwrap() error { return e.Err }

// Hint says how to fix it.
func (e *PublishError) Hint() string {
	switch {
	case errors.Is(e.Err, errOther):
		return "remove it, or name another path"
	case errors.Is(e.Err, unix.EADDRINUSE) && strings.HasPrefix(e.At, "unix:"):
		return "another program listens there: name another path"
	case errors.Is(e.Err, unix.EACCES) && strings.HasPrefix(e.At, "unix:"):
		return "name a path in a directory that you may write, such as $XDG_RUNTIME_DIR"
	case errors.Is(e.Err, unix.EACCES):
		return "ports below 1024 take root or CAP_NET_BIND_SERVICE: publish another, as in 8080:80"
	case errors.Is(e.Err, unix.EADDRINUSE):
		return "another program listens there: publish another port, as in 8081:8080"
	case errors.Is(e.Err, unix.EADDRNOTAVAIL):
		return "it is no address of this machine"
	case errors.Is(e.Err, unix.EMFILE):
		return "raise the limit on open files: ulimit -n"
	}
	return ""
}

// publish listens on the host, before the target starts. Nobody is accepted before there is
// a way inside.
func (g *Gateway) publish() (err error) {
	for i := range g.config.Publish {
		p := &g.config.Publish[i]
		if p.Path != "" {
			if err := g.publishSocket(p); err != nil {
				return err
			}
			continue
		}
		at := netip.AddrPortFrom(p.Addr, p.Outer)
		fd, sa, err := socketFor(at, unix.SOCK_STREAM)
		if err == nil {
			g.published = append(g.published, &listener{fd: fd, inner: p.Inner, innerPath: p.InnerPath})
			// A server that was ended a moment ago leaves connections behind.
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		}
		if err == nil && p.Addr.Is6() {
			err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
		}
		if err == nil {
			if err = unix.Bind(fd, sa); err == nil {
				err = unix.Listen(fd, 4096)
			}
		}
		if err != nil {
			return &PublishError{at.String(), err}
		}
	}
	return nil
}

// inward leads a connection from the host to a port or a socket inside.
func (g *Gateway) inward(l *listener, fd int) {
	c := &conn{g: g, in: end{fd: fd}, out: end{fd: -1}, inner: l.inner, innerPath: l.innerPath}
	c.in.conn = c
	if err := g.watch(fd, streamEvents, &c.in); err != nil {
		c.abort()
		return
	}
	if c.innerPath != "" {
		c.askSocket()
		return
	}
	c.addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	if g.config.IPv6 {
		c.addrs = append(c.addrs, netip.IPv6Loopback())
	}
	c.dial()
}

// inside connects to the next address of the sandbox's loopback. It is false where that
// goes no further than here.
func (c *conn) inside() bool {
	g := c.g
	to := netip.AddrPortFrom(c.addrs[0], c.inner)
	c.addrs = c.addrs[1:]
	fd, err := g.mint.socket(to.Addr())
	if err != nil {
		c.why = err
		return false
	}
	if c.why = unix.Connect(fd, sockaddr(to)); c.why != nil && c.why != unix.EINPROGRESS {
		unix.Close(fd)
		return false
	}
	c.out = end{conn: c, fd: fd}
	if c.why = g.watch(fd, streamEvents, &c.out); c.why != nil {
		g.forget(fd)
		unix.Close(fd)
		c.out.fd = -1
		return false
	}
	c.wait(dialing, len(c.addrs) > 0)
	return true
}

// Mint hands the launcher what it makes sockets of the sandbox's network from. A socket
// belongs to the network of the process that makes it, but for one that accept(2) gives:
// that belongs to the listener's. So for each socket that it needs, the launcher connects
// the seed to the listener, and disconnects both ends of what it gets.
type Mint struct{ IPv6 bool }

func (Mint) String() string { return "hand sockets for connections from the host to the launcher" }

// Kind is the name in --json.
func (Mint) Kind() string { return "hand-over-sockets" }

// Kinds of sockets, as Catch has them: a seed and a listener for each of IPv4 and IPv6.
const (
	kindSeed, kindMint   = 's', 'm'
	kindSeed6, kindMint6 = 'S', 'M'
)

// Compile makes the sockets. listen(2) gives the listener a port that is free.
func (m Mint) Compile(a *step.Asm) {
	fd := a.Temp()
	open := func(family int, kind byte, listen bool) {
		a.Sys(unix.SYS_SOCKET, step.Int(family), step.Int(unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC),
			step.Int(0)).To(fd)
		if family == unix.AF_INET6 {
			a.Sys(unix.SYS_SETSOCKOPT, fd.Arg(), step.Int(unix.IPPROTO_IPV6), step.Int(unix.IPV6_V6ONLY),
				a.Words(step.Int(1)), step.Int(4))
		}
		if listen {
			a.Sys(unix.SYS_LISTEN, fd.Arg(), step.Int(128))
		}
		a.SendFD(a.Notify, []byte{step.MsgNetwork, kind}, fd.Arg())
		a.Sys(unix.SYS_CLOSE, fd.Arg())
	}
	open(unix.AF_INET, kindSeed, false)
	open(unix.AF_INET, kindMint, true)
	if m.IPv6 {
		open(unix.AF_INET6, kindSeed6, false)
		open(unix.AF_INET6, kindMint6, true)
	}
}

// mint makes sockets of the sandbox's network.
type mint struct{ four, six die }

// die is what it makes those of one family with.
type die struct {
	seed, listener int // 0: not there
	addr           netip.AddrPort
}

// add takes a socket over. When all are there, those are accepted who come from the host.
func (m *mint) add(kind byte, fd int, g *Gateway) {
	switch kind {
	case kindSeed:
		m.four.seed = fd
	case kindSeed6:
		m.six.seed = fd
	case kindMint:
		g.failIf(m.four.begin(fd, netip.AddrFrom4([4]byte{127, 0, 0, 1})))
	case kindMint6:
		g.failIf(m.six.begin(fd, netip.IPv6Loopback()))
	}
	g.openPublished()
}

// complete says whether all is there.
func (m *mint) complete(ipv6 bool) bool {
	return m.four.listener != 0 && (m.six.listener != 0 || !ipv6)
}

// begin takes the listener over. Programs inside can find its port. So that they cannot fill
// its queue, the seed keeps a port, and the listener drops all that comes from another.
func (d *die) begin(fd int, at netip.Addr) error {
	d.listener = fd
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	d.addr = netip.AddrPortFrom(at, addrPort(sa).Port())
	// A socket keeps a port that it asks for, and none that the kernel picks: ask for such a one.
	from, err := d.keep()
	for tries := 0; err == unix.EADDRINUSE && tries < 100; tries++ {
		from, err = d.keep()
	}
	if err != nil {
		return fmt.Errorf("keep a port inside: %w", err)
	}
	filter := only(from)
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	if err != nil {
		return fmt.Errorf("attach a filter to a listener inside: %w", err)
	}
	return nil
}

// keep binds the seed to a port that the kernel picks. Connections of others may share that,
// and then it is in use.
func (d *die) keep() (netip.AddrPort, error) {
	fd, from, err := d.socket()
	if err != nil {
		return from, err
	}
	unix.Close(fd)
	return from, unix.Bind(d.seed, sockaddr(from))
}

// ipHeader is where a filter finds the IP header: SKF_NET_OFF of <linux/filter.h>, which is negative.
const ipHeader = 1<<32 - 0x100000

// only is a filter of a TCP socket that lets through what comes from there.
func only(from netip.AddrPort) []unix.SockFilter {
	source := uint32(8) // where the IP header has the sender's address
	if from.Addr().Is4() {
		source = 12
	}
	// Each comparison that fails goes on with the next instruction, which drops.
	var filter []unix.SockFilter
	same := func(size uint16, offset, value uint32) {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_ABS | size, K: offset},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: value},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0})
	}
	same(unix.BPF_H, 0, uint32(from.Port())) // TCP begins with the sender's port
	for part := from.Addr().AsSlice(); len(part) > 0; part = part[4:] {
		same(unix.BPF_W, ipHeader+source, binary.BigEndian.Uint32(part))
		source += 4
	}
	return append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1})
}

func (m *mint) close() {
	for _, fd := range [...]int{m.four.seed, m.four.listener, m.six.seed, m.six.listener} {
		if fd != 0 {
			unix.Close(fd)
		}
	}
}

// socket is a new socket for addresses of that family.
func (m *mint) socket(family netip.Addr) (int, error) {
	d := &m.four
	if family.Is6() {
		d = &m.six
	}
	fd, _, err := d.socket()
	return fd, err
}

// socket is a new socket, and where the seed connected from for it.
func (d *die) socket() (int, netip.AddrPort, error) {
	var from netip.AddrPort
	if err := unix.Connect(d.seed, sockaddr(d.addr)); err != nil && err != unix.EINPROGRESS {
		return -1, from, errors.Join(err, disconnect(d.seed))
	}
	sa, err := unix.Getsockname(d.seed)
	fd := -1
	if err == nil {
		from = addrPort(sa)
		fd, err = d.accept(from)
	}
	if err = errors.Join(err, disconnect(d.seed)); err == nil {
		err = disconnect(fd)
	}
	if err == nil { // it has the listener's filter; before there is one, ENOENT
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
		if err == unix.ENOENT {
			err = nil
		}
	}
	if err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		return -1, from, fmt.Errorf("make a socket inside: %w", err)
	}
	return fd, from, nil
}

// accept is the other end of the seed. Others may have connected before the filter was there.
func (d *die) accept(from netip.AddrPort) (int, error) {
	end := time.Now().Add(100 * time.Millisecond)
	for {
		fd, peer, err := unix.Accept4(d.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case err == nil && addrPort(peer) == from:
			return fd, nil
		case err == nil:
			reset(fd)
		case err != unix.EAGAIN:
			return -1, err
		}
		// Mostly it is there at once.
		if err := waitFor(d.listener, unix.POLLIN, end); err != nil {
			return -1, err
		}
	}
}

// disconnect makes a socket as new; see connect(2) on AF_UNSPEC.
func disconnect(fd int) error {
	sa := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
	if errno != 0 {
		return errno
	}
	_ = connected(fd) // what the other end's reset has left
	return nil
}
