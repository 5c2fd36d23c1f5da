package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// world is a host with a network, in namespaces of the test's own: a link to a server at
// serverAddr, which serves pages, git repositories, what it is sent and names; and a
// loopback of the host's own with bait.
type world struct {
	mu    sync.Mutex
	names map[string][]string
	asked map[string]int // names
	env   []string       // of sbx, besides the usual

	pages, bait, datagrams, held atomic.Int64
	resets                       atomic.Int64  // connections that were broken off from there
	ended                        chan struct{} // one for each connection that was held
}

const (
	hostAddr   = "203.0.113.1"
	serverAddr = "203.0.113.80"
)

// newWorld puts the calling goroutine, which has to run all that is to be there, into the
// world. The goroutine keeps its thread: both end together. more is served besides.
func newWorld(t *testing.T, more ...func(t *testing.T, w *world)) *world {
	t.Helper()
	runtime.LockOSThread()
	w := &world{asked: map[string]int{}, ended: make(chan struct{}, 20_000), names: map[string][]string{
		"a.example": {serverAddr, "2001:db8::80"}, "six.example": {"2001:db8::80"}, "x.wild.example": {serverAddr},
		"private.example": {"10.9.9.9"}, "rebind.example": {"127.0.0.1"}, "own.example": {hostAddr},
		"metadata.example": {"169.254.169.254"}, "mapped.example": {"::ffff:127.0.0.1"}, "mixed.example": {"127.0.0.1",
			serverAddr}, "gate.evil.example": {serverAddr},
	}}
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("search evil.example\nnameserver "+serverAddr+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(conf, real, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	hosts := filepath.Join(t.TempDir(), "hosts")
	const known = "127.0.0.1 localhost a.example\n" + serverAddr + " Proxy-Here # x\n"
	if err := os.WriteFile(hosts, []byte(known), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(hosts, "/etc/hosts", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	w.elsewhere(t, func(server int) {
		for _, args := range []string{
			"link set lo up", fmt.Sprintf("link add host type veth peer name server netns /proc/self/fd/%d", server),
			"addr add " + hostAddr + "/24 dev host", "addr add 2001:db8::1/64 dev host nodad", "link set host up",
			"route add default via " + serverAddr,
		} {
			ip(t, args, server)
		}
	}, func() {
		for _, args := range []string{
			"link set lo up", "addr add " + serverAddr + "/24 dev server", "addr add 10.9.9.9/32 dev server",
			"addr add 2001:db8::80/64 dev server nodad", "link set server up",
		} {
			ip(t, args, -1)
		}
		w.serve(t, serverAddr)
		for _, serve := range more {
			serve(t, w)
		}
	})
	pages(t, "127.0.0.1:80", &w.bait)
	pages(t, hostAddr+":80", &w.bait)
	return w
}

// onThread has a goroutine run f on a thread of its own, which ends with it, and its
// namespaces with that. It is not the first one, which never ends and is what /proc/self shows.
func onThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		defer runtime.UnlockOSThread()
		done := make(chan struct{})
		onThread(func() {
			defer close(done)
			f()
		})
		<-done
	}()
}

// elsewhere makes another network namespace, has link connect it, and then serve run in it.
func (w *world) elsewhere(t *testing.T, link func(server int), serve func()) {
	t.Helper()
	made, linked, done := make(chan int), make(chan struct{}), make(chan struct{})
	onThread(func() {
		defer close(done)
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			close(made)
			return
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY, 0)
		if err != nil {
			t.Error(err)
			close(made)
			return
		}
		made <- fd
		<-linked
		serve()
	})
	fd, ok := <-made
	if !ok {
		t.FailNow()
	}
	link(fd)
	unix.Close(fd)
	close(linked)
	<-done
	if t.Failed() {
		t.FailNow()
	}
}

// ip is ip(8), with a descriptor that it may name.
func ip(t *testing.T, args string, fd int) {
	t.Helper()
	cmd := exec.Command("ip", strings.Fields(args)...)
	if fd >= 0 {
		cmd.ExtraFiles = make([]*os.File, fd-2)
		cmd.ExtraFiles[fd-3] = os.NewFile(uintptr(dup(t, fd)), "netns")
		defer cmd.ExtraFiles[fd-3].Close()
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("ip %s: %v\n%s", args, err, out)
	}
}

func dup(t *testing.T, fd int) int {
	t.Helper()
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// pages serves "hello" and, below /git/, the repositories of the test.
func pages(t *testing.T, addr string, count *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	git := &cgi.Handler{Path: "/usr/bin/git", Args: []string{"http-backend"}, Root: "/git",
		Env: []string{"GIT_PROJECT_ROOT=" + filepath.Join(base, "git"), "GIT_HTTP_EXPORT_ALL=1", "HOME=/"}}
	s := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		count.Add(1)
		if r.URL.Path == "/away" { // to where clouds hand out credentials
			http.Redirect(rw, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/git/") {
			git.ServeHTTP(rw, r)
			return
		}
		io.WriteString(rw, "hello from "+r.Host+"\n")
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
}

// accept has handle called for each connection to addr.
func accept(t *testing.T, addr string, handle func(*net.TCPConn)) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go handle(c.(*net.TCPConn))
		}
	}()
}

