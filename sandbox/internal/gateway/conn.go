package gateway

import (
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"sbx/policy/network"
)

// streamEvents are the events of a connection's sockets: all, and each once, until there is
// something new.
const streamEvents = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// end is one of a connection's two sockets.
type end struct {
	conn *conn
	fd   int
	// readable and writable say that it was not seen otherwise yet. ending says that the
	// peer has closed or failed: what it sent before is read to its end.
	readable, writable, ending bool
}

// conn is one connection of the sandbox's, and the one that it is led to.
type conn struct {
	g       *Gateway
	in, out end
	flows   [2]flow // from in to out, and back
	state   state
	queued  bool // in g.ready

	name     string // "" where an address was wanted
	host     string // the name or the address
	port     uint16
	addrs    []netip.Addr // still to be tried
	deadline time.Time
	hello    *hello // with a proxy, until that has let us through
	asked    *stream
	inner    uint16 // the port inside that this one comes to, from the host
	giveUp   time.Time
	// innerPath is the socket inside that this one comes to, from the host.
	innerPath string
	why       error // of the last address that was tried
}

type state byte

const (
	resolving state = iota
	dialing
	greeting // the proxy
	talking
	closed
)

// How long a connection to one address may take to be made: shorter where there are others.
const (
	dialTime  = 30 * time.Second
	shortTime = 5 * time.Second
)

// resolve asks for the name's addresses, or takes what is known.
func (c *conn) resolve() {
	g := c.g
	if g.config.Proxy.carries(c.name) {
		c.route()
		return
	}
	g.lookup(c.name, c)
}

// lookup has c.addresses called with what a name has.
func (g *Gateway) lookup(name string, c *conn) {
	known, find := name, resolve
	if c.hello != nil { // the same name may be on the list, and have other addresses
		known, find = "proxy "+name, resolveProxy
	}
	if r, ok := g.cache[known]; ok && g.now.Before(r.until) {
		c.resolved(r)
		return
	}
	waiting, asked := g.waiting[known]
	g.waiting[known] = append(waiting, c)
	if asked {
		return
	}
	go func() {
		resolvers <- struct{}{}
		r := find(name)
		<-resolvers
		g.post(func() {
			if len(g.cache) >= poolSize {
				clear(g.cache)
			}
			g.cache[known] = r
			list := g.waiting[known]
			delete(g.waiting, known)
			for _, c := range list {
				if c.state != closed {
					c.resolved(r)
				}
			}
		})
	}()
}

// resolvers bounds how many questions wait for answers at a time: each has a thread.
var resolvers = make(chan struct{}, 16)

// resolved goes on with the addresses that may be connected to.
func (c *conn) resolved(r resolved) {
	if r.err != nil {
		c.fail(r.err.Error())
		return
	}
	if c.hello != nil { // the proxy's own, which the caller has chosen
		c.addrs = r.addrs
		c.dial()
		return
	}
	var special string
	for _, a := range r.addrs {
		own, err := c.g.own(netip.AddrPortFrom(a, c.port))
		switch {
		case c.g.mayResolve(a, c.port, own):
			if err == nil {
				c.addrs = append(c.addrs, a)
			} else {
				c.why = err
			}
		case special == "":
			special = refusal(a, own)
		}
	}
	if len(c.addrs) == 0 && special != "" {
		c.fail(special)
		return
	}
	c.dial()
}

// route connects to the proxy, where there is one, or to the address itself.
func (c *conn) route() {
	p := c.g.config.Proxy
	if !p.carries(c.host) {
		c.dial()
		return
	}
	c.hello = p.hello(c.host, c.port)
	if c.addrs = nil; p.Addr.IsValid() {
		c.addrs = []netip.Addr{p.Addr}
		c.dial()
		return
	}
	c.g.lookup(p.Host, c)
}

// dial connects to the next address.
func (c *conn) dial() {
	g := c.g
	for len(c.addrs) > 0 {
		if c.inner != 0 {
			if c.inside() {
				return
			}
			continue
		}
		to := netip.AddrPortFrom(c.addrs[0], c.port)
		if c.hello != nil {
			to = netip.AddrPortFrom(c.addrs[0], g.config.Proxy.Port)
		}
		c.addrs = c.addrs[1:]
		fd, sa, err := socketFor(to, unix.SOCK_STREAM)
		if err == nil {
			if err = unix.Connect(fd, sa); err == nil || err == unix.EINPROGRESS {
				c.out = end{conn: c, fd: fd}
				if err = g.watch(fd, streamEvents, &c.out); err == nil {
					c.wait(dialing, len(c.addrs) > 0)
					return
				}
				g.forget(fd)
			}
			unix.Close(fd)
			c.out.fd = -1
		}
		c.why = err
	}
	c.fail(failure(c.why))
}

