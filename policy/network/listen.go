package network

import (
	"net/netip"
	"path"
	"strconv"
	"strings"
)

// Listen is one entry of network.listen: where the host accepts connections, and where
// inside they lead to. Each is a TCP port or a Unix socket.
type Listen struct {
	// Addr and Outer are where the host listens, for TCP.
	Addr  netip.Addr
	Outer uint16
	// Path is the Unix socket of the host, or "" for TCP. It is absolute, or begins with a
	// variable in ${}.
	Path string
	// Inner is the TCP port inside, on its loopback, or InnerPath the Unix socket inside.
	Inner     uint16
	InnerPath string
}

const unixPrefix = "unix:"

// At is where the host listens.
func (l Listen) At() string {
	if l.Path != "" {
		return unixPrefix + l.Path
	}
	return netip.AddrPortFrom(l.Addr, l.Outer).String()
}

// String is the entry as network.listen has it: with its address, and with all ports.
func (l Listen) String() string {
	if l.InnerPath != "" {
		return l.At() + ":" + unixPrefix + l.InnerPath
	}
	return l.At() + ":" + strconv.Itoa(int(l.Inner))
}

// ParseListen reads OUTER or OUTER:INNER. OUTER is PORT, ADDRESS:PORT or unix:PATH, and
// INNER is PORT or unix:PATH. Without an address it is 127.0.0.1, and without INNER the same
// port or path.
func ParseListen(s string) (Listen, error) {
	const fix = `as in "8080", "8080:80", "127.0.0.1:9000:9000", "unix:/run/app.sock" or "unix:/run/app.sock:80"`
	bad := func(why string) (Listen, error) {
		return Listen{}, wrong(fix, "%q is nothing to listen on: %s", s, why)
	}
	l := Listen{Addr: netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	parts := strings.Split(s, ":")
	var addr string
	switch rest, v6 := strings.CutPrefix(s, "["); {
	case strings.HasPrefix(s, unixPrefix):
		l.Addr, l.Path, parts = netip.Addr{}, parts[1], parts[1:]
		if why := badSocket(l.Path); why != "" {
			return bad(why)
		}
	case v6:
		var end string
		addr, end, _ = strings.Cut(rest, "]:")
		parts = strings.Split(end, ":")
		if !strings.Contains(addr, ":") {
			return bad("only addresses of IPv6 stand in brackets")
		}
	case strings.Contains(parts[0], "."):
		addr, parts = parts[0], parts[1:]
	}
	if addr != "" {
		a, err := netip.ParseAddr(addr)
		if err != nil || a.Zone() != "" || a.Is4In6() {
			return bad(strconv.Quote(addr) + " is no address")
		}
		l.Addr = a
	}
	if n := len(parts); n == 3 && parts[1] == "unix" {
		parts = []string{parts[0], parts[2]}
		if why := badSocket(parts[1]); why != "" {
			return bad(why)
		}
	} else if n == 0 || n > 2 {
		return bad("it takes one or two ports or sockets")
	}
	var err error
	if l.Path == "" {
		if l.Outer, err = parsePort(parts[0]); err != nil {
			return bad("a port is a number from 1 to 65535")
		}
	}
	switch inner := parts[len(parts)-1]; {
	case strings.HasPrefix(inner, "/") || strings.HasPrefix(inner, "${"):
		if why := badSocket(inner); why != "" {
			return bad(why)
		}
		l.InnerPath = inner
	default:
		if l.Inner, err = parsePort(inner); err != nil {
			return bad("a port is a number from 1 to 65535, and a socket has an absolute path")
		}
	}
	return l, nil
}

// maxSocket is the longest path of a Unix socket; see unix(7).
const maxSocket = 107

// badSocket is why the path cannot be a socket's, or "".
func badSocket(s string) string {
	switch {
	case !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "${"):
		return "the path of a socket is absolute"
	case path.Clean(s) != s || s == "/" || strings.ContainsAny(s, "\x00\n"):
		return strconv.Quote(s) + " is no path of a file"
	case len(s) > maxSocket:
		return "the path of a socket has at most " + strconv.Itoa(maxSocket) + " bytes"
	}
	return ""
}

// Covers says whether what o opens is open with l too.
func (l Listen) Covers(o Listen) bool {
	if l.Path != "" || o.Path != "" {
		return l == o
	}
	return l.Outer == o.Outer && l.Inner == o.Inner && l.InnerPath == o.InnerPath &&
		(l.Addr == o.Addr || l.Addr.IsUnspecified() && l.Addr.Is4() == o.Addr.Is4())
}
