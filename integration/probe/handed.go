package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// handed tries all that a socket of the host's could lead to: FD is it, ADDR a
// TCP and UDP address, PATH and ABSTRACT the names of Unix sockets.
func handed(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("want FD ADDR PATH ABSTRACT")
	}
	fd, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	addr, err := net.ResolveTCPAddr("tcp", args[1])
	if err != nil {
		return err
	}
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return err
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return err
	}
	if err := withTimeout(fd); err != nil {
		return err
	}
	var to []unix.Sockaddr
	switch family {
	case unix.AF_INET:
		sa := &unix.SockaddrInet4{Port: addr.Port}
		copy(sa.Addr[:], addr.IP.To4())
		to = []unix.Sockaddr{sa}
	case unix.AF_INET6:
		sa := &unix.SockaddrInet6{Port: addr.Port}
		copy(sa.Addr[:], addr.IP.To16())
		to = []unix.Sockaddr{sa}
	case unix.AF_UNIX:
		to = []unix.Sockaddr{&unix.SockaddrUnix{Name: args[2]}, &unix.SockaddrUnix{Name: "@" + args[3]}}
	default:
		return fmt.Errorf("family %d", family)
	}
	for i, sa := range to {
		name := [...]string{"", "abstract "}[i]
		if kind == unix.SOCK_STREAM {
			streamTo(fd, name, sa)
		} else {
			datagramTo(fd, name, sa)
		}
	}
	return nil
}

// disconnect makes a socket one that was never connected and does not listen,
// as far as it can be.
func disconnect(fd int) {
	_ = unix.Shutdown(fd, unix.SHUT_RDWR) // it may be neither
	unspec := [16]byte{}                  // AF_UNSPEC is 0
	_, _, _ = unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&unspec[0])), 16)
}

func streamTo(fd int, name string, sa unix.Sockaddr) {
	disconnect(fd)
	say(name+"connect", unix.Connect(fd, sa))
	for _, how := range []struct {
		name string
		send func() error
	}{
		{"sendto", func() error { return unix.Sendto(fd, []byte("x"), unix.MSG_FASTOPEN, sa) }},
		{"sendmsg", func() error { return unix.Sendmsg(fd, []byte("x"), nil, sa, unix.MSG_FASTOPEN) }},
		{"sendmmsg", func() error { return sendmmsg(fd, sa, unix.MSG_FASTOPEN) }},
		{"late", func() error {
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 1); err != nil {
				return err
			}
			if err := unix.Connect(fd, sa); err != nil {
				return err
			}
			_, err := unix.Write(fd, []byte("x"))
			return err
		}},
	} {
		disconnect(fd)
		say(name+how.name+" fastopen", how.send())
	}
	disconnect(fd)
	say(name+"listen", unix.Listen(fd, 1))
}

func datagramTo(fd int, name string, sa unix.Sockaddr) {
	say(name+"sendto", unix.Sendto(fd, []byte("x"), 0, sa))
	say(name+"sendmsg", unix.Sendmsg(fd, []byte("x"), nil, sa, 0))
	say(name+"sendmmsg", sendmmsg(fd, sa, 0))
	say(name+"connect", unix.Connect(fd, sa))
	_, err := unix.Write(fd, []byte("x"))
	say(name+"write", err)
}

// sendmmsg sends one message to an address, by the call for several.
func sendmmsg(fd int, sa unix.Sockaddr, flags int) error {
	raw, err := rawAddress(sa)
	if err != nil {
		return err
	}
	b := []byte("x")
	v := unix.Iovec{Base: &b[0], Len: 1}
	m := struct {
		hdr unix.Msghdr
		n   uint32
	}{hdr: unix.Msghdr{Name: &raw[0], Namelen: uint32(len(raw)), Iov: &v}}
	m.hdr.SetIovlen(1)
	_, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m)), 1, uintptr(flags), 0, 0)
	return errnoOrNil(errno)
}

// rawAddress is an address as the kernel takes it.
func rawAddress(sa unix.Sockaddr) ([]byte, error) {
	port := func(n int) []byte { return []byte{byte(n >> 8), byte(n)} }
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		b := append([]byte{unix.AF_INET, 0}, port(sa.Port)...)
		return append(append(b, sa.Addr[:]...), make([]byte, 8)...), nil
	case *unix.SockaddrInet6:
		b := append(append([]byte{unix.AF_INET6, 0}, port(sa.Port)...), 0, 0, 0, 0)
		return append(append(b, sa.Addr[:]...), 0, 0, 0, 0), nil
	case *unix.SockaddrUnix:
		name := []byte(sa.Name)
		if name[0] == '@' {
			name[0] = 0
			return append([]byte{unix.AF_UNIX, 0}, name...), nil
		}
		return append(append([]byte{unix.AF_UNIX, 0}, name...), 0), nil
	}
	return nil, fmt.Errorf("an address of a kind that is not known")
}

// serve uses sockets of the host's as they are meant to be: it accepts one
// connection on FD, or reads one message, and answers what it was sent.
func serve(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want FD")
	}
	fd, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	if accepts, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && accepts != 0 {
		if err := unix.Listen(fd, 5); err != nil { // as many servers do
			return fmt.Errorf("listen: %w", err)
		}
		if fd, _, err = unix.Accept4(fd, unix.SOCK_CLOEXEC); err != nil {
			return fmt.Errorf("accept: %w", err)
		}
	}
	buf := make([]byte, 512)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if _, err := unix.Write(fd, append([]byte("got "), buf[:n]...)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	fmt.Fprintln(os.Stderr, "served")
	return nil
}