func failure(err error) string {
	if err == nil {
		return "it has no address that there is a route to"
	}
	return err.Error()
}

// wait waits for the other side.
func (c *conn) wait(s state, short bool) {
	c.state, c.deadline = s, c.g.now.Add(dialTime)
	if short {
		c.deadline = c.g.now.Add(shortTime)
	}
	if !slices.Contains(c.g.dialing, c) {
		c.g.dialing = append(c.g.dialing, c)
	}
}

func (c *conn) waited() {
	if i := slices.Index(c.g.dialing, c); i >= 0 {
		c.g.dialing = slices.Delete(c.g.dialing, i, i+1)
	}
}

// expired gives an address up, or the connection.
func (c *conn) expired() {
	if c.asked != nil {
		c.finish()
		return
	}
	if c.innerPath != "" && c.g.now.Before(c.giveUp) {
		c.connectSocket()
		return
	}
	if c.state == dialing {
		c.dropOut()
		c.why = unix.ETIMEDOUT
		c.dial()
		return
	}
	c.fail(unix.ETIMEDOUT.Error())
}

// dropOut closes the socket of the host's side.
func (c *conn) dropOut() {
	if c.out.fd >= 0 {
		c.g.forget(c.out.fd)
		reset(c.out.fd)
		c.out.fd = -1
	}
}

// handle is told what is new of one of the sockets.
func (e *end) handle(events uint32) {
	c := e.conn
	e.readable = e.readable || events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	e.writable = e.writable || events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0
	e.ending = e.ending || events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	broken := events&(unix.EPOLLHUP|unix.EPOLLERR) != 0
	switch {
	case c.asked != nil:
		c.asked.read()
	case c.state == talking:
		c.queue()
	case e == &c.in && broken:
		c.abort() // nobody waits any more
	case e == &c.in:
	case c.state == dialing && (e.writable || broken):
		if err := connected(e.fd); err != nil {
			c.dropOut()
			c.why = err
			c.dial()
			return
		}
		if c.hello != nil {
			c.wait(greeting, false)
			c.greet()
			return
		}
		c.talk()
	case c.state == greeting:
		c.greet()
	}
}

// greet goes on with what is to be said to a proxy.
func (c *conn) greet() {
	switch ok, err := c.hello.exchange(c.out.fd, c.out.ending); {
	case err != nil:
		c.fail("the proxy: " + err.Error())
	case ok:
		c.talk()
	}
}

// talk begins to move data.
func (c *conn) talk() {
	c.waited()
	c.state = talking
	inside := c.in.fd
	if c.inner != 0 || c.innerPath != "" {
		inside = c.out.fd
	}
	for _, fd := range [...]int{c.in.fd, c.out.fd} {
		// Where it fails, data waits a moment longer, or moves more slowly.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		if fd == inside || near(fd) {
			tuneNear(fd)
		}
		if fd != inside {
			keepAlive(fd)
		}
	}
	c.flows = [2]flow{{from: &c.in, to: &c.out}, {from: &c.out, to: &c.in}}
	for _, e := range [...]*end{&c.in, &c.out} {
		e.readable, e.writable = true, true // look once, whatever was seen
	}
	c.queue()
}

// queue has pumpReady look at the connection.
func (c *conn) queue() {
	if !c.queued {
		c.queued = true
		c.g.ready = append(c.g.ready, c)
	}
}

// fail ends a connection that could not be made. What was accepted already is reset.
func (c *conn) fail(why string) {
	if c.inner != 0 || c.innerPath != "" {
		c.abort() // whoever came finds the port closed
		return
	}
	c.g.deny(Denied{Host: c.host, Port: c.port, Why: why}, sender{})
	c.abort()
}

// abort resets both sides.
func (c *conn) abort() { c.close(reset) }

// finish closes both sides, which have said all.
func (c *conn) finish() { c.close(func(fd int) { unix.Close(fd) }) }

func (c *conn) close(how func(int)) {
	if c.state == closed {
		return
	}
	c.waited()
	c.state = closed
	for i := range c.flows {
		c.flows[i].drop(&c.g.pipes)
	}
	for _, fd := range [...]int{c.in.fd, c.out.fd} {
		if fd >= 0 {
			c.g.forget(fd)
			how(fd)
		}
	}
	if c.g.open--; c.g.open < c.g.most && c.g.resume.IsZero() {
		c.g.pause(false)
	}
}

// refusal says why a name may not lead to an address.
func refusal(a netip.Addr, own bool) string {
	if own {
		return "it has " + a.String() + ", an address of the host's own, which takes an entry of its own"
	}
	return "it has " + a.String() + ", " + network.Guarded(a) + " address, which takes an entry of its own"
}
