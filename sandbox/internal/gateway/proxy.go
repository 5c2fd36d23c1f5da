package gateway

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/policy/network"
)

// Proxy is the HTTP proxy that the host itself must use, and what goes past it. Its
// credentials stay with the launcher.
type Proxy struct {
	// Host and Port are where it listens; Addr is Host, if that is an address.
	Host string
	Addr netip.Addr
	Port uint16
	// past are the hosts that are connected to directly.
	past []string
	auth string
}

// ProxyOf is the proxy that an environment names by https_proxy or HTTPS_PROXY, or nil.
func ProxyOf(env []string) (*Proxy, error) {
	said := lookup(env, "https_proxy", "HTTPS_PROXY")
	if said == "" {
		return nil, nil
	}
	if !strings.Contains(said, "://") {
		said = "http://" + said
	}
	u, err := url.Parse(said)
	if err != nil || u.Hostname() == "" {
		return nil, errors.New("HTTPS_PROXY is not the address of a proxy") // it may have a password
	}
	if u.Scheme != "http" {
		return nil, fmt.Errorf("HTTPS_PROXY names a proxy of kind %q, and only http is known", u.Scheme)
	}
	p := &Proxy{Host: u.Hostname(), Port: 80}
	if s := u.Port(); s != "" {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil || n == 0 {
			return nil, errors.New("HTTPS_PROXY names no port from 1 to 65535")
		}
		p.Port = uint16(n)
	}
	if a, err := netip.ParseAddr(p.Host); err == nil {
		p.Addr = a.Unmap()
	} else if p.Host == "localhost" {
		p.Addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	} else if p.Host, err = network.Canonical(p.Host); err != nil {
		return nil, fmt.Errorf("HTTPS_PROXY: %w", err)
	}
	if u.User != nil {
		password, _ := u.User.Password()
		p.auth = base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password))
	}
	for s := range strings.SplitSeq(lookup(env, "no_proxy", "NO_PROXY"), ",") {
		if s = strings.ToLower(strings.TrimSpace(s)); s != "" {
			p.past = append(p.past, s)
		}
	}
	return p, nil
}

// lookup is the first of the variables that is there and not empty.
func lookup(env []string, names ...string) string {
	for _, name := range names {
		for _, v := range env {
			if value, ok := strings.CutPrefix(v, name+"="); ok && value != "" {
				return value
			}
		}
	}
	return ""
}

// String is where the proxy is, without its credentials.
func (p *Proxy) String() string { return p.Host + ":" + strconv.Itoa(int(p.Port)) }

// carries says whether connections to the host go through the proxy.
func (p *Proxy) carries(host string) bool {
	if p == nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	for _, s := range p.past {
		name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(s, "*"), "."), ":")
		switch prefix, bad := netip.ParsePrefix(s); {
		case s == "*" || s == host || err == nil && past(s) == addr:
			return false
		case err == nil && bad == nil && prefix.Contains(addr):
			return false
		case err != nil && name != "" && (host == name || strings.HasSuffix(host, "."+name)):
			return false
		}
	}
	return true
}

// past is the address that an entry of no_proxy names, as it is, in brackets, or with a port.
func past(s string) netip.Addr {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a.Addr()
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		return netip.Addr{} // no host has it
	}
	return a
}

// hello is what is said to a proxy before it lets data through; see RFC 9110, 9.3.6.
type hello struct {
	request []byte // what is still to be sent
}

// maxHello is the longest answer of a proxy that is read.
const maxHello = 8 << 10

func (p *Proxy) hello(host string, port uint16) *hello {
	to := host + ":" + strconv.Itoa(int(port))
	if strings.Contains(host, ":") {
		to = "[" + host + "]:" + strconv.Itoa(int(port))
	}
	request := "CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\n"
	if p.auth != "" {
		request += "Proxy-Authorization: Basic " + p.auth + "\r\n"
	}
	return &hello{[]byte(request + "\r\n")}
}

// exchange sends and reads what it can. done says that the proxy is through. ending says that
// the proxy sends no more than what is there.
func (h *hello) exchange(fd int, ending bool) (done bool, err error) {
	for len(h.request) > 0 {
		n, err := unix.Write(fd, h.request)
		if err == unix.EAGAIN {
			return false, nil
		}
		if err != nil && err != unix.EINTR {
			return false, err
		}
		h.request = h.request[max(n, 0):]
	}
	var buf [maxHello]byte
	// What stands behind the answer is the host's own.
	n, _, err := unix.Recvfrom(fd, buf[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return false, nil
	case err != nil:
		return false, err
	}
	text := string(buf[:n])
	end := strings.Index(text, "\r\n\r\n")
	if end < 0 {
		if n == 0 || n == maxHello || ending {
			return false, errors.New("it gave no answer that can be read")
		}
		return false, nil
	}
	line, _, _ := strings.Cut(text, "\r\n")
	if f := strings.SplitN(line, " ", 3); len(f) < 2 || !strings.HasPrefix(f[0],
		"HTTP/1.") || len(f[1]) != 3 || f[1][0] != '2' {
		return false, fmt.Errorf("it answered %q", line[:min(len(line), 80)])
	}
	for left := end + 4; left > 0; {
		n, err := unix.Read(fd, buf[:left])
		if err != nil && err != unix.EINTR || n == 0 {
			return false, errors.New("it hung up")
		}
		left -= max(n, 0)
	}
	return true, nil
}
