package gateway

import (
	"net/netip"
	"slices"
	"testing"
)

func TestAddressesOf(t *testing.T) {
	const text = "# 9.9.9.9 proxy\n127.0.0.1 localhost\n10.0.0.1\tProxy.Corp. proxy # 9.9.9.9 last\nnonsense proxy\n" +
		"fe80::1%lo six\n2001:db8::1 proxy\n10.0.0.2 notproxy proxy.corp.example a..b\n10.0.0.3\n::ffff:10.0.0.4 last"
	for name, want := range map[string][]string{
		"proxy": {"10.0.0.1", "2001:db8::1"}, "proxy.corp": {"10.0.0.1"}, "corp": nil, "six": {"fe80::1%lo"},
		"last": {"10.0.0.4"}, "10.0.0.3": nil, "": nil,
	} {
		var addrs []netip.Addr
		for _, s := range want {
			addrs = append(addrs, netip.MustParseAddr(s))
		}
		if got := addressesOf(text, name); !slices.Equal(got, addrs) {
			t.Errorf("%q has %v, want %v", name, got, addrs)
		}
	}
}

// TestOwnTranslated: an address of the host's own is one behind a translator, too.
func TestOwnTranslated(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1": true, "64:ff9b::127.0.0.1": true, "64:ff9b::192.0.2.77": false} {
		g := &Gateway{}
		// Without a route there is an error besides.
		if own, _ := g.own(netip.AddrPortFrom(netip.MustParseAddr(addr), 80)); own != want {
			t.Errorf("%s is the host's own: %v, want %v", addr, own, want)
		}
	}
}
