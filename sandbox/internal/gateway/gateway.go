package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/policy/network"
)

// Gateway accepts what the sandbox sends. One goroutine does all the work; when it ends, or
// the launcher dies, all connections die with it.
type Gateway struct {
	config Config
	set    *network.Set
	names  *answerer
	done   chan struct{}
	// started says that the goroutine was made.
	started bool

	mu     sync.Mutex
	posted []func() // for the goroutine to do
	over   bool     // the goroutine has ended, or is about to
	err    error    // why, if not because of Close
	denied map[Denied]*seen
	news   []Denied // what nobody has been told of yet
	told   int      // a descriptor that can be read when there are news, or -1

	// All that follows is the goroutine's own.
	nested      bool
	epoll, wake int
	ended       bool
	handlers    map[int]handler
	listeners   []*listener
	paused      bool // no listener is polled: there are too many connections
	resume      time.Time
	open, most  int // connections
	ready       []*conn
	dialing     []*conn
	cache       map[string]resolved
	waiting     map[string][]*conn
	pipes       pipes
	mint        mint
	published   []*listener // until there is a way inside
	sockets     []*hostSocket
	tap         *tap    // nil for none
	root        int     // the sandbox's root directory, or -1
	wanting     []*conn // those that wait for a socket of the init's
	buf         []byte
	now         time.Time
	asker       sender // of the question that is answered
}

// handler is what becomes ready.
type handler interface{ handle(events uint32) }

// New is a gateway that is not at work yet.
func New(c *Config) (*Gateway, error) {
	g := &Gateway{
		config: *c, set: network.NewSet(c.Rules), done: make(chan struct{}), denied: map[Denied]*seen{},
		told: -1, epoll: -1, root: -1, handlers: map[int]handler{}, cache: map[string]resolved{}, waiting: map[string][]*conn{},
	}
	var names []string
	for _, r := range c.Rules {
		if r.Name != "" && !r.Below {
			names = append(names, r.Name)
		}
	}
	g.names = &answerer{pool: newPool(g.set, names), ipv6: c.IPv6, hostname: c.Hostname, denied: func(name string) {
		g.deny(Denied{Host: name}, g.asker)
	}}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("ask for the limit on open files: %w", err)
	}
	// Two sockets each, and the rest of the launcher's own.
	g.most = int(min(max(limit.Cur, 256), 16384)-192) / 2
	err := g.publish()
	if err != nil {
		return nil, errors.Join(err, g.closeAll())
	}
	if g.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, errors.Join(fmt.Errorf("make an epoll descriptor: %w", err), g.closeAll())
	}
	if g.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
		err = g.watch(g.wake, unix.EPOLLIN, g)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make an event descriptor: %w", err), g.closeAll())
	}
	return g, nil
}

// Add takes over a socket of the sandbox's network, as Catch sends it. With the first one
// the work begins.
func (g *Gateway) Add(kind byte, fd int) error {
	if !g.started {
		g.started = true
		g.buf = make([]byte, 64<<10)
		go g.run()
	}
	switch kind {
	case kindTCP:
		g.post(func() { g.listen(&listener{fd: fd}) })
	case kindUDP:
		g.post(func() {
			g.failIf(g.watch(fd, unix.EPOLLIN, &questions{g, fd}))
		})
	case kindSeed, kindSeed6, kindMint, kindMint6:
		g.post(func() { g.mint.add(kind, fd, g) })
	case kindTap:
		g.post(func() {
			g.tap = &tap{g, fd}
			g.failIf(g.watch(fd, unix.EPOLLIN, g.tap))
		})
	case kindRoot:
		g.post(func() { g.takeRoot(fd) })
	case step.KindSocket:
		g.post(func() { g.gotSocket(fd) })
	default:
		return fmt.Errorf("unknown kind of socket %q", kind)
	}
	return nil
}

// Close ends all connections, and says why the work had ended before, if it had.
func (g *Gateway) Close() error {
	defer func() {
		g.mu.Lock()
		unix.Close(g.told)
		g.told = -1
		g.mu.Unlock()
	}()
	if !g.started {
		close(g.done)
		return g.closeAll()
	}
	g.post(func() { g.ended = true })
	<-g.done
	return g.err
}

// post has the goroutine do something.
func (g *Gateway) post(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return // and the descriptor is closed
	}
	g.posted = append(g.posted, f)
	_, _ = unix.Write(g.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // full: it is awake
}

// handle does what was posted.
func (g *Gateway) handle(uint32) {
	var b [8]byte
	_, _ = unix.Read(g.wake, b[:]) // empty: nothing was posted since
	g.mu.Lock()
	list := g.posted
	g.posted = nil
	g.mu.Unlock()
	for _, f := range list {
		f()
	}
}

// failIf ends the work for an error, if there is one, that leaves no other way.
func (g *Gateway) failIf(err error) {
	if err == nil {
		return
	}
	g.mu.Lock()
	if g.err == nil {
		g.err = fmt.Errorf("connect the sandbox to its hosts: %w", err)
	}
	g.mu.Unlock()
	g.ended = true
}

