package network

import "net/netip"

// special is a range of addresses that no name leads to, and no wider rule reaches.
type special struct {
	prefix netip.Prefix
	what   string
}

// specials are those ranges; see the registries of special-purpose addresses at IANA
// (RFC 6890). Of ranges that overlap the narrower one is first. An array is no garbage.
func specials() [25]special {
	v4 := func(a, b, c, d byte, bits int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b, c, d}), bits)
	}
	v6 := func(a, b byte, bits int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{a, b}), bits)
	}
	return [...]special{
		{v4(0, 0, 0, 0, 8), "this network's"},
		{v4(127, 0, 0, 0, 8), "a loopback"},
		{v4(169, 254, 0, 0, 16), "a link-local"},
		{v4(10, 0, 0, 0, 8), "a private"},
		{v4(172, 16, 0, 0, 12), "a private"},
		{v4(192, 168, 0, 0, 16), "a private"},
		{v4(100, 64, 0, 0, 10), "a carrier's private"},
		{v4(192, 0, 0, 0, 24), "a special"},
		{v4(192, 88, 99, 0, 24), "a tunnel's (6to4)"},
		{v4(198, 18, 0, 0, 15), "a test network's"},
		{v4(224, 0, 0, 0, 4), "a multicast"},
		{v4(240, 0, 0, 0, 4), "a reserved"},
		{netip.PrefixFrom(netip.IPv6Unspecified(), 128), "the unspecified"},
		{netip.PrefixFrom(netip.IPv6Loopback(), 128), "a loopback"},
		{netip.PrefixFrom(netip.IPv6Unspecified(), 96), "an obsolete"}, // IPv4 in IPv6, as no system routes it
		// Of ::ffff:0:a.b.c.d (SIIT, RFC 2765), and of 64:ff9b:1::/48 (RFC 8215), the network
		// decides where in it an IPv4 address stands, and what else is behind a translator.
		{netip.PrefixFrom(netip.AddrFrom16([16]byte{8: 0xff, 9: 0xff}), 96), "a translator's"},
		{netip.PrefixFrom(netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b, 0, 1}), 48), "a local translator's"},
		{v6(0xfe, 0x80, 10), "a link-local"},
		{v6(0xfe, 0xc0, 10), "a site-local"},
		{v6(0xfc, 0, 7), "a unique-local"},
		{v6(0xff, 0, 8), "a multicast"},
		{v6(0x01, 0, 64), "a discarded"},
		{v6(0x20, 0x02, 16), "a tunnel's (6to4)"},
		{v6(0x5f, 0, 16), "a segment's (SRv6)"},
		{netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01}), 32), "a tunnel's (Teredo)"},
	}
}

// Translated is the IPv4 address that a translator (NAT64, RFC 6052) would send to, for
// an address of the range that every such may have. Another address is given as it is.
func Translated(a netip.Addr) netip.Addr {
	b := a.As16()
	if !a.Is6() || b[0] != 0 || b[1] != 0x64 || b[2] != 0xff || b[3] != 0x9b {
		return a
	}
	return netip.AddrFrom4([4]byte(b[12:]))
}

// guardedBy is the special range that the address is in.
func guardedBy(a netip.Addr) (special, bool) {
	for _, x := range [...]netip.Addr{a, Translated(a)} {
		for _, s := range specials() {
			if s.prefix.Contains(x) {
				return s, true
			}
		}
	}
	return special{}, false
}

// Guarded says in words what is special about an address, as "a private": nothing leads
// there without a rule that names the address, or a part of its range. It is "" for an
// ordinary one.
func Guarded(a netip.Addr) string {
	s, _ := guardedBy(a.Unmap())
	return s.what
}
