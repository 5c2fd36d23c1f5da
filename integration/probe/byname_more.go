package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// moreByName are attempts of byName:
//
//	open        a socket of that KIND: raw, packet, vsock or ping
//	await       what becomes of a connection to HOST:PORT, of which the server makes an end
//	break       a connection to HOST:PORT that is reset from here
//	stuff       data to HOST:PORT, whose server does not read, until no more is taken
//	many        COUNT connections to HOST:PORT, which stay: HOST:PORT/COUNT
//	again       connections to HOST:PORT, one after the other, until the end
func moreByName() map[string]func(string) error {
	return map[string]func(string) error{"open": openKind, "await": await, "break": breakOff, "stuff": stuff, "many": many,
		"again": again}
}

func openKind(kind string) error {
	families := map[string][3]int{
		"raw": {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP}, "packet": {unix.AF_PACKET, unix.SOCK_DGRAM, 0},
		"vsock": {unix.AF_VSOCK, unix.SOCK_STREAM, 0}, "ping": {unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP},
	}
	f, ok := families[kind]
	if !ok {
		return fmt.Errorf("no kind %q", kind)
	}
	fd, err := unix.Socket(f[0], f[1], f[2])
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func await(to string) error {
	c, err := net.DialTimeout("tcp", to, patience)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "r"); err != nil {
		return err
	}
	_, err = io.ReadAll(c)
	return err
}

func breakOff(to string) error {
	c, err := net.DialTimeout("tcp", to, patience)
	if err != nil {
		return err
	}
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "w"); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil { // the server has it
		return err
	}
	return errors.Join(c.(*net.TCPConn).SetLinger(0), c.Close())
}

// stuff ends well if what is taken is bounded.
func stuff(to string) error {
	c, err := net.DialTimeout("tcp", to, patience)
	if err != nil {
		return err
	}
	defer c.Close()
	const most = 100 << 20
	b := make([]byte, 1<<20)
	for sent := 0; sent < most; {
		c.SetWriteDeadline(time.Now().Add(2 * time.Second))
		n, err := c.Write(b)
		if sent += n; errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("%d bytes are taken of somebody who does not read", most)
}

func many(s string) error {
	to, number, _ := strings.Cut(s, "/")
	count, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	var last net.Conn
	for range count {
		if last, err = net.DialTimeout("tcp", to, patience); err != nil {
			return err
		}
		if _, err := io.WriteString(last, "x"); err != nil {
			return err
		}
	}
	fmt.Println("held")
	_, err = io.Copy(io.Discard, last)
	return err
}

func again(to string) error {
	for {
		c, err := net.DialTimeout("tcp", to, patience)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(c, "x"); err != nil {
			return err
		}
	}
}
