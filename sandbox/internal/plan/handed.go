package plan

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/fallbackfilter"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/landlock"
)

// handedPlan is what keeps a socket that is handed over from leading where the
// policy gives the target no way. A socket belongs to the network that it was
// made in. Whether it listens or has a peer, it can be disconnected, and then
// connected anywhere else.
//
// Neither Landlock nor a filter can tell it from the target's own sockets. So
// what is closed to it is closed to them.
type handedPlan struct {
	// tcp has Landlock close all TCP ports, abstract all abstract Unix sockets
	// that are not the target's own.
	tcp, abstract bool
	// fastOpen, connect, listen and addresses are the filters that are needed;
	// see package fallbackfilter.
	fastOpen, connect, listen, addresses bool
	// listening says that one of the sockets listens. Servers call listen(2)
	// again on what they are handed, so then it stays.
	listening bool
	// from are the descriptors that something is closed for.
	from []string
}

// decideHanded settles it, and refuses sockets that nothing holds.
func (d *decisions) decideHanded(p *policy.Policy, t host.Target, h *host.Facts) error {
	domain := h.LSM.Landlock
	if p.Process.Landlock == "off" || policy.IsTrue(p.Process.Nest) {
		domain = 0
	}
	var (
		other    = d.ns.has(ns.Net) || d.noNet
		ports    = p.Network.Bind != nil || p.Network.Connect != nil
		byFilter = h.SocketRestriction(p, t) == host.SocketsByFilter
	)
	for _, f := range h.Handed {
		if f.Mode != unix.S_IFSOCK || f.Path {
			continue
		}
		switch s := f.Socket; {
		case s.Family == unix.AF_UNIX:
			d.handed.abstract = d.handed.abstract || other
			if callsUnix(s) && (byFilter || other && domain < landlock.ABIScopes) {
				d.handed.close(f.FD, s)
			}
		case !other && !ports:
		case !other && isTCP(s):
			// Landlock holds it to the ports, and the policy's own filter refuses
			// Fast Open; see policy.Network.
		case !other || !canClose(s):
			return &host.NeedError{
				Reason: host.LeadsOut,
				What: fmt.Sprintf("hand over descriptor %d: it is a socket of the host's network, of family %d, type %d and "+
					"protocol %d, and nothing would hold it to what the policy says of the network", f.FD, s.Family, s.Type,
					s.Protocol),
				Fix: "close it for sbx, or use a policy that gives the target the host's network and names no ports",
			}
		case isTCP(s) && domain >= landlock.ABIPorts:
			d.handed.tcp = true
			d.handed.closeStream(f.FD, s)
		default:
			d.handed.close(f.FD, s)
		}
	}
	if note := d.handed.note(); note != "" {
		d.note(note)
	}
	return nil
}

// close keeps a socket from connecting, and from sending where it is not
// connected to.
func (x *handedPlan) close(fd int, s host.Socket) {
	x.connect = true
	if s.Type != unix.SOCK_STREAM {
		x.addresses = true
	}
	x.closeStream(fd, s)
}

// closeStream closes what besides connect and bind gives a stream a peer or a
// port.
func (x *handedPlan) closeStream(fd int, s host.Socket) {
	if s.Family != unix.AF_UNIX && s.Type == unix.SOCK_STREAM {
		x.fastOpen, x.listen = true, true
		x.listening = x.listening || s.Listening
	}
	x.from = append(x.from, strconv.Itoa(fd))
}

// filters are those that have to be loaded.
func (x *handedPlan) filters() (list []fallbackfilter.Filter) {
	for _, f := range [...]struct {
		need   bool
		filter fallbackfilter.Filter
	}{
		{x.fastOpen, fallbackfilter.FastOpen}, {x.connect, fallbackfilter.Connect},
		{x.listen && !x.listening, fallbackfilter.Listen}, {x.addresses, fallbackfilter.Addresses},
	} {
		if f.need {
			list = append(list, f.filter)
		}
	}
	return list
}

// note says what the target cannot do for that.
func (x *handedPlan) note() string {
	if len(x.from) == 0 {
		return ""
	}
	refused := "connect and bind of TCP"
	if x.connect {
		refused = "connect and bind"
	}
	if x.listen && !x.listening {
		refused += ", listen"
	}
	if x.addresses {
		refused += ", sending to an address"
	}
	which := "descriptor " + x.from[0] + " is a socket"
	if len(x.from) > 1 {
		which = "descriptors " + strings.Join(x.from, ", ") + " are sockets"
	}
	return which + " of the host: refused are " + refused + ", also for the target's own sockets"
}

// isTCP says whether Landlock's rules on ports hold for the socket. They do not
// for MPTCP and SMC.
func isTCP(s host.Socket) bool {
	internet := s.Family == unix.AF_INET || s.Family == unix.AF_INET6
	return internet && s.Type == unix.SOCK_STREAM && s.Protocol == unix.IPPROTO_TCP
}

// canClose says whether the filters leave the socket with no more than the peer
// that it has. Raw sockets, those of packets and those to the kernel send
// without calling anybody.
func canClose(s host.Socket) bool {
	const smc = 43 // AF_SMC, which x/sys has not
	switch s.Family {
	case unix.AF_INET, unix.AF_INET6:
		return s.Type != unix.SOCK_RAW && s.Type != unix.SOCK_PACKET
	case unix.AF_VSOCK, smc:
		return true
	}
	return false
}

// callsUnix says whether a Unix socket can come to another one by its name. A
// stream that listens or is connected is so for good.
func callsUnix(s host.Socket) bool {
	switch s.Type {
	case unix.SOCK_STREAM, unix.SOCK_SEQPACKET:
		return !s.Listening && !s.Connected
	}
	return true
}
