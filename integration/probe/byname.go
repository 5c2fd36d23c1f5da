package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// byName makes attempts to get somewhere by name or address. An attempt is KIND=TARGET:
//
//	tcp, mptcp  a page of the server at HOST:PORT
//	udp         a datagram to ADDRESS:PORT
//	ask, askt   what the name server ADDRESS says of a NAME, by UDP or TCP: ADDRESS/NAME
//	junk        nonsense to the name server ADDRESS, by UDP and by TCP
//	echo        BYTES to HOST:PORT and back, then the end: HOST:PORT/BYTES
//	slow        the same, with pauses
//	idle        COUNT connections to HOST:PORT at once, and then a page: HOST:PORT/COUNT
//	own         a server inside at PORT, and a connection to it
//	flood       COUNT connections to HOST:PORT, whatever comes of them: HOST:PORT/COUNT
//	serve       an echo at PORT for COUNT connections: PORT/COUNT
//	serveu      an echo at a Unix socket, and how many addresses its network has: PATH/COUNT
//	link        a link to a PATH of that NAME, and then it stays: PATH NAME
//	hold        a connection to HOST:PORT, until its end
func byName(args []string) error {
	attempts := map[string]func(string) error{
		"tcp": func(to string) error { return page("tcp", to) }, "mptcp": mptcpPage, "udp": datagram,
		"ask": func(s string) error { return ask("udp", s) }, "askt": func(s string) error { return ask("tcp", s) },
		"junk": junk, "echo": func(s string) error { return echo(s, 0) },
		"slow": func(s string) error { return echo(s, time.Millisecond) }, "idle": idle, "own": ownServer, "hold": hold,
		"serve": serveEcho, "serveu": serveSocket, "link": linkAndStay, "flood": flood,
	}
	maps.Copy(attempts, moreByName())
	for _, a := range args {
		kind, target, _ := strings.Cut(a, "=")
		try := attempts[kind]
		if try == nil {
			return fmt.Errorf("no attempt %q", a)
		}
		err := try(target)
		var unknown *net.DNSError
		if errors.As(err, &unknown) && unknown.IsNotFound {
			err = unix.ENOENT
		}
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			err = unix.ETIMEDOUT
		}
		if err == io.EOF {
			err = unix.ENODATA
		}
		say(a, err)
	}
	return nil
}

const patience = 10 * time.Second

func page(network, to string) error {
	c, err := net.DialTimeout(network, to, patience)
	if err != nil {
		return err
	}
	defer c.Close()
	return askPage(c)
}

func askPage(c net.Conn) error {
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	all, err := io.ReadAll(c)
	if err == nil && !bytes.HasPrefix(all, []byte("HTTP/1.")) {
		return io.EOF
	}
	return err
}

func mptcpPage(to string) error {
	var d net.Dialer
	d.SetMultipathTCP(true)
	c, err := d.Dial("tcp", to)
	if err != nil {
		return err
	}
	defer c.Close()
	return askPage(c)
}

func datagram(to string) error {
	c, err := net.Dial("udp", to)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	_, err = c.Read(make([]byte, 1))
	return err
}

func ask(network, s string) error {
	server, name, _ := strings.Cut(s, "/")
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	}}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := r.LookupHost(ctx, name+".")
	return err
}

