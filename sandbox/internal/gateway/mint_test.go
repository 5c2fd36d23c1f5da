package gateway

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMintFlooded: who fills the queue of the listener that sockets are made from keeps none from being made.
func TestMintFlooded(t *testing.T) {
	for name, c := range map[string]struct {
		family int
		here   netip.Addr
	}{
		"IPv4": {unix.AF_INET, netip.MustParseAddr("127.0.0.1")},
		"IPv6": {unix.AF_INET6, netip.IPv6Loopback()},
	} {
		t.Run(name, func(t *testing.T) {
			open := func() int {
				fd, err := unix.Socket(c.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { unix.Close(fd) })
				return fd
			}
			d := die{seed: open()}
			listener := open()
			if err := unix.Listen(listener, 8); err != nil {
				t.Fatal(err)
			}
			if err := d.begin(listener, c.here); err != nil {
				t.Fatal(err)
			}
			m := mint{four: d, six: d}
			sa, err := unix.Getsockname(d.seed)
			if err != nil {
				t.Fatal(err)
			}
			seed := addrPort(sa)
			bind := func(fd int, at netip.AddrPort) error {
				for _, o := range [...]int{unix.SO_REUSEADDR, unix.SO_REUSEPORT} {
					if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, o, 1); err != nil {
						t.Fatal(err)
					}
				}
				return unix.Bind(fd, sockaddr(at))
			}
			for i := range 32 { // more than the queue holds
				fd := open()
				if c.here.Is4() && i%2 == 0 { // other addresses have the seed's port, too
					at := netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + i)})
					if err := bind(fd, netip.AddrPortFrom(at, seed.Port())); err != nil {
						t.Fatal(err)
					}
				}
				if err := unix.Connect(fd, sockaddr(d.addr)); err != nil && err != unix.EINPROGRESS {
					t.Fatal(err)
				}
			}
			// What is made is of use: it connects to a listener that has nothing to do with the mint.
			other := open()
			if err := unix.Bind(other, sockaddr(netip.AddrPortFrom(c.here, 0))); err != nil {
				t.Fatal(err)
			}
			if err := unix.Listen(other, 8); err != nil {
				t.Fatal(err)
			}
			at, err := unix.Getsockname(other)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				fd, err := m.socket(c.here)
				if err != nil {
					t.Fatal(err)
				}
				defer unix.Close(fd)
				if err := unix.SetNonblock(fd, false); err != nil {
					t.Fatal(err)
				}
				if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 20}); err != nil {
					t.Fatal(err)
				}
				if err := unix.Connect(fd, at); err != nil {
					t.Fatalf("connect what is made: %v", err)
				}
			}
			for _, at := range [...]netip.AddrPort{seed, netip.AddrPortFrom(netip.IPv6Unspecified(), seed.Port())} {
				thief := -1
				if at.Addr().Is4() == c.here.Is4() {
					thief = open()
				} else if thief, err = unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
					t.Fatal(err)
				} else {
					defer unix.Close(thief)
				}
				if err := bind(thief, at); err != unix.EADDRINUSE {
					t.Errorf("bind another socket to %s: %v", at, err)
				}
			}
		})
	}
}
