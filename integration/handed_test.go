package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// handedSocket is a socket that a service manager, an inetd or a caller hands
// over, made in the host's network.
type handedSocket struct {
	name                   string
	family, kind, protocol int
	// bound is where it is bound to, listens and connected what becomes of it.
	bound     unix.Sockaddr
	listens   bool
	connected bool
}

// open makes it, and the socket of its peer or the one that its peer would
// come to, if it has one.
func (s handedSocket) open(t *testing.T) (f *os.File, peer int) {
	t.Helper()
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
	}
	if s.family == unix.AF_UNIX && s.connected {
		pair, err := unix.Socketpair(s.family, s.kind|unix.SOCK_CLOEXEC, 0)
		fatal(err)
		t.Cleanup(func() { unix.Close(pair[1]) })
		return os.NewFile(uintptr(pair[0]), s.name), pair[1]
	}
	fd, err := unix.Socket(s.family, s.kind|unix.SOCK_CLOEXEC, s.protocol)
	fatal(err)
	if s.bound != nil {
		fatal(unix.Bind(fd, s.bound))
	}
	if s.listens {
		fatal(unix.Listen(fd, 5))
	}
	if s.connected {
		peer, err = unix.Socket(s.family, s.kind|unix.SOCK_CLOEXEC, s.protocol)
		fatal(err)
		t.Cleanup(func() { unix.Close(peer) })
		fatal(unix.Bind(peer, s.bound))
		if s.kind == unix.SOCK_STREAM {
			fatal(unix.Listen(peer, 5))
		}
		to, err := unix.Getsockname(peer)
		fatal(err)
		fatal(unix.Connect(fd, to))
	}
	return os.NewFile(uintptr(fd), s.name), peer
}

// handedSockets are of all kinds. The IPv6 ones take IPv4 in as well.
func handedSockets() []handedSocket {
	v4, v6 := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, &unix.SockaddrInet6{}
	const mptcp = 262
	return []handedSocket{
		{name: "TCP listener", family: unix.AF_INET, kind: unix.SOCK_STREAM, bound: v4, listens: true},
		{name: "TCP listener, IPv6", family: unix.AF_INET6, kind: unix.SOCK_STREAM, bound: v6, listens: true},
		{name: "TCP connection", family: unix.AF_INET, kind: unix.SOCK_STREAM, bound: v4, connected: true},
		{name: "TCP connection, IPv6", family: unix.AF_INET6, kind: unix.SOCK_STREAM, bound: v6, connected: true},
		{name: "unbound TCP", family: unix.AF_INET, kind: unix.SOCK_STREAM},
		{name: "MPTCP listener", family: unix.AF_INET, kind: unix.SOCK_STREAM, protocol: mptcp, bound: v4, listens: true},
		{name: "UDP", family: unix.AF_INET, kind: unix.SOCK_DGRAM, bound: v4},
		{name: "UDP, IPv6", family: unix.AF_INET6, kind: unix.SOCK_DGRAM, bound: v6},
		{name: "connected UDP", family: unix.AF_INET, kind: unix.SOCK_DGRAM, bound: v4, connected: true},
		{name: "Unix stream", family: unix.AF_UNIX, kind: unix.SOCK_STREAM},
		{name: "connected Unix stream", family: unix.AF_UNIX, kind: unix.SOCK_STREAM, connected: true},
		{name: "Unix datagrams", family: unix.AF_UNIX, kind: unix.SOCK_DGRAM},
		{name: "connected Unix datagrams", family: unix.AF_UNIX, kind: unix.SOCK_DGRAM, connected: true},
	}
}

