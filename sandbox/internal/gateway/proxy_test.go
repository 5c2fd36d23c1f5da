package gateway

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestProxyAnswers: an answer may come in parts; one that is cut short is not waited for, and
// one that is no success lets nothing through.
func TestProxyAnswers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nX: y\r\n\r\n"
	for _, c := range []struct {
		answer       string
		ending       bool
		done, failed bool
	}{
		{ok, false, true, false}, {ok, true, true, false}, {"HTTP/1.0 200\r\n\r\n", false, true, false},
		{ok[:20], false, false, false}, {ok[:20], true, false, true}, {"", false, false, false},
		{"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", false, false, true},
		{"HTTP/1.1 407 No\r\n\r\n", false, false, true}, {"HTTP/2 200\r\n\r\n", false, false, true},
		{"220 smtp\r\n\r\n", false, false, true}, {string(make([]byte, maxHello)), false, false, true},
	} {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(fds[1], []byte(c.answer)); err != nil {
			t.Fatal(err)
		}
		h := (&Proxy{}).hello("a.com", 443)
		done, err := h.exchange(fds[0], c.ending)
		if done != c.done || (err != nil) != c.failed {
			t.Errorf("%.40q, ending %v: %v, %v", c.answer, c.ending, done, err)
		}
		unix.Close(fds[0])
		unix.Close(fds[1])
	}
}
