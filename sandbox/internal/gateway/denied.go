package gateway

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Denied is what was not let through.
type Denied struct {
	// Host is a name or an address, Port the port or 0 for a name that was only looked up.
	Host string
	Port uint16
	// Proto is what else than TCP was tried: UDP, ICMP or "protocol N". Nothing allows it.
	Proto string
	// Refused says that nobody caught it: the sandbox's own network has answered.
	Refused bool
	// Exe is the program that has asked or sent, and PID its pid inside, where that was
	// looked for and seen.
	Exe string
	PID int
	// Why says more where the rules do not: an allowed name that has no address to go to.
	Why string
	// Count is how often.
	Count uint64
}

// Target is the host and the port, if that is known.
func (d Denied) Target() string {
	if d.Port == 0 {
		return d.Host
	}
	if strings.Contains(d.Host, ":") {
		return "[" + d.Host + "]:" + strconv.Itoa(int(d.Port))
	}
	return d.Host + ":" + strconv.Itoa(int(d.Port))
}

// Flag is the entry of network.hosts that would allow it, or "".
func (d Denied) Flag() string {
	switch {
	case d.Proto != "" || d.Why != "":
		return ""
	case d.Port == 0:
		return d.Host + ":PORT"
	}
	return d.Target()
}

// Denied is what has been denied up to now, in order.
func (g *Gateway) Denied() []Denied {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []Denied
	for d, n := range g.denied {
		d.Count, d.Exe, d.PID = n.count, n.exe, n.pid
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Denied) int {
		return cmp.Or(strings.Compare(a.Host, b.Host), int(a.Port)-int(b.Port), strings.Compare(a.Proto, b.Proto),
			strings.Compare(a.Why, b.Why), strings.Compare(a.Exe, b.Exe))
	})
	return out
}

// maxDenied bounds what a target can have us remember.
const maxDenied = 1000

// seen is how often something was denied, and who was the first.
type seen struct {
	count uint64
	exe   string
	pid   int
}

// sender is the socket in the sandbox's network that something came from. Its port is 0
// where that is not known.
type sender struct {
	tcp  bool
	port uint16
}

// deny notes it.
func (g *Gateway) deny(d Denied, from sender) {
	g.mu.Lock()
	n, full := g.denied[d], len(g.denied) >= maxDenied
	if n != nil {
		n.count++
	}
	g.mu.Unlock()
	if n != nil || full {
		return
	}
	key := d
	if g.config.Who != nil && from.port != 0 {
		d.Exe, d.PID = g.config.Who(from.tcp, from.port) // it takes a moment
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.denied[key] = &seen{1, d.Exe, d.PID}
	if g.told >= 0 {
		g.news = append(g.news, d)
		_, _ = unix.Write(g.told, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // full: it can be read
	}
}

// Watch gives a descriptor that can be read when there are News.
func (g *Gateway) Watch() (fd int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.told < 0 {
		g.told, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	}
	return g.told, err
}

// News are what was denied for the first time since the last call.
func (g *Gateway) News() []Denied {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := g.news
	g.news = nil
	if g.told >= 0 {
		var b [8]byte
		_, _ = unix.Read(g.told, b[:]) // empty: there are none
	}
	return list
}

// Name is the name that an address inside stands for, once the work has ended.
func (g *Gateway) Name(a netip.Addr) (string, bool) { return g.names.pool.name(a) }
