// Package network is what a policy says of the network by name: which hosts and
// addresses may be reached, what names and addresses match, and what is published.
// It is pure: it resolves no name and asks the machine nothing.
package network

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"sbx/policies/hosts"
)

// Rule is one entry of network.hosts but for a group: a name or a range of
// addresses, and a TCP port.
type Rule struct {
	// Name is a host's name in lower case, without a dot at its end, and with
	// names in other scripts as "xn--". Of "*.example.com" it is what follows "*.".
	// It is "" in a rule about addresses.
	Name string
	// Below says that the rule is about all names below Name, by any number of
	// whole labels, and not about Name.
	Below bool
	// Prefix is the range of addresses, in its canonical form: an IPv4 address is
	// never written as one of IPv6.
	Prefix netip.Prefix
	// Port is the TCP port. 0: the policy's network.port.
	Port uint16
}

// String is the rule as network.hosts has it.
func (r Rule) String() string {
	s := r.Host()
	if r.Port != 0 {
		if r.Name == "" && r.Prefix.Addr().Is6() {
			s = "[" + s + "]"
		}
		s += ":" + strconv.Itoa(int(r.Port))
	}
	return s
}

// Host is the rule without its port.
func (r Rule) Host() string {
	switch {
	case r.Below:
		return "*." + r.Name
	case r.Name != "":
		return r.Name
	case r.Prefix.IsSingleIP():
		return r.Prefix.Addr().String()
	}
	return r.Prefix.String()
}

// MaxName is the longest name of a host, in bytes; see RFC 1035.
const MaxName = 253

// Error is what is wrong with an entry. Fix may be empty.
type Error struct{ Msg, Fix string }

func (e *Error) Error() string { return e.Msg }

func wrong(fix, format string, args ...any) error { return &Error{fmt.Sprintf(format, args...), fix} }

// ParseRule reads an entry of network.hosts: NAME:PORT, *.NAME:PORT, ADDRESS:PORT or
// ADDRESS/BITS:PORT, with IPv6 in brackets. The port may be missing.
func ParseRule(s string) (Rule, error) {
	host, port, err := cutPort(s)
	if err != nil {
		return Rule{}, err
	}
	r := Rule{Port: port}
	if strings.ContainsAny(host, ":/") || endsInNumber(host) {
		r.Prefix, err = parsePrefix(host)
		return r, err
	}
	if name, below := strings.CutPrefix(host, "*."); below {
		host, r.Below = name, true
	}
	if strings.Contains(host, "*") {
		return Rule{}, wrong(`a wildcard stands for whole labels in front, as in "*.example.com:443"`,
			"%q: a * may only be the first label of a name", s)
	}
	if r.Name, err = Canonical(host); err != nil {
		return Rule{}, err
	}
	if r.Name == "localhost" || strings.HasSuffix(r.Name, ".localhost") {
		return Rule{}, wrong(`the host's own services are named by address, as "127.0.0.1:5432"`,
			"%q: localhost is the sandbox's own, inside", s)
	}
	return r, nil
}

// cutPort takes the port from the end, 0 if there is none, and the brackets from what is
// before it.
func cutPort(s string) (host string, port uint16, err error) {
	host = s
	if rest, ok := strings.CutPrefix(s, "["); ok {
		var end string
		if host, end, ok = strings.Cut(rest, "]"); !ok || end != "" && end[0] != ':' {
			return "", 0, wrong(`as in "[2001:db8::/32]:443"`, "%q has no ] before its port", s)
		}
		if !strings.Contains(host, ":") {
			return "", 0, wrong("", "%q: only addresses of IPv6 stand in brackets", s)
		}
		if end == "" {
			return host, 0, nil
		}
		s = end
	} else if strings.Count(s, ":") > 1 {
		return "", 0, wrong(`write "[`+s+`]:443"`, "%q: an address of IPv6 stands in brackets before its port", s)
	}
	before, number, ok := strings.Cut(s, ":")
	if !ok {
		return host, 0, nil
	}
	if host == s {
		host = before
	}
	if port, err = parsePort(number); err != nil {
		return "", 0, wrong("", "%q has no port from 1 to 65535", s)
	}
	return host, port, nil
}

