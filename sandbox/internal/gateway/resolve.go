package gateway

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"sbx/internal/sys"
)

// resolverConfig is what resolv.conf(5) says of whom to ask.
type resolverConfig struct {
	servers  []netip.AddrPort
	timeout  time.Duration
	attempts int
	// search are the domains that names with less than ndots dots are looked for in. Of all
	// names that is the proxy's alone.
	search []string
	ndots  int
}

// parseResolvConf reads a resolv.conf(5).
func parseResolvConf(text string) resolverConfig {
	c := resolverConfig{timeout: 5 * time.Second, attempts: 2, ndots: 1}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) < 2:
		case f[0] == "nameserver" && len(c.servers) < 3:
			if a, err := netip.ParseAddr(f[1]); err == nil {
				c.servers = append(c.servers, netip.AddrPortFrom(a, dnsPort))
			}
		case f[0] == "search" || f[0] == "domain": // the last one counts
			c.search = f[1:]
		case f[0] == "options":
			for _, o := range f[1:] {
				name, value, _ := strings.Cut(o, ":")
				n, err := strconv.Atoi(value)
				switch {
				case err != nil || n < 0:
				case name == "ndots":
					c.ndots = min(n, 15)
				case n == 0:
				case name == "timeout":
					c.timeout = time.Duration(min(n, 30)) * time.Second
				case name == "attempts":
					c.attempts = min(n, 5)
				}
			}
		}
	}
	if len(c.servers) == 0 {
		c.servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), dnsPort)}
	}
	return c
}

// resolved is what a name is known to have, and until when.
type resolved struct {
	addrs []netip.Addr
	err   error
	until time.Time
}

// How long an answer is kept, whatever its own time to live: long enough for a program
// that connects many times, and short enough for a name that moves.
const (
	leastTTL = 2 * time.Second
	mostTTL  = 60 * time.Second
)

var errNoName = errors.New("there is no such name")

// resolve asks the host's name servers for the addresses of a name. /etc/hosts is not
// looked at: it may say anything of a name on the list.
func resolve(name string) resolved { return asked(name, (*resolverConfig).resolve) }

// asked is what a way to ask by /etc/resolv.conf finds for a name.
func asked(name string, ask func(*resolverConfig, string) resolved) resolved {
	text, err := sys.ReadRegular("/etc/resolv.conf")
	if err != nil && err != unix.ENOENT {
		return resolved{err: fmt.Errorf("read /etc/resolv.conf: %w", err), until: time.Now().Add(leastTTL)}
	}
	c := parseResolvConf(text)
	return ask(&c, name)
}

func (c *resolverConfig) resolve(name string) (r resolved) {
	r.until = time.Now().Add(leastTTL)
	full, err := dnsmessage.NewName(name + ".")
	if err != nil {
		r.err = err
		return r
	}
	ttl := mostTTL
	for _, kind := range [...]dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		addrs, seconds, err := c.ask(dnsmessage.Question{Name: full, Type: kind, Class: dnsmessage.ClassINET})
		if err == errNoName {
			r.err = err
			return r
		}
		if err != nil {
			r.err = err
			continue
		}
		r.addrs = append(r.addrs, addrs...)
		ttl = min(ttl, time.Duration(seconds)*time.Second)
	}
	switch {
	case len(r.addrs) > 0:
		r.err = nil
		r.until = time.Now().Add(max(ttl, leastTTL))
	case r.err == nil:
		r.err = errors.New("the name has no address")
	}
	return r
}

// ask asks one server after the other, each as often as resolv.conf says.
func (c *resolverConfig) ask(q dnsmessage.Question) (addrs []netip.Addr, ttl uint32, err error) {
	for range c.attempts {
		for _, server := range c.servers {
			addrs, ttl, err = exchange(server, q, c.timeout)
			if err == nil || err == errNoName {
				return addrs, ttl, err
			}
		}
	}
	return nil, 0, err
}

// exchange asks one server, by UDP from a port that the kernel picks, and by TCP if the
// answer is too long for that.
func exchange(server netip.AddrPort, q dnsmessage.Question, timeout time.Duration) ([]netip.Addr, uint32, error) {
	var id [2]byte
	rand.Read(id[:])
	query := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: binary.BigEndian.Uint16(id[:]), RecursionDesired: true},
		Questions: []dnsmessage.Question{q},
	}
	packed, err := query.Pack()
	if err != nil {
		return nil, 0, err
	}
	end := time.Now().Add(timeout)
	for _, kind := range [...]int{unix.SOCK_DGRAM, unix.SOCK_STREAM} {
		fd, err := dialWait(server, kind, end)
		if err != nil {
			return nil, 0, fmt.Errorf("ask %s: %w", server, err)
		}
		addrs, ttl, cut, err := converse(fd, kind, packed, q, end)
		unix.Close(fd)
		if err != nil && err != errNoName {
			return nil, 0, fmt.Errorf("ask %s: %w", server, err)
		}
		if !cut {
			return addrs, ttl, err
		}
	}
	return nil, 0, errors.New("the answer is cut short over TCP too")
}

