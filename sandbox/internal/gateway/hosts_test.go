package gateway

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
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

// TestProxySearched: the search domains complete the name of a proxy, and that of no other host.
func TestProxySearched(t *testing.T) {
	there := map[string]string{"proxy.corp.example.": "10.0.0.1", "proxy.": "10.0.0.2", "a.b.": "10.0.0.3",
		"a.b.corp.example.": "10.0.0.4", "only.there.corp.example.": "10.0.0.5", "alone.": "10.0.0.6",
		"broken.corp.example.": "10.0.0.7", "silent.corp.example.": "10.0.0.8"}
	server := nameServer(t, func(m dnsmessage.Message, _ bool) []dnsmessage.Message {
		name := m.Questions[0].Name.String()
		m.Response = true
		addr, ok := there[name]
		switch {
		case name == "broken.none.example.":
			m.RCode = dnsmessage.RCodeServerFailure
		case name == "silent.none.example.":
			return nil
		case !ok:
			m.RCode = dnsmessage.RCodeNameError
		case m.Questions[0].Type == dnsmessage.TypeA:
			m.Answers = []dnsmessage.Resource{resource(name, 9,
				&dnsmessage.AResource{A: netip.MustParseAddr(addr).As4()})}
		}
		return []dnsmessage.Message{m}
	})
	const search = "domain wrong.example\nsearch none.example corp.example. a..b\n"
	for _, c := range []struct{ conf, name, want string }{
		{search, "proxy", "10.0.0.1"}, {"", "proxy", "10.0.0.2"}, {"domain corp.example", "proxy", "10.0.0.1"},
		{search + "options ndots:0", "proxy", "10.0.0.2"}, {search, "a.b", "10.0.0.3"},
		{search + "options ndots:2", "a.b", "10.0.0.4"}, {search, "only.there", "10.0.0.5"},
		{search, "alone", "10.0.0.6"}, {search, "broken", "10.0.0.7"}, {search, "silent", ""}, {search, "nobody", ""},
	} {
		conf := parseResolvConf(c.conf)
		conf.servers, conf.timeout, conf.attempts = server.servers, 20*time.Millisecond, 1
		if c.want != "" {
			conf.timeout = 20 * time.Second
		}
		r := conf.resolveSearching(c.name)
		switch {
		case c.want == "" && r.err == nil:
			t.Errorf("%s by %q is at %v", c.name, c.conf, r.addrs)
		case c.want != "" && !slices.Equal(r.addrs, []netip.Addr{netip.MustParseAddr(c.want)}):
			t.Errorf("%s by %q is at %v, want %s: %v", c.name, c.conf, r.addrs, c.want, r.err)
		}
	}
	conf := parseResolvConf(search)
	conf.servers = server.servers
	if r := conf.resolve("only.there"); r.err != errNoName {
		t.Errorf("a name that is no proxy's is at %v: %v", r.addrs, r.err)
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
