package main

import (
	"fmt"
	"net"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ports tries every way to a port: PORT is one that listens on 127.0.0.1 and
// may be connected to, OTHER one that listens and may not; BIND is free and
// may be bound, BINDOTHER is free and may not.
func ports(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("want PORT OTHER BIND BINDOTHER")
	}
	var n [4]int
	for i, s := range args {
		var err error
		if n[i], err = strconv.Atoi(s); err != nil {
			return err
		}
	}
	at := func(port int) *unix.SockaddrInet4 {
		return &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	}
	at6 := func(port int) *unix.SockaddrInet6 {
		return &unix.SockaddrInet6{Port: port, Addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}}
	}
	for i, name := range []string{"named", "other"} {
		say(name+" tcp", dial(unix.AF_INET, unix.SOCK_STREAM, 0, at(n[i])))
		say(name+" tcp6", dial(unix.AF_INET6, unix.SOCK_STREAM, 0, at6(n[i])))
		say(name+" mptcp", dial(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP, at(n[i])))
		say(name+" sctp", dial(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP, at(n[i])))
		say(name+" smc", open(unix.AF_SMC, unix.SOCK_STREAM, 0))
		say(name+" udp", send(unix.AF_INET, unix.SOCK_DGRAM, 0, 0, at(n[i])))
		say(name+" raw", open(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_TCP))
		say(name+" sendto fastopen", send(unix.AF_INET, unix.SOCK_STREAM, 0, unix.MSG_FASTOPEN, at(n[i])))
		say(name+" sendmsg fastopen", sendmsgFastOpen(at(n[i]), false))
		say(name+" sendmmsg fastopen", sendmsgFastOpen(at(n[i]), true))
		say(name+" connect fastopen", connectFastOpen(at(n[i])))
	}
	for i, name := range []string{"named", "other"} {
		say(name+" bind", bindTo(at(n[2+i])))
		say(name+" bind6", func() error {
			l, err := net.Listen("tcp", net.JoinHostPort("::1", args[2+i])) // and so by MPTCP, which falls back
			if err == nil {
				l.Close()
			}
			return err
		}())
	}
	say("bind any", bindTo(at(0)))
	say("listen unbound", func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Listen(fd, 1)
	}())
	return nil
}

func bindTo(sa unix.Sockaddr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Bind(fd, sa)
}

// sendmsgFastOpen connects by sending, with sendmsg(2) or sendmmsg(2).
func sendmsgFastOpen(sa *unix.SockaddrInet4, many bool) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := withTimeout(fd); err != nil {
		return err
	}
	if !many {
		return unix.Sendmsg(fd, []byte("probe"), nil, sa, unix.MSG_FASTOPEN)
	}
	name := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: sa.Addr, Port: uint16(sa.Port)<<8 | uint16(sa.Port)>>8}
	data := []byte("probe")
	iov := unix.Iovec{Base: &data[0], Len: uint64(len(data))}
	msg := struct {
		unix.Msghdr
		sent uint32
		_    uint32
	}{Msghdr: unix.Msghdr{Name: (*byte)(unsafe.Pointer(&name)), Namelen: unix.SizeofSockaddrInet4, Iov: &iov, Iovlen: 1}}
	_, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), 1, unix.MSG_FASTOPEN, 0, 0)
	return errnoOrNil(errno)
}

// connectFastOpen connects by a write after a connect that did nothing.
func connectFastOpen(sa unix.Sockaddr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 1); err != nil {
		return err
	}
	if err := unix.Connect(fd, sa); err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte("probe"))
	return err
}