func junk(server string) error {
	random := rand.New(rand.NewPCG(1, 2))
	u, err := net.Dial("udp", server)
	if err != nil {
		return err
	}
	defer u.Close()
	for i := range 1000 {
		b := make([]byte, random.IntN(1500))
		for j := range b {
			b[j] = byte(random.Uint32())
		}
		if i%3 == 0 && len(b) > 12 {
			copy(b, []byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		}
		if _, err := u.Write(b); err != nil && !errors.Is(err, unix.ECONNREFUSED) {
			return err
		}
		if i%20 != 0 {
			continue
		}
		c, err := net.DialTimeout("tcp", server, patience)
		if err != nil {
			return err
		}
		c.Write(b) // it may hang up on us at any time
		c.Close()
	}
	return nil
}

// echo sends and receives at the same time. Not all is read before all is sent, so a
// relay has to wait for both sides.
func echo(s string, pause time.Duration) error {
	to, count, _ := strings.Cut(s, "/")
	total, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	c, err := net.DialTimeout("tcp", to, patience)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * patience))
	sent := sha256.New()
	failed := make(chan error, 1)
	go func() {
		b := make([]byte, 100_000)
		random := rand.NewChaCha8([32]byte{1})
		for left := total; left > 0; {
			part := b[:min(left, len(b))]
			random.Read(part)
			sent.Write(part)
			if _, err := c.Write(part); err != nil {
				failed <- err
				return
			}
			left -= len(part)
		}
		failed <- c.(*net.TCPConn).CloseWrite()
	}()
	got, n := sha256.New(), 0
	b := make([]byte, 50_000)
	for {
		m, err := c.Read(b)
		got.Write(b[:m])
		n += m
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		time.Sleep(pause)
	}
	if err := <-failed; err != nil {
		return err
	}
	if n != total || !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
		return fmt.Errorf("%d bytes came back of %d", n, total)
	}
	return nil
}

func idle(s string) error {
	to, number, _ := strings.Cut(s, "/")
	count, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	for range count {
		c, err := net.DialTimeout("tcp", to, patience)
		if err != nil {
			return err
		}
		defer c.Close()
	}
	return page("tcp", to)
}

func ownServer(port string) error {
	l, err := net.Listen("tcp", "localhost:"+port)
	if err != nil {
		return err
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			io.WriteString(c, "HTTP/1.0 200\r\n\r\n")
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	return page("tcp", "localhost:"+port)
}

func flood(s string) error {
	to, number, _ := strings.Cut(s, "/")
	count, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	for range count {
		if c, err := net.DialTimeout("tcp", to, patience); err == nil {
			c.Close()
		} else if !errors.Is(err, unix.ECONNRESET) {
			return err
		}
	}
	return nil
}

func serveEcho(s string) error {
	port, number, _ := strings.Cut(s, "/")
	count, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp4", ":"+port)
	if err != nil {
		return err
	}
	return serveAll(l, count, nil)
}

// serveAll gives so many connections back what they say, and then does something to them.
func serveAll(l net.Listener, count int, then func(net.Conn) error) error {
	fmt.Println("serving")
	for range count {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		if _, err := io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}); err != nil {
			return err
		}
		if then != nil {
			if err := then(c); err != nil {
				return err
			}
		}
		c.Close()
	}
	return nil
}

func serveSocket(s string) error {
	i := strings.LastIndexByte(s, '/')
	count, err := strconv.Atoi(s[i+1:])
	if err != nil {
		return err
	}
	l, err := net.Listen("unix", s[:i])
	if err != nil {
		return err
	}
	return serveAll(l, count, func(c net.Conn) error {
		raw, err := c.(*net.UnixConn).SyscallConn()
		if err != nil {
			return err
		}
		return raw.Control(func(fd uintptr) { fmt.Fprintf(c, " %d", addresses(fd)) })
	})
}

func linkAndStay(s string) error {
	to, name, _ := strings.Cut(s, " ")
	if err := os.Symlink(to, name); err != nil {
		return err
	}
	fmt.Println("serving")
	time.Sleep(time.Minute)
	return nil
}

// addresses is how many addresses of IPv4 the interfaces have of the network that a socket
// belongs to, by SIOCGIFCONF; see netdevice(7).
func addresses(fd uintptr) int {
	const size = 40 // struct ifreq
	var list [64 * size]byte
	conf := struct {
		length int32
		list   *byte
	}{int32(len(list)), &list[0]}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, unix.SIOCGIFCONF, uintptr(unsafe.Pointer(&conf))); errno != 0 {
		return -1
	}
	return int(conf.length) / size
}

func hold(to string) error {
	c, err := net.DialTimeout("tcp", to, patience)
	if err != nil {
		return err
	}
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	fmt.Println("held")
	_, err = io.Copy(io.Discard, c)
	return err
}
