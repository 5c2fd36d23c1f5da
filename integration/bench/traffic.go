package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The traffic of the comparison of networks. The server reads a byte that says what is to
// come: data that it discards and acknowledges at its end, or single bytes that it sends
// back. The client, which the bench starts in each network as itself, prints what it took.
const (
	trafficData = 'd'
	trafficEcho = 'e'
)

const pieceSize = 128 << 10

// serveTraffic accepts until the listener is closed.
func serveTraffic(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			var kind [1]byte
			if _, err := io.ReadFull(c, kind[:]); err != nil {
				return
			}
			buf := make([]byte, pieceSize)
			if kind[0] == trafficEcho {
				buf = buf[:1]
			}
			for {
				n, err := c.Read(buf)
				if err != nil {
					break
				}
				if kind[0] == trafficEcho {
					if _, err := c.Write(buf[:n]); err != nil {
						return
					}
				}
			}
			c.Write([]byte("x")) // to one that has hung up this fails
		}()
	}
}

// traffic is the server, which prints its port, or the client: ADDRESS WHAT COUNT. That
// prints nanoseconds.
func traffic(args []string) error {
	if len(args) == 1 && args[0] == "serve" {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		fmt.Println(l.Addr().(*net.TCPAddr).Port)
		serveTraffic(l)
		return nil
	}
	if args = args[1:]; len(args) != 3 {
		return errors.New("the client takes an address, what to do and how much of it")
	}
	addr, what := args[0], args[1]
	count, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	var took time.Duration
	switch {
	case what == "echo":
		took, err = echoes(addr, count)
	case what == "idle":
		return idle(addr, count)
	case strings.HasPrefix(what, "streams"):
		n, bad := strconv.Atoi(what[len("streams"):])
		if bad != nil {
			return bad
		}
		took, err = streams(addr, n, count)
	default:
		err = fmt.Errorf("nothing is called %q", what)
	}
	if err == nil {
		fmt.Println(took.Nanoseconds())
	}
	return err
}

func open(addr string, kind byte) (net.Conn, error) {
	var c net.Conn
	var err error
	for range 100 { // slirp4netns needs a moment
		if c, err = net.DialTimeout("tcp", addr, 5*time.Second); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return nil, err
	}
	_, err = c.Write([]byte{kind})
	return c, err
}

// streams sends so many megabytes altogether, by n connections.
func streams(addr string, n, megabytes int) (time.Duration, error) {
	conns := make([]net.Conn, n)
	for i := range conns {
		var err error
		if conns[i], err = open(addr, trafficData); err != nil {
			return 0, err
		}
	}
	start := time.Now()
	errs := make([]error, n)
	var all sync.WaitGroup
	for i, c := range conns {
		all.Go(func() {
			piece := make([]byte, pieceSize)
			for range megabytes << 20 / pieceSize / n {
				if _, err := c.Write(piece); err != nil {
					errs[i] = err
					return
				}
			}
			err := c.(*net.TCPConn).CloseWrite()
			_, end := io.ReadFull(c, piece[:1])
			errs[i] = errors.Join(err, end)
		})
	}
	all.Wait()
	return time.Since(start), errors.Join(errs...)
}

// echoes sends a byte and waits for it, so many times.
func echoes(addr string, count int) (time.Duration, error) {
	c, err := open(addr, trafficEcho)
	if err != nil {
		return 0, err
	}
	b := []byte{0}
	start := time.Now()
	for range count {
		if _, err := c.Write(b); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(c, b); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// idle opens connections, says so, and waits until its stdin ends.
func idle(addr string, count int) error {
	for range count {
		c, err := open(addr, trafficEcho)
		if err != nil {
			return err
		}
		defer c.Close()
		b := []byte{0}
		if _, err := c.Write(b); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, b); err != nil {
			return err
		}
	}
	fmt.Println("open")
	var b [1]byte
	if _, err := os.Stdin.Read(b[:]); err != io.EOF {
		return err
	}
	return nil
}