// parsePort reads a port from 1 in plain decimal.
func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != s {
		return 0, errors.New("not a port from 1 to 65535")
	}
	return uint16(n), nil
}

// parsePrefix reads an address or a range in the canonical form.
func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, wrong("", "%q is neither an address nor the name of a host", s)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, wrong(`as in "10.0.0.0/8:5432" or "[2001:db8::/32]:443"`, "%q is no range of addresses", s)
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, wrong("write it as one of IPv4", "%q is a range of IPv4 addresses in IPv6", s)
	}
	if p.Masked() != p {
		return netip.Prefix{}, wrong("write "+strconv.Quote(p.Masked().String()), "%q has bits set beyond its prefix", s)
	}
	return p, nil
}

// endsInNumber says whether the last label is a number, as in addresses: names with such
// a one mean an address to some programs.
func endsInNumber(s string) bool {
	s = strings.TrimSuffix(s, ".")
	last := s[strings.LastIndexByte(s, '.')+1:]
	if last == "" {
		return false
	}
	_, err := strconv.ParseUint(last, 0, 64)
	return err == nil || strings.Trim(last, "0123456789") == ""
}

// Canonical is the name of a host as rules and questions are compared by: in lower case,
// without a dot at its end, and names in other scripts by IDNA (RFC 5891).
func Canonical(name string) (string, error) {
	s := strings.TrimSuffix(name, ".")
	for i := range len(s) {
		if s[i] >= 0x80 {
			ascii, err := idna.Lookup.ToASCII(s)
			if err != nil {
				return "", wrong("", "%q is not the name of a host: %v", name, err)
			}
			s = ascii
			break
		}
	}
	s = strings.ToLower(s)
	if s == "" || len(s) > MaxName {
		return "", wrong("", "%q is not the name of a host: it has from 1 to %d bytes", name, MaxName)
	}
	for label := range strings.SplitSeq(s, ".") {
		if !validLabel(label) {
			return "", wrong("", "%q is not the name of a host", name)
		}
	}
	return s, nil
}

// validLabel says whether a label, in lower case, is one of a host's name. Underscores are
// in use.
func validLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// Entry reads an entry of network.hosts, and gives its canonical form.
func Entry(s string) (string, error) {
	if name, ok := strings.CutPrefix(s, "@"); ok {
		if hosts.Group(name) == nil {
			return "", wrong("", "there is no group of hosts %q", s)
		}
		return s, nil
	}
	r, err := ParseRule(s)
	return r.String(), err
}

// Groups are the names of all groups of hosts, with their "@".
func Groups() []string {
	names := hosts.Names()
	for i, n := range names {
		names[i] = "@" + n
	}
	return names
}

// Rules are the rules that entries of network.hosts stand for: groups are taken apart.
// Those without a port get port; where that is 0, it is an error.
func Rules(entries []string, port uint16) ([]Rule, error) {
	var out []Rule
	for _, s := range entries {
		one := []string{s}
		if name, ok := strings.CutPrefix(s, "@"); ok {
			if one = hosts.Group(name); one == nil {
				return nil, wrong("", "there is no group of hosts %q", s)
			}
		}
		for _, s := range one {
			r, err := ParseRule(s)
			if err != nil {
				return nil, err
			}
			if r.Port == 0 {
				r.Port = port
			}
			if r.Port == 0 {
				return nil, wrong("write the port, as in "+strconv.Quote(Rule{r.Name, r.Below, r.Prefix, 443}.String())+
					", or say port in [network]", "%q names no port", s)
			}
			out = append(out, r)
		}
	}
	return out, nil
}