// serve is what the server has: pages at 80, an echo at 7, one that holds connections at 9.
func (w *world) serve(t *testing.T, addr string) {
	t.Helper()
	pages(t, addr+":80", &w.pages)
	pages(t, "[2001:db8::80]:80", &w.pages)
	pages(t, "10.9.9.9:80", &w.pages)
	accept(t, addr+":7", func(c *net.TCPConn) {
		io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
		c.Close()
	})
	accept(t, addr+":9", func(c *net.TCPConn) {
		w.held.Add(1)
		io.Copy(io.Discard, c)
		c.Close()
		w.ended <- struct{}{}
	})
	accept(t, addr+":10", w.breaks)
	accept(t, addr+":11", func(c *net.TCPConn) { // it does not read
		t.Cleanup(func() { c.Close() })
	})
	accept(t, addr+":3128", w.proxy)
	for _, port := range []string{":53", ":5000"} {
		u, err := net.ListenPacket("udp", addr+port)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { u.Close() })
		go func() {
			b := make([]byte, 2000)
			for {
				n, from, err := u.ReadFrom(b)
				if err != nil {
					return
				}
				if port == ":53" {
					u.WriteTo(w.answer(b[:n]), from)
				} else {
					w.datagrams.Add(1)
				}
			}
		}()
	}
}

// breaks resets a connection when it is asked to, or notes that the other side did.
func (w *world) breaks(c *net.TCPConn) {
	defer c.Close()
	b := make([]byte, 1)
	if _, err := io.ReadFull(c, b); err != nil {
		return
	}
	if b[0] == 'r' {
		c.SetLinger(0) // the close is a reset then
		return
	}
	c.Write(b)
	if _, err := c.Read(b); errors.Is(err, unix.ECONNRESET) {
		w.resets.Add(1)
	}
}

// answer is a name server's.
func (w *world) answer(question []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(question) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	name := strings.TrimSuffix(strings.ToLower(q.Name.String()), ".")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[name]++
	m.Response = true
	addrs, ok := w.names[name]
	if !ok {
		m.RCode = dnsmessage.RCodeNameError
	}
	if name == "turning.example" { // another one for each resolver
		m.RCode, addrs = dnsmessage.RCodeSuccess, []string{[]string{serverAddr, "127.0.0.1"}[(w.asked[name]-1)/2%2]}
	}
	h := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}
	for _, s := range addrs {
		a := netip.MustParseAddr(s)
		if a.Is4() && q.Type == dnsmessage.TypeA {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		} else if a.Is6() && q.Type == dnsmessage.TypeAAAA {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	out, _ := m.Pack()
	return out
}

// questions is how often a name was asked for.
func (w *world) questions(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[name]
}

// proxy is an HTTP proxy with a password, to one host alone.
func (w *world) proxy(c *net.TCPConn) {
	defer c.Close()
	b := make([]byte, 4096)
	n, _ := c.Read(b)
	request := string(b[:n])
	switch {
	case !strings.Contains(request, "Proxy-Authorization: Basic dTpw\r\n"):
		io.WriteString(c, "HTTP/1.1 407 who are you\r\n\r\n")
	case strings.HasPrefix(request, "CONNECT behind.example:80 HTTP/1.1\r\n"):
		io.WriteString(c, "HTTP/1.1 200 yes\r\n\r\n")
		if n, _ = c.Read(b); n > 0 {
			io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\nhello from behind\n")
		}
	default:
		io.WriteString(c, "HTTP/1.1 403 no\r\n\r\n")
	}
}

// callers are who sbx is started by in a world.
func callers() map[string]*syscall.SysProcAttr {
	return map[string]*syscall.SysProcAttr{
		"root": nil, "user": {Credential: &syscall.Credential{Uid: testUser, Gid: testUser}},
	}
}
