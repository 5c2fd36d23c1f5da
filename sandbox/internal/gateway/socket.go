package gateway

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// socketFor is a non-blocking socket of the family of an address, and that address for
// connect(2) and bind(2).
func socketFor(to netip.AddrPort, kind int) (fd int, sa unix.Sockaddr, err error) {
	family := unix.AF_INET6
	if to.Addr().Unmap().Is4() {
		family = unix.AF_INET
	}
	fd, err = unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	return fd, sockaddr(to), err
}

// sockaddr is an address for the kernel.
func sockaddr(to netip.AddrPort) unix.Sockaddr {
	if a := to.Addr().Unmap(); a.Is4() {
		return &unix.SockaddrInet4{Port: int(to.Port()), Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
}

// connected is how a connect(2) that was in progress has ended.
func connected(fd int) error {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && n != 0 {
		err = unix.Errno(n)
	}
	return err
}

// addrPort is a socket's address of IPv4 or IPv6.
func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch x := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(x.Addr), uint16(x.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(x.Addr).Unmap(), uint16(x.Port))
	}
	return netip.AddrPort{}
}

// own says whether an address is one of the host's own, and whether there is a route to it
// at all: the kernel sends to its own addresses from these. Nothing is sent for that.
func own(to netip.AddrPort) (own bool, err error) {
	fd, sa, err := socketFor(to, unix.SOCK_DGRAM)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, sa); err != nil {
		return false, err
	}
	from, err := unix.Getsockname(fd)
	if err != nil {
		return false, err
	}
	return addrPort(from).Addr() == to.Addr().Unmap(), nil
}

// reset closes a connection so that its peer learns that it has failed.
func reset(fd int) {
	// Where this fails the peer sees an orderly end, which is all that is left to do.
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	unix.Close(fd)
}
