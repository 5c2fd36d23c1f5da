package integration

import (
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// countStreams listens at the address until the test ends, and counts who
// connects. It returns the address as it came to be. Go's TCP listener speaks
// MPTCP alike.
func countStreams(t *testing.T, network, address string, count *atomic.Int64) string {
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
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			count.Add(1)
			conn.Close()
		}
	}()
	forAll(t, network, address)
	return l.Addr().String()
}

// countDatagrams counts the datagrams that come to the address.
func countDatagrams(t *testing.T, network, address string, count *atomic.Int64) {
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
	go func() {
		buf := make([]byte, 1500)
		for {
			if _, _, err := conn.ReadFrom(buf); err != nil {
				return
			}
			count.Add(1)
		}
	}()
	forAll(t, network, address)
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