// watch has handler called when something of events comes. The handlers are by descriptor:
// each is watched until it is closed, by close.
func (g *Gateway) watch(fd int, events uint32, h handler) error {
	g.handlers[fd] = h
	return unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// forget is called before a descriptor is closed.
func (g *Gateway) forget(fd int) { delete(g.handlers, fd) }

// run is the goroutine.
func (g *Gateway) run() {
	defer close(g.done)
	defer func() {
		if g.tap != nil {
			g.tap.look(maxDenied) // what has come since
		}
		g.failIf(g.closeAll())
	}()
	g.nested = nested()
	events := make([]unix.EpollEvent, 128)
	for !g.ended {
		n, err := unix.EpollWait(g.epoll, events, g.timeout())
		if err != nil && err != unix.EINTR {
			g.failIf(err)
			return
		}
		g.now = time.Now()
		for _, e := range events[:max(n, 0)] {
			// One that was closed for an earlier event has no handler, or another
			// that looks for itself what is ready.
			if h := g.handlers[int(e.Fd)]; h != nil {
				h.handle(e.Events)
			}
		}
		g.pumpReady()
		g.expire()
	}
}

// timeout is how long to wait at most, in milliseconds.
func (g *Gateway) timeout() int {
	if len(g.ready) > 0 {
		return 0
	}
	next := g.resume
	for _, c := range g.dialing {
		if next.IsZero() || c.deadline.Before(next) {
			next = c.deadline
		}
	}
	if next.IsZero() {
		return -1
	}
	return max(0, int(time.Until(next).Milliseconds())+1)
}

// expire does what is due.
func (g *Gateway) expire() {
	if !g.resume.IsZero() && !g.now.Before(g.resume) {
		g.resume = time.Time{}
		g.pause(false)
	}
	for _, c := range slices.Clone(g.dialing) {
		if !g.now.Before(c.deadline) {
			c.expired()
		}
	}
}

func (g *Gateway) closeAll() error {
	g.mu.Lock()
	g.over = true
	g.mu.Unlock()
	for fd := range g.handlers {
		reset(fd)
	}
	for _, l := range g.published {
		unix.Close(l.fd)
	}
	g.mint.close()
	g.pipes.closeAll()
	if g.root >= 0 {
		unix.Close(g.root)
	}
	if g.epoll >= 0 {
		unix.Close(g.epoll)
	}
	return g.removeSockets()
}

// listener is one that the sandbox's connections come to.
type listener struct {
	g  *Gateway
	fd int
	// inner or innerPath is the port or the socket inside that what comes from the host is
	// led to. For connections of the sandbox's own it is 0 and "".
	inner     uint16
	innerPath string
}

func (g *Gateway) listen(l *listener) {
	l.g = g
	g.listeners = append(g.listeners, l)
	g.failIf(g.watch(l.fd, g.listenEvents(), l))
}

func (g *Gateway) listenEvents() uint32 {
	if g.paused {
		return 0
	}
	return unix.EPOLLIN
}

// pause stops to accept, or goes on. What is not accepted waits in the kernel's queue, as
// long as that is.
func (g *Gateway) pause(paused bool) {
	if g.paused == paused {
		return
	}
	g.paused = paused
	for _, l := range g.listeners {
		e := unix.EpollEvent{Events: g.listenEvents(), Fd: int32(l.fd)}
		g.failIf(unix.EpollCtl(g.epoll, unix.EPOLL_CTL_MOD, l.fd, &e))
	}
}

// handle accepts what is there, but not for ever.
func (l *listener) handle(uint32) {
	g := l.g
	for range 64 {
		if g.open >= g.most {
			g.pause(true)
			return
		}
		fd, err := accept(l.fd)
		switch err {
		case nil:
			g.accepted(l, fd)
		case unix.EAGAIN:
			return
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			g.pause(true)
			g.resume = g.now.Add(100 * time.Millisecond)
			return
		default: // it is gone before we had it, as accept(2) lists
		}
	}
}

// accepted decides what becomes of a connection.
func (g *Gateway) accepted(l *listener, fd int) {
	g.open++
	if l.inner != 0 || l.innerPath != "" {
		g.inward(l, fd)
		return
	}
	wanted, err := nameOf(fd, unix.SYS_GETSOCKNAME)
	if err != nil {
		g.open--
		reset(fd)
		return
	}
	c := &conn{g: g, in: end{fd: fd}, out: end{fd: -1}}
	to, port := wanted.Addr(), wanted.Port()
	name, named := g.names.pool.name(to)
	switch {
	case named && g.set.Name(name, port):
		c.name, c.host, c.port = name, name, port
	case !named && g.reaches(wanted):
		c.addrs, c.host, c.port = []netip.Addr{to}, to.String(), port
	case port == dnsPort:
		c.questions()
		return
	default:
		d := Denied{Host: name, Port: port}
		if !named {
			d.Host = to.String()
		}
		if named || !to.IsLoopback() { // nobody listens at that port of the sandbox's own
			g.deny(d, sender{})
		}
		c.abort()
		return
	}
	if err := g.watch(fd, streamEvents, &c.in); err != nil {
		c.abort()
		return
	}
	c.in.conn = c
	if c.name != "" {
		c.resolve()
		return
	}
	c.route()
}

// reaches says whether a rule about addresses allows one.
func (g *Gateway) reaches(to netip.AddrPort) bool {
	if g.set.Addr(to.Addr(), to.Port(), true) {
		return true
	}
	if !g.set.Addr(to.Addr(), to.Port(), false) {
		return false
	}
	own, err := g.own(to)
	return err == nil && !own
}