// handOver are ways to hand fd 3 of a command line over to the target, and the
// number that it has inside.
var handOver = []struct{ name, script, inside string }{
	{"kept", `exec "$0" --keep-fd 3 "$@"`, "3"},
	{"of the manager", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"`, "3"},
	{"standard input", `exec "$0" "$@" <&3 3>&-`, "0"},
}

// TestHandedSockets: a socket that is handed over belongs to the host's network
// and leads nowhere there, whatever the target makes of it: by Landlock, and by
// the filters that stand in for it.
func TestHandedSockets(t *testing.T) {
	b, u := layBait(t, "handed"), layUnixBait(t, "handed")
	noLandlock := ownPolicyFile(t, "extends = [\"default\"]\n[process]\nlandlock = \"off\"")
	for _, s := range handedSockets() {
		name := func(fd string) []string {
			if s.kind == unix.SOCK_STREAM {
				return []string{"handed", fd, mapped(s, b.addr), u.stream, b.abstract}
			}
			return []string{"handed", fd, mapped(s, b.addr), u.dgram, u.abstract}
		}
		came := func() string {
			tcp, udp, abstract := b.came()
			return fmt.Sprint(tcp, udp, abstract, u.count())
		}
		// On the host it gets out, or the rest shows nothing. A Unix stream that
		// is connected is so for good.
		before := came()
		f, _ := s.open(t)
		r := run(t, call{args: append([]string{binary("probe")}, name("3")...), dir: t.TempDir(), files: []*os.File{f}})
		r.want(t, 0)
		f.Close()
		if fixed := s.family == unix.AF_UNIX && s.kind == unix.SOCK_STREAM && s.connected; (came() != before) == fixed {
			t.Fatalf("%s on the host: %v", s.name, r)
		}
		for _, policy := range []string{"default", noLandlock} {
			for _, how := range handOver {
				before := came()
				f, _ := s.open(t)
				args := []string{"/bin/sh", "-c", how.script, binary("sbx"), "--policy", policy, "--read", u.dir,
					"--read", binary("probe"), "--", binary("probe")}
				r := run(t, call{args: append(args, name(how.inside)...), dir: t.TempDir(), files: []*os.File{f}})
				f.Close()
				at := fmt.Sprintf("%s, %s, policy %s", s.name, how.name, filepath.Base(policy))
				if r.status != 0 || len(r.answers()) < 5 {
					t.Errorf("%s: %v", at, r)
				}
				for what, said := range r.answers() {
					// What is sent without an address goes to the peer that it had.
					if said == "ok" && what != "listen" && !(s.connected && strings.HasSuffix(what, "write")) {
						t.Errorf("%s: %s: ok", at, what)
					}
				}
				if listens := r.answers()["listen"] == "ok"; s.family != unix.AF_UNIX && listens != s.listens {
					t.Errorf("%s: to listen: %v", at, r)
				}
				if now := came(); now != before {
					t.Errorf("%s: %s came, and before %s\n%v", at, now, before, r)
				}
			}
		}
	}
}

// mapped is the address as the socket's family writes it.
func mapped(s handedSocket, addr string) string {
	if s.family != unix.AF_INET6 {
		return addr
	}
	_, port, _ := strings.Cut(addr, ":")
	return "[::ffff:127.0.0.1]:" + port
}

// TestHandedSocketsServe: what such a socket is handed over for, it can be used
// for, under a policy without network.
func TestHandedSocketsServe(t *testing.T) {
	noLandlock := ownPolicyFile(t, "extends = [\"default\"]\n[process]\nlandlock = \"off\"")
	for _, policy := range []string{"default", "project", noLandlock} {
		for _, s := range handedSockets() {
			if !s.listens && !s.connected {
				continue
			}
			for _, how := range handOver {
				f, peer := s.open(t)
				at := fmt.Sprintf("%s, %s, policy %s", s.name, how.name, filepath.Base(policy))
				answer := make(chan string, 1)
				go func() { answer <- askHanded(s, f, peer) }()
				r := run(t, call{args: []string{"/bin/sh", "-c", how.script, binary("sbx"), "--policy", policy,
					"--read", binary("probe"), "--", binary("probe"), "serve", how.inside},
					dir: t.TempDir(), files: []*os.File{f}})
				if r.status != 0 {
					t.Fatalf("%s: %v", at, r)
				}
				if got := <-answer; got != "got hello" {
					t.Errorf("%s: the answer is %q", at, got)
				}
				f.Close()
				note := "sbx: note: descriptor " + how.inside + " is a socket of the host: refused are "
				if s.family != unix.AF_UNIX && !strings.Contains(r.stderr, note) {
					t.Errorf("%s: nothing is said of what is closed: %v", at, r)
				}
			}
		}
	}
}

// askHanded says hello to whoever has the socket, and gives the answer.
func askHanded(s handedSocket, f *os.File, peer int) string {
	fd := peer
	raw, err := f.SyscallConn()
	if err != nil {
		return err.Error()
	}
	var own unix.Sockaddr
	if e := raw.Control(func(fd uintptr) { own, err = unix.Getsockname(int(fd)) }); e != nil || err != nil {
		return fmt.Sprint(e, err)
	}
	switch {
	case s.listens:
		if fd, err = unix.Socket(s.family, s.kind|unix.SOCK_CLOEXEC, 0); err == nil {
			defer unix.Close(fd)
			err = unix.Connect(fd, own)
		}
	case s.family == unix.AF_UNIX:
	case s.kind == unix.SOCK_STREAM:
		if fd, _, err = unix.Accept4(peer, unix.SOCK_CLOEXEC); err == nil {
			defer unix.Close(fd)
		}
	default:
		err = unix.Connect(peer, own)
	}
	if err == nil {
		_, err = unix.Write(fd, []byte("hello"))
	}
	buf := make([]byte, 100)
	n := 0
	if err == nil {
		n, err = unix.Read(fd, buf)
	}
	if err != nil {
		return err.Error()
	}
	return string(buf[:n])
}
