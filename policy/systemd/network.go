package systemd

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sbx/policy"
)

// networkList takes the lists of addresses, ports and interfaces. An empty
// value takes back what was listed before.
func (m *importer) networkList(s setting) error {
	to := map[string]*[]string{
		"IPAddressDeny": &m.denied, "RestrictNetworkInterfaces": &m.denied, "IPAddressAllow": &m.allowed,
		"SocketBindDeny": &m.bindDenied, "SocketBindAllow": &m.bindAllowed,
	}[s.key]
	if s.value == "" {
		*to = nil
		return nil
	}
	list, err := words(s.value)
	*to = append(*to, list...)
	return err
}

// network gives up the network where a unit restricts addresses or interfaces,
// and restricts ports by those that the unit allows.
func (m *importer) network() {
	n := &m.p.Namespaces
	if len(m.denied) > 0 && n.Net == "host" && !slices.Contains(m.allowed, "any") {
		n.Net = "new"
		m.loseAddresses()
	}
	if len(m.bindDenied) == 0 {
		return
	}
	ports, exact := []string{}, slices.Contains(m.bindDenied, "any")
	for _, a := range m.bindAllowed {
		list, plain := tcpPorts(a)
		ports, exact = append(ports, list...), exact && plain
	}
	slices.SortFunc(ports, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	m.p.Network.Bind = slices.Compact(ports)
	if !exact {
		m.loseAt(m.said["SocketBindDeny"], "a policy lists the TCP ports that may be bound, and no others: %s", some(ports))
	}
}

// loseAddresses says what a new network in the place of the host's does not give. What is
// allowed no address at all has none there either.
func (m *importer) loseAddresses() {
	const place = "in their place there is no network but a loopback of its own (namespaces.net)"
	by := m.said["IPAddressDeny"]
	hosts := hostEntries(m.allowed)
	switch {
	case by.key == "":
		m.loseAt(m.said["RestrictNetworkInterfaces"], "a policy names no interfaces: %s", place)
	case !slices.Contains(m.denied, "any"):
		m.loseAt(by, "a policy names the hosts that may be reached, and not those that may not: %s; network.hosts names "+
			"some", place)
	case len(m.allowed) > 0:
		m.loseAt(by, "a policy names hosts with their TCP ports, and the unit allows all of these addresses: %s; with the "+
			"ports it is network.hosts = [%s]", place, strings.Join(hosts, ", "))
	}
}

// hostEntries are addresses as network.hosts has them, but for the port.
func hostEntries(allowed []string) (list []string) {
	for _, a := range allowed {
		ranges := map[string][]string{
			"localhost":  {"127.0.0.0/8", "::1"},
			"link-local": {"169.254.0.0/16", "fe80::/64"},
			"multicast":  nil, // no TCP
		}
		of, named := ranges[a]
		if !named {
			of = []string{a}
		}
		for _, text := range of {
			p, err := netip.ParsePrefix(text)
			if err != nil {
				addr, err := netip.ParseAddr(text)
				if err != nil {
					continue // systemd takes it for nothing, too
				}
				p = netip.PrefixFrom(addr, addr.BitLen())
			}
			text = p.Masked().String()
			if p.IsSingleIP() {
				text = p.Addr().String()
			}
			if p.Addr().Is6() {
				text = "[" + text + "]"
			}
			list = append(list, strconv.Quote(text+":PORT"))
		}
	}
	return list
}

// tcpPorts reads an entry of SocketBindAllow= as TCP ports; plain says that
// it means just those, for all families.
func tcpPorts(entry string) (ports []string, plain bool) {
	plain = true
	if rest, ok := strings.CutPrefix(entry, "ipv4:"); ok {
		entry, plain = rest, false
	} else if rest, ok := strings.CutPrefix(entry, "ipv6:"); ok {
		entry, plain = rest, false
	}
	rest, tcp := strings.CutPrefix(entry, "tcp:")
	plain = plain && tcp
	first, last, isRange := strings.Cut(rest, "-")
	if !isRange {
		last = first
	}
	lo, errLo := policy.ParsePort(first)
	hi, errHi := policy.ParsePort(last)
	if errLo != nil || errHi != nil || lo == 0 || hi < lo || hi-lo > 1000 {
		return nil, false // another protocol, all ports, or too many
	}
	for p := int(lo); p <= int(hi); p++ {
		ports = append(ports, strconv.Itoa(p))
	}
	return ports, plain
}
