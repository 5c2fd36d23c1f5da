package network

import (
	"net/netip"
	"strconv"
	"strings"
)

// Listen is one entry of network.listen: where the host accepts connections, and which
// port inside they lead to.
type Listen struct {
	// Addr and Outer are where the host listens, for TCP.
	Addr  netip.Addr
	Outer uint16
	// Inner is the TCP port inside, on its loopback.
	Inner uint16
}

// String is the entry as network.listen has it: with its address, and with all ports.
func (l Listen) String() string {
	inner := strconv.Itoa(int(l.Inner))
	return netip.AddrPortFrom(l.Addr, l.Outer).String() + ":" + inner
}

// ParseListen reads PORT, PORT:INNER, ADDRESS:PORT or ADDRESS:PORT:INNER.
// Without an address it is 127.0.0.1.
func ParseListen(s string) (Listen, error) {
	const fix = `as in "8080", "8080:80" or "127.0.0.1:9000:9000"`
	bad := func(why string) (Listen, error) {
		return Listen{}, wrong(fix, "%q is nothing to listen on: %s", s, why)
	}
	l := Listen{Addr: netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	ports := strings.Split(s, ":")
	var addr string
	switch rest, v6 := strings.CutPrefix(s, "["); {
	case v6:
		var end string
		addr, end, _ = strings.Cut(rest, "]:")
		ports = strings.Split(end, ":")
		if !strings.Contains(addr, ":") {
			return bad("only addresses of IPv6 stand in brackets")
		}
	case strings.Contains(ports[0], "."):
		addr, ports = ports[0], ports[1:]
	}
	if addr != "" {
		a, err := netip.ParseAddr(addr)
		if err != nil || a.Zone() != "" || a.Is4In6() {
			return bad(strconv.Quote(addr) + " is no address")
		}
		l.Addr = a
	}
	if len(ports) == 0 || len(ports) > 2 {
		return bad("it takes one or two ports")
	}
	for i, to := range []*uint16{&l.Outer, &l.Inner} {
		port, err := parsePort(ports[min(i, len(ports)-1)])
		if err != nil {
			return bad("a port is a number from 1 to 65535")
		}
		*to = port
	}
	return l, nil
}

// Covers says whether what o opens is open with l too.
func (l Listen) Covers(o Listen) bool {
	return l.Outer == o.Outer && l.Inner == o.Inner &&
		(l.Addr == o.Addr || l.Addr.IsUnspecified() && l.Addr.Is4() == o.Addr.Is4())
}
