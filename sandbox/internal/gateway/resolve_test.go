package gateway

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func TestResolvConf(t *testing.T) {
	c := parseResolvConf("# x\nsearch a.com\nnameserver 1.2.3.4\nnameserver nonsense\nnameserver 2001:db8::1\n" +
		"nameserver fe80::1%lo\nnameserver 9.9.9.9\noptions ndots:3 timeout:99 attempts:1 rotate\noptions timeout:0\n")
	if len(c.servers) != 3 || c.servers[0] != netip.MustParseAddrPort("1.2.3.4:53") ||
		c.servers[1] != netip.MustParseAddrPort("[2001:db8::1]:53") || c.timeout != 30*time.Second || c.attempts != 1 {
		t.Errorf("%+v", c)
	}
	if c := parseResolvConf(""); len(c.servers) != 1 || c.servers[0] != netip.MustParseAddrPort("127.0.0.1:53") {
		t.Errorf("%+v", c)
	}
}

// nameServer answers with what answer makes of a question, by UDP and TCP. Several answers
// are sent one after the other, by UDP.
func nameServer(t *testing.T, answer func(q dnsmessage.Message, tcp bool) []dnsmessage.Message) *resolverConfig {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); u.Close() })
	packed := func(b []byte, tcp bool) (out [][]byte) {
		var m dnsmessage.Message
		if err := m.Unpack(b); err != nil {
			t.Errorf("the question: %v", err)
			return nil
		}
		for _, a := range answer(m, tcp) {
			b, err := a.Pack()
			if err != nil {
				t.Error(err)
			}
			out = append(out, b)
		}
		return out
	}
	go func() {
		b := make([]byte, 2000)
		for {
			n, from, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			for _, a := range packed(b[:n], false) {
				u.WriteTo(a, from)
			}
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 2)
			if _, err := io.ReadFull(c, b); err == nil {
				b = make([]byte, binary.BigEndian.Uint16(b))
				if _, err := io.ReadFull(c, b); err == nil {
					for _, a := range packed(b, true) {
						c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
					}
				}
			}
			c.Close()
		}
	}()
	return &resolverConfig{servers: []netip.AddrPort{netip.MustParseAddrPort(l.Addr().String())},
		timeout:  300 * time.Millisecond,
		attempts: 1}
}

func resource(name string, ttl uint32, body dnsmessage.ResourceBody) dnsmessage.Resource {
	return dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name),
		Class: dnsmessage.ClassINET, TTL: ttl}, Body: body}
}

// TestResolve: only answers to the question count, and of them only what belongs to the name.
func TestResolve(t *testing.T) {
	a := func(s string) *dnsmessage.AResource { return &dnsmessage.AResource{A: netip.MustParseAddr(s).As4()} }
	cname := func(s string) *dnsmessage.CNAMEResource {
		return &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(s)}
	}
	big := make([]dnsmessage.Resource, 300)
	for i := range big {
		big[i] = resource("x.com.", 9, a("1.2.3.4"))
	}
	for name, c := range map[string]struct {
		answer func(m *dnsmessage.Message, tcp bool) []dnsmessage.Message
		want   string
	}{
		"addresses": {func(m *dnsmessage.Message, _ bool) []dnsmessage.Message {
			m.Answers = []dnsmessage.Resource{resource("X.com.", 9, a("1.2.3.4")), resource("x.com.", 9, a("1.2.3.5"))}
			return nil
		}, "1.2.3.4 1.2.3.5"},
		"another name": {func(m *dnsmessage.Message, _ bool) []dnsmessage.Message {
			m.Answers = []dnsmessage.Resource{resource("x.com.", 9, cname("y.com.")), resource("y.com.", 9, cname("z.com.")),
				resource("evil.com.", 9, a("6.6.6.6")), resource("z.com.", 9, a("1.2.3.4"))}
			return nil
		}, "1.2.3.4"},
		"others only": {func(m *dnsmessage.Message, _ bool) []dnsmessage.Message {
			m.Answers = []dnsmessage.Resource{resource("evil.com.", 9, a("6.6.6.6"))}
			return nil
		}, "the name has no address"},
		"no name": {func(m *dnsmessage.Message, _ bool) []dnsmessage.Message {
			m.RCode = dnsmessage.RCodeNameError
			return nil
		}, errNoName.Error()},
		"a failure": {func(m *dnsmessage.Message, _ bool) []dnsmessage.Message {
			m.RCode = dnsmessage.RCodeServerFailure
			return nil
		}, "the server answered ServerFailure"},
		"forged before": {func(m *dnsmessage.Message, _ bool) []dnsmessage.Message {
			id, question, kind := *m, *m, *m
			id.ID++
			id.Answers = []dnsmessage.Resource{resource("x.com.", 9, a("6.6.6.6"))}
			question.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName("evil.com."), Type: dnsmessage.TypeA,
				Class: dnsmessage.ClassINET}}
			question.Answers = id.Answers
			kind.Response = false
			m.Answers = []dnsmessage.Resource{resource("x.com.", 9, a("1.2.3.4"))}
			return []dnsmessage.Message{id, question, kind}
		}, "1.2.3.4"},
		"too long for UDP": {func(m *dnsmessage.Message, tcp bool) []dnsmessage.Message {
			if m.Truncated = !tcp; tcp {
				m.Answers = big
			}
			return nil
		}, strings.TrimSpace(strings.Repeat("1.2.3.4 ", len(big)))},
		"silence": {nil, "connection timed out"},
	} {
		server := nameServer(t, func(m dnsmessage.Message, tcp bool) []dnsmessage.Message {
			if c.answer == nil {
				return nil
			}
			if m.Response = true; m.Questions[0].Type != dnsmessage.TypeA {
				return []dnsmessage.Message{m}
			}
			before := c.answer(&m, tcp)
			return append(before, m)
		})
		r := server.resolve("x.com")
		var got []string
		for _, a := range r.addrs {
			got = append(got, a.String())
		}
		said := strings.Join(got, " ")
		if r.err != nil {
			said = r.err.Error()
		}
		if !strings.HasSuffix(said, c.want) {
			t.Errorf("%s: %.100s, not %.100s", name, said, c.want)
		}
		if r.err == nil && (time.Until(r.until) > 10*time.Second || time.Until(r.until) < leastTTL/2) {
			t.Errorf("%s: kept until %v", name, r.until)
		}
	}
}