// converse sends the question and waits for its answer.
func converse(fd, kind int, packed []byte, q dnsmessage.Question, end time.Time) (
	addrs []netip.Addr, ttl uint32, cut bool, err error,
) {
	stream := kind == unix.SOCK_STREAM
	message := packed
	if stream {
		message = append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)
	}
	if _, err := unix.SendmsgN(fd, message, nil, nil, unix.MSG_NOSIGNAL); err != nil {
		return nil, 0, false, err
	}
	buf := make([]byte, 2+65535)
	have := 0
	for {
		if err := waitFor(fd, unix.POLLIN, end); err != nil {
			return nil, 0, false, err
		}
		n, err := unix.Read(fd, buf[have:])
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			continue
		case err != nil:
			return nil, 0, false, err
		case n == 0 && stream:
			return nil, 0, false, errors.New("the server hung up")
		}
		reply := buf[:n]
		if stream {
			have += n
			if have < 2 || have < 2+int(binary.BigEndian.Uint16(buf)) {
				continue
			}
			reply = buf[2 : 2+int(binary.BigEndian.Uint16(buf))]
		}
		addrs, ttl, cut, ok, err := readReply(reply, binary.BigEndian.Uint16(packed), q)
		if ok || err != nil {
			return addrs, ttl, cut && !stream, err
		}
		if stream {
			return nil, 0, false, errors.New("the answer is to another question")
		}
		// Of UDP anybody may have sent it: wait on.
	}
}

// readReply reads the addresses for the question out of an answer. ok is false where it is
// not one to it.
func readReply(b []byte, id uint16, q dnsmessage.Question) (addrs []netip.Addr, ttl uint32, cut, ok bool, err error) {
	var p dnsmessage.Parser
	head, err := p.Start(b)
	if err != nil || head.ID != id || !head.Response {
		return nil, 0, false, false, nil
	}
	got, err := p.Question()
	if err != nil || !strings.EqualFold(got.Name.String(), q.Name.String()) || got.Type != q.Type || got.Class != q.Class {
		return nil, 0, false, false, nil
	}
	if err := p.SkipAllQuestions(); err != nil {
		return nil, 0, false, false, nil
	}
	switch {
	case head.RCode == dnsmessage.RCodeNameError:
		return nil, 0, false, true, errNoName
	case head.RCode != dnsmessage.RCodeSuccess:
		return nil, 0, false, true, fmt.Errorf("the server answered %s", strings.TrimPrefix(head.RCode.String(), "RCode"))
	case head.Truncated:
		return nil, 0, true, true, nil
	}
	// The name itself and what it is another name for, in the order of the chain.
	names := []string{strings.ToLower(q.Name.String())}
	ttl = uint32(mostTTL / time.Second)
	for {
		h, err := p.AnswerHeader()
		if err == dnsmessage.ErrSectionDone {
			return addrs, ttl, false, true, nil
		}
		if err != nil {
			return nil, 0, false, false, err
		}
		ours := h.Class == dnsmessage.ClassINET && slices.Contains(names, strings.ToLower(h.Name.String()))
		switch {
		case ours && h.Type == dnsmessage.TypeCNAME && len(names) < 16:
			x, err := p.CNAMEResource()
			if err != nil {
				return nil, 0, false, false, err
			}
			names = append(names, strings.ToLower(x.CNAME.String()))
		case ours && h.Type == dnsmessage.TypeA && q.Type == h.Type:
			x, err := p.AResource()
			if err != nil {
				return nil, 0, false, false, err
			}
			addrs = append(addrs, netip.AddrFrom4(x.A))
		case ours && h.Type == dnsmessage.TypeAAAA && q.Type == h.Type:
			x, err := p.AAAAResource()
			if err != nil {
				return nil, 0, false, false, err
			}
			addrs = append(addrs, netip.AddrFrom16(x.AAAA).Unmap())
		default:
			if err := p.SkipAnswer(); err != nil {
				return nil, 0, false, false, err
			}
			continue
		}
		ttl = min(ttl, h.TTL)
	}
}

// dialWait is a connected socket of that kind.
func dialWait(to netip.AddrPort, kind int, end time.Time) (int, error) {
	fd, sa, err := socketFor(to, kind)
	if err != nil {
		return -1, err
	}
	if err = unix.Connect(fd, sa); err == unix.EINPROGRESS {
		if err = waitFor(fd, unix.POLLOUT, end); err == nil {
			err = connected(fd)
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// waitFor waits until something can be done with a socket.
func waitFor(fd int, events int16, end time.Time) error {
	for {
		left := time.Until(end)
		if left <= 0 {
			return unix.ETIMEDOUT
		}
		list := []unix.PollFd{{Fd: int32(fd), Events: events}}
		n, err := unix.Poll(list, int(left.Milliseconds())+1)
		switch {
		case err == unix.EINTR || err == nil && n == 0:
		case err != nil:
			return err
		default:
			return nil
		}
	}
}
