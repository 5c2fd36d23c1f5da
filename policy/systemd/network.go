package systemd

import (
	"cmp"
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
		by := m.said["IPAddressDeny"]
		if by.key == "" {
			by = m.said["RestrictNetworkInterfaces"]
		}
		m.loseAt(by,
			"a policy has no word for addresses and interfaces: in their place there is no network but a loopback of its own "+
				"(namespaces.net)")
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