// FuzzReadReply: no answer of a server's makes us fail, and it gives addresses of the kind
// that was asked for.
func FuzzReadReply(f *testing.F) {
	q := dnsmessage.Question{Name: dnsmessage.MustNewName("x.com."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 1, Response: true}, Questions: []dnsmessage.Question{q},
		Answers: []dnsmessage.Resource{resource("x.com.", 9, &dnsmessage.AResource{A: [4]byte{1, 2, 3, 4}})}}
	b, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		addrs, _, _, ok, err := readReply(b, 1, q)
		if len(addrs) > 0 && (!ok || err != nil) {
			t.Fatalf("%v: %v, %v", addrs, ok, err)
		}
		for _, a := range addrs {
			if !a.Is4() {
				t.Fatal(a)
			}
		}
	})
}

func TestProxyOf(t *testing.T) {
	p, err := ProxyOf([]string{"HTTPS_PROXY=http://other:1", "https_proxy=http://u:p%40@Proxy.Example:3128/",
		"no_proxy=a.com, .b.com,*.c.com,10.0.0.0/8,[::1],1.2.3.4,[2001:db8::2]:443,0:0::5," +
			"1.2.3.6:80,2001:db8:1::/48"})
	if err != nil || p.String() != "proxy.example:3128" || p.Addr.IsValid() {
		t.Fatalf("%+v, %v", p, err)
	}
	if h := string(p.hello("2001:db8::1",
		443).request); h != "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n"+
		"Proxy-Authorization: Basic dTpwQA==\r\n\r\n" {
		t.Errorf("%q", h)
	}
	for host, want := range map[string]bool{"a.com": false, "x.a.com": false, "xa.com": true, "b.com": false,
		"x.b.com": false,
		"x.c.com": false, "10.1.2.3": false, "1.2.3.4": false, "1.2.3.5": true, "1.2.3.6": false, "com": true,
		"::1": false, "::2": true, "2001:db8::2": false, "2001:db8::3": true, "::5": false, "2001:db8:1::9": false} {
		if got := p.carries(host); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
	if p, err := ProxyOf([]string{"HTTPS_PROXY=", "LANG=C"}); p != nil || err != nil || p.carries("a.com") {
		t.Errorf("%v, %v", p, err)
	}
	for _, bad := range []string{"socks5://x", "https://x", "http://", "http://x:0", "http://x:65536", "http://a b:1",
		":::"} {
		if p, err := ProxyOf([]string{"HTTPS_PROXY=" + bad}); err == nil {
			t.Errorf("%q is %v", bad, p)
		} else if errors.Unwrap(err) == nil && strings.Contains(err.Error(), "@") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
