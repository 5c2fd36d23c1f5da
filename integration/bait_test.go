package integration

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// counter counts who comes to some listeners.
type counter struct {
	came   atomic.Int64
	knocks []func() // one for each listener
}

// count is how many have come. Listeners take in order, so when a knock of the
// test's own has been taken, all that came before it are counted.
func (c *counter) count() int64 {
	for _, knock := range c.knocks {
		knock()
	}
	return c.came.Load()
}

// knocker is where a test's own knocks come from. Nobody inside can have that
// address by chance.
func knocker(network string) net.Addr {
	switch network {
	case "tcp":
		return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 77)}
	case "udp":
		return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 77)}
	}
	return &net.UnixAddr{Net: network, Name: fmt.Sprintf("@sbx-knock-%d-%d", os.Getpid(), knocks.Add(1))}
}

var knocks atomic.Int64

// fromKnocker says whether that is where a knock came from.
func fromKnocker(a net.Addr) bool {
	return a != nil && (strings.HasPrefix(a.String(), "127.0.0.77:") ||
		strings.HasPrefix(a.String(), fmt.Sprintf("@sbx-knock-%d-", os.Getpid())))
}

// listens adds a listener at an address: next takes who comes and says where
// from, until there is an error.
func (c *counter) listens(t *testing.T, at net.Addr, next func() (net.Addr, error)) {
	t.Helper()
	taken := make(chan struct{}, 1)
	go func() {
		for {
			from, err := next()
			switch {
			case err != nil:
				return
			case fromKnocker(from):
				taken <- struct{}{}
			default:
				c.came.Add(1)
			}
		}
	}()
	c.knocks = append(c.knocks, func() {
		t.Helper()
		d := net.Dialer{LocalAddr: knocker(at.Network())}
		conn, err := d.Dial(at.Network(), at.String())
		if err != nil {
			t.Fatalf("knock at %s: %v", at, err)
		}
		defer conn.Close()
		if strings.HasPrefix(at.Network(), "unixgram") || at.Network() == "udp" {
			if _, err := conn.Write([]byte{0}); err != nil {
				t.Fatalf("knock at %s: %v", at, err)
			}
		}
		select {
		case <-taken:
		case <-time.After(patient(10 * time.Second)):
			t.Fatalf("nobody takes what comes to %s", at)
		}
	})
}

// streams listens at the address until the test ends, and counts who connects.
// It returns the address as it came to be. Go's TCP listener speaks MPTCP
// alike.
func (c *counter) streams(t *testing.T, network, address string) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	forAll(t, network, address)
	c.listens(t, l.Addr(), func() (net.Addr, error) {
		conn, err := l.Accept()
		if err != nil {
			return nil, err
		}
		conn.Close()
		return conn.RemoteAddr(), nil
	})
	return l.Addr().String()
}

// datagrams counts the datagrams that come to the address.
func (c *counter) datagrams(t *testing.T, network, address string) {
	t.Helper()
	conn, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	forAll(t, network, address)
	buf := make([]byte, 1500)
	c.listens(t, conn.LocalAddr(), func() (net.Addr, error) {
		_, from, err := conn.ReadFrom(buf)
		return from, err
	})
}

// forAll lets everybody call a Unix socket that has a path.
func forAll(t *testing.T, network, address string) {
	t.Helper()
	if strings.HasPrefix(network, "unix") && !strings.HasPrefix(address, "@") {
		if err := os.Chmod(address, 0o777); err != nil {
			t.Fatal(err)
		}
	}
}
