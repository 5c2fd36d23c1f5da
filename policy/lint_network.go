package policy

import (
	"net/netip"
	"strings"

	"sbx/policy/network"
)

// network finds entries that another one covers, and those that open more than is
// mostly meant.
func (l *linter) network() {
	n := l.whole.Network
	metadata4, metadata6 := netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254")
	var all []network.Rule
	own := map[string]network.Rule{} // of entries that are no group
	for _, entry := range n.Hosts {
		one := n
		one.Hosts = []string{entry}
		rules, err := one.Rules()
		if err != nil {
			continue // Resolve has refused it
		}
		if !strings.HasPrefix(entry, "@") {
			own[entry] = rules[0]
		}
		for _, r := range rules {
			all = append(all, r)
			switch a := r.Prefix.Addr(); {
			case r.Below && !strings.Contains(r.Name, "."):
				l.add("wide-host", "network.hosts", entry, "%q is about all names below %s", entry, r.Name)
			case r.Name == "" && (a.Is4() && r.Prefix.Bits() < 8 || a.Is6() && r.Prefix.Bits() < 16):
				l.add("wide-host", "network.hosts", entry, "%q is about most of the internet", entry)
			case r.Name == "" && (r.Prefix.Contains(metadata4) || r.Prefix.Contains(metadata6)):
				l.add("metadata", "network.hosts", entry, "%q: there clouds hand credentials to the programs of a machine", entry)
			}
		}
	}
	cover := network.NewCover(all)
	for _, entry := range n.Hosts {
		if r, ok := own[entry]; ok && cover.Wider(r) {
			l.add("shadowed", "network.hosts", entry, "%q is allowed by another entry already", entry)
		}
	}
	for _, entry := range n.Listen {
		if x, err := network.ParseListen(entry); err == nil && x.Path == "" && !x.Addr.IsLoopback() {
			where := "at " + x.Addr.String()
			if x.Addr == netip.IPv4Unspecified() || x.Addr == netip.IPv6Unspecified() {
				where = "at all of the host's addresses"
			}
			l.add("published", "network.listen", entry, "%q lets other machines connect, %s", entry, where)
		}
	}
}
