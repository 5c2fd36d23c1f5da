package gateway

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestNear: the host's congestion control does not slow a connection down that stays on the
// machine, and remains that of all others.
func TestNear(t *testing.T) {
	in, peer := loopbackPair(t)
	out, outPeer := loopbackPair(t)
	far := tcpSocket(t) // not connected, so nobody near is at its other end
	usual, buffer := congestion(t, far), sendBuffer(t, in)
	for _, fd := range [...]int{in, out, far} {
		// Every kernel has reno, which may be the host's own choice: start with another one, if
		// there is one that any user may choose.
		for _, other := range [...]string{"bbr", "cubic"} {
			if unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, other) == nil {
				usual = other
				break
			}
		}
	}
	for _, c := range [...]struct {
		out  int
		want string
	}{{far, usual}, {out, "reno"}} {
		g := &Gateway{}
		x := &conn{g: g, in: end{fd: in}, out: end{fd: c.out}}
		x.talk()
		if got := congestion(t, in); got != "reno" {
			t.Errorf("inside it is %s", got)
		}
		if got := congestion(t, c.out); got != c.want {
			t.Errorf("on the host it is %s, not %s", got, c.want)
		}
	}
	if got := sendBuffer(t, in); got != buffer {
		t.Errorf("the buffer has %d bytes and not the kernel's %d", got, buffer)
	}
	for _, fd := range [...]int{in, peer, out, outPeer, far} {
		unix.Close(fd)
	}
	sockets := pair(t) // as of one that a policy leads to inside
	tuneNear(sockets[0])
	if got := sendBuffer(t, sockets[0]); got < nearBuffer/2 {
		t.Errorf("a Unix socket has %d bytes", got)
	}
	unix.Close(sockets[0])
	unix.Close(sockets[1])
}

func tcpSocket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// loopbackPair is a connection by TCP, from both sides.
func loopbackPair(t *testing.T) (int, int) {
	t.Helper()
	l, c := tcpSocket(t), tcpSocket(t)
	defer unix.Close(l)
	err := unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if err == nil {
		err = unix.Listen(l, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	to, err := unix.Getsockname(l)
	if err == nil {
		err = unix.Connect(c, to)
	}
	if err != nil {
		t.Fatal(err)
	}
	fd, err := accept(l)
	if err != nil {
		t.Fatal(err)
	}
	return fd, c
}

func congestion(t *testing.T, fd int) string {
	t.Helper()
	s, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sendBuffer(t *testing.T, fd int) int {
	t.Helper()
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
