package gateway

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/policy/network"
)

// socketFor is a non-blocking socket of the family of an address, and that address for
// connect(2) and bind(2).
func socketFor(to netip.AddrPort, kind int) (fd int, sa unix.Sockaddr, err error) {
	family := unix.AF_INET6
	if to.Addr().Unmap().Is4() {
		family = unix.AF_INET
	}
	fd, err = unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	sa = sockaddr(to)
	if zone := to.Addr().Zone(); zone != "" && err == nil {
		six := sa.(*unix.SockaddrInet6)
		if six.ZoneId, err = link(fd, zone); err != nil {
			unix.Close(fd)
			return -1, nil, err
		}
	}
	return fd, sa, err
}

// link is the index of a network interface that a zone names, by its name or by that number: only
// resolv.conf has zones, as in fe80::1%eth0.
func link(fd int, zone string) (uint32, error) {
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	r, err := unix.NewIfreq(zone)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, r)
	}
	if err != nil {
		return 0, fmt.Errorf("find the network interface %q: %w", zone, err)
	}
	return r.Uint32(), nil
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

// nameOf is a socket's own address, or with unix.SYS_GETPEERNAME its peer's. It makes no
// garbage: with that of package unix, 1,000 connections take megabytes.
func nameOf(fd int, call uintptr) (netip.AddrPort, error) {
	var b [unix.SizeofSockaddrInet6]byte
	n := uint32(len(b))
	_, _, errno := unix.Syscall(call, uintptr(fd), uintptr(unsafe.Pointer(&b)), uintptr(unsafe.Pointer(&n)))
	port := binary.BigEndian.Uint16(b[2:])
	switch family := binary.NativeEndian.Uint16(b[:]); {
	case errno != 0:
		return netip.AddrPort{}, errno
	case family == unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:])), port), nil
	case family == unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:])).Unmap(), port), nil
	}
	return netip.AddrPort{}, nil
}

// accept is accept4(2) without the peer's address.
func accept(fd int) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
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
	from, err := nameOf(fd, unix.SYS_GETSOCKNAME)
	if err != nil {
		return false, err
	}
	return from.Addr() == to.Addr().Unmap(), nil
}

// near says whether both ends of a connection are on this machine, as far as their
// addresses tell.
func near(fd int) bool {
	own, err := nameOf(fd, unix.SYS_GETSOCKNAME)
	if err != nil {
		return false
	}
	peer, err := nameOf(fd, unix.SYS_GETPEERNAME)
	if err != nil {
		return false
	}
	a, b := own.Addr(), peer.Addr()
	return a.IsValid() && (a == b || a.IsLoopback() || b.IsLoopback())
}

// nearBuffer is what a socket that is not of TCP may hold to be sent.
const nearBuffer = 256 << 10

// tuneNear makes a connection faster whose other end is on this machine. No packet is lost
// or delayed there, so that the host's congestion control, which may be one that paces (as
// BBR does), only costs time. Every kernel has reno, and every user may choose it. The buffer
// is left to the kernel, which sizes that of TCP by what flows.
func tuneNear(fd int) {
	if unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno") != nil { // a Unix socket
		// Where it fails, data moves more slowly.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, nearBuffer)
	}
}

// nested says whether the launcher itself is in the network of a sandbox of this kind: all
// addresses are its own, and the name server is Resolver.
func nested() bool {
	// Networks for documentation (RFC 5737), of which a host may have one.
	for _, a := range [...]netip.Addr{Resolver, netip.AddrFrom4([4]byte{192, 0, 2, 77}),
		netip.AddrFrom4([4]byte{198, 51, 100, 77}), netip.AddrFrom4([4]byte{203, 0, 113, 77})} {
		if own, err := own(netip.AddrPortFrom(a, dnsPort)); err != nil || !own {
			return false
		}
	}
	return true
}

// fromPool says whether an address is one that stands for a name in such a sandbox.
func fromPool(a netip.Addr) bool {
	b := a.As16()
	v4 := netip.AddrFrom4([4]byte(b[12:]))
	if a.Is6() && inIPv6(v4) != a {
		return false
	}
	n := int64(binary.BigEndian.Uint32(b[12:])) - poolStart
	return n >= 0 && n < poolSize
}

// own is own, in a sandbox of this kind too. There each address is the sandbox's own, by
// which all that is left is to look for those of the loopback.
func (g *Gateway) own(to netip.AddrPort) (bool, error) {
	is, err := own(to)
	a := to.Addr().Unmap()
	if v4 := network.Translated(a); v4 != a { // a translator may be on this machine, or lead back to it
		is, _ = own(netip.AddrPortFrom(v4, to.Port())) // no route: it is another's
		a = v4
	}
	if is && g.nested {
		is = a.IsLoopback() || a == Resolver || a == Resolver6
	}
	return is, err
}

// mayResolve says whether a name that a rule allows may lead to an address. In a sandbox of
// this kind an address of the outer pool stands for whatever the outer policy says.
func (g *Gateway) mayResolve(a netip.Addr, port uint16, own bool) bool {
	return g.nested && fromPool(a) || g.set.Resolved(a, port, own)
}

// keepAlive has the kernel ask an idle peer whether it is still there: what the program
// inside sets for that on its socket ends here. A peer that is gone for ten minutes is lost.
func keepAlive(fd int) {
	// Where it fails, a lost peer is noticed when there is something to send to it.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 60)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 9)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
}

// reset closes a connection so that its peer learns that it has failed.
func reset(fd int) {
	// Where this fails the peer sees an orderly end, which is all that is left to do.
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	unix.Close(fd)
}
