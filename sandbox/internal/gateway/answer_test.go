package gateway

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"sbx/policy/network"
)

// testSet is a set of rules, and the names in it.
func testSet(t testing.TB, entries ...string) (*network.Set, []string) {
	t.Helper()
	rules, err := network.Rules(entries, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range rules {
		if r.Name != "" && !r.Below {
			names = append(names, r.Name)
		}
	}
	return network.NewSet(rules), names
}

func testAnswerer(t testing.TB, denied *[]string, entries ...string) *answerer {
	set, names := testSet(t, entries...)
	return &answerer{pool: newPool(set, names), ipv6: true, denied: func(name string) {
		if denied != nil {
			*denied = append(*denied, name)
		}
	}}
}

// ask packs a question.
func ask(t testing.TB, name string, kind dnsmessage.Type, more ...func(*dnsmessage.Message)) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 0x1234, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	for _, f := range more {
		f(&m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// answered is a reply in words.
func answered(t testing.TB, b []byte) string {
	t.Helper()
	if b == nil {
		return "nothing"
	}
	var m dnsmessage.Message
	if err := m.Unpack(b); err != nil {
		t.Fatal(err)
	}
	if m.ID != 0x1234 || !m.Response {
		t.Errorf("header %+v", m.Header)
	}
	out := []string{strings.TrimPrefix(m.RCode.String(), "RCode")}
	for _, a := range m.Answers {
		switch x := a.Body.(type) {
		case *dnsmessage.AResource:
			out = append(out, netip.AddrFrom4(x.A).String())
		case *dnsmessage.AAAAResource:
			out = append(out, netip.AddrFrom16(x.AAAA).String())
		case *dnsmessage.PTRResource:
			out = append(out, x.PTR.String())
		default:
			t.Errorf("an answer of type %v", a.Header.Type)
		}
	}
	return strings.Join(out, " ")
}

func TestAnswers(t *testing.T) {
	var denied []string
	a := testAnswerer(t, &denied, "b.org:443", "a.com:443", "*.w.net:443", "10.0.0.0/8:80")
	const svcb, https, any, axfr = 64, 65, 255, 252
	for _, c := range []struct {
		name string
		kind dnsmessage.Type
		want string
	}{
		{"a.com.", dnsmessage.TypeA, "Success 198.18.1.0"},
		{"A.Com.", dnsmessage.TypeA, "Success 198.18.1.0"},
		{"a.com.", dnsmessage.TypeAAAA, "Success fd73:6278::c612:100"},
		{"b.org.", dnsmessage.TypeA, "Success 198.18.1.1"},
		{"b.org.", any, "Success 198.18.1.1 fd73:6278::c612:101"},
		{"x.w.net.", dnsmessage.TypeA, "Success 198.18.1.2"},
		{"y.x.w.net.", dnsmessage.TypeA, "Success 198.18.1.3"},
		{"x.w.net.", dnsmessage.TypeAAAA, "Success fd73:6278::c612:102"},
		{"w.net.", dnsmessage.TypeA, "NameError"},
		{"a.com.", https, "Success"}, {"a.com.", svcb, "Success"}, {"a.com.", dnsmessage.TypeTXT, "Success"},
		{"a.com.", dnsmessage.TypeMX, "Success"}, {"a.com.", axfr, "Refused"},
		{"x.a.com.", dnsmessage.TypeA, "NameError"}, {"evil.example.", dnsmessage.TypeTXT, "NameError"},
		{".", dnsmessage.TypeNS, "NameError"}, {"com.", dnsmessage.TypeNS, "NameError"},
		{"localhost.", dnsmessage.TypeA, "Success 127.0.0.1"}, {"x.localhost.", dnsmessage.TypeAAAA, "Success ::1"},
		{"0.1.18.198.in-addr.arpa.", dnsmessage.TypePTR, "Success a.com."},
		{"1.0.0.127.in-addr.arpa.", dnsmessage.TypePTR, "Success localhost."},
		{"9.9.18.198.in-addr.arpa.", dnsmessage.TypePTR, "NameError"},
		{"1.1.1.1.in-addr.arpa.", dnsmessage.TypePTR, "NameError"},
		{"1.0.1.0.2.1.6.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.7.2.6.3.7.d.f.ip6.arpa.", dnsmessage.TypePTR, "Success b.org."},
		{"x.0.1.0.2.1.6.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.7.2.6.3.7.d.f.ip6.arpa.", dnsmessage.TypePTR, "NameError"},
		{"ip6.arpa.", dnsmessage.TypePTR, "NameError"},
	} {
		if got := answered(t, a.reply(ask(t, c.name, c.kind), time.Now())); got != c.want {
			t.Errorf("%s %v: %s, not %s", c.name, c.kind, got, c.want)
		}
	}
	if want := []string{"w.net", "x.a.com", "evil.example", "com"}; !slices.Equal(denied, want) {
		t.Errorf("told of %q, not of %q", denied, want)
	}
	a.ipv6 = false
	if got := answered(t, a.reply(ask(t, "a.com.", dnsmessage.TypeAAAA), time.Now())); got != "Success" {
		t.Errorf("without IPv6: %s", got)
	}
}

// TestOddMessages: what is no plain question gets an error or no answer.
func TestOddMessages(t *testing.T) {
	a := testAnswerer(t, nil, "a.com:443")
	edns := func(m *dnsmessage.Message) {
		var h dnsmessage.ResourceHeader
		if err := h.SetEDNS0(4096, dnsmessage.RCodeSuccess, true); err != nil {
			t.Fatal(err)
		}
		m.Additionals = append(m.Additionals, dnsmessage.Resource{Header: h, Body: &dnsmessage.OPTResource{}})
	}
	plain := ask(t, "a.com.", dnsmessage.TypeA)
	for what, c := range map[string]struct {
		message []byte
		want    string
	}{
		"EDNS": {ask(t, "a.com.", dnsmessage.TypeA, edns), "Success 198.18.1.0"},
		"an answer": {ask(t, "a.com.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Response = true }),
			"nothing"},
		"an update": {ask(t, "a.com.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.OpCode = 5 }),
			"NotImplemented"},
		"no question": {ask(t, "a.com.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Questions = nil }),
			"FormatError"},
		"two questions": {ask(t, "a.com.", 1, func(m *dnsmessage.Message) {
			m.Questions = append(m.Questions,
				m.Questions[0])
		}), "FormatError"},
		"class CHAOS":          {ask(t, "a.com.", 16, func(m *dnsmessage.Message) { m.Questions[0].Class = 3 }), "Refused"},
		"nothing":              {nil, "nothing"},
		"a byte":               {[]byte{1}, "nothing"},
		"a header":             {plain[:12], "FormatError"},
		"cut short":            {plain[:len(plain)-1], "FormatError"},
		"more records claimed": {append(slices.Clone(plain[:11]), append([]byte{7}, plain[12:]...)...), "FormatError"},
		"a name with a space":  {ask(t, "a b.com.", dnsmessage.TypeA), "NameError"},
		"a name with a zero":   {ask(t, "a\x00b.com.", dnsmessage.TypeA), "NameError"},
		"rubbish behind it":    {append(slices.Clone(plain), 1, 2, 3), "Success 198.18.1.0"},
		"a pointer to itself":  {[]byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1}, "FormatError"},
	} {
		if got := answered(t, a.reply(c.message, time.Now())); got != c.want {
			t.Errorf("%s: %s, not %s", what, got, c.want)
		}
	}
}

// TestBounds: names below a wildcard are bounded in length, rate and number; those that
// are listed are not.
func TestBounds(t *testing.T) {
	entries := []string{"*.w.net:443"}
	for i := range 10_000 {
		entries = append(entries, fmt.Sprintf("h%05d.example:443", i))
	}
	a := testAnswerer(t, nil, entries...)
	now := time.Unix(1000, 0)
	seen := map[string]bool{}
	for i := range 10_000 {
		got := answered(t, a.reply(ask(t, fmt.Sprintf("h%05d.example.", i), dnsmessage.TypeA), now))
		if !strings.HasPrefix(got, "Success 198.1") || seen[got] {
			t.Fatalf("name %d: %s", i, got)
		}
		seen[got] = true
		addr := netip.MustParseAddr(strings.TrimPrefix(got, "Success "))
		if name, ok := a.pool.name(addr); !ok || name != fmt.Sprintf("h%05d.example", i) {
			t.Fatalf("%s is %q", addr, name)
		}
		if name, ok := a.pool.name(inIPv6(addr)); !ok || name != fmt.Sprintf("h%05d.example", i) {
			t.Fatalf("%s is %q", inIPv6(addr), name)
		}
	}
	count := func(now time.Time, prefix string) (n int) {
		for i := range 1000 {
			if answered(t, a.reply(ask(t, fmt.Sprintf("%s%d.w.net.", prefix, i), dnsmessage.TypeA), now)) != "ServerFailure" {
				n++
			}
		}
		return n
	}
	if n := count(now, "a"); n != belowBurst {
		t.Errorf("%d names at once", n)
	}
	if n := count(now.Add(2*time.Second), "b"); n != 2*belowRate {
		t.Errorf("%d names in two seconds", n)
	}
	if n := count(now.Add(2*time.Second), "a"); n != belowBurst {
		t.Errorf("of names that have an address already, %d keep it", n)
	}
	long := strings.Repeat("a", 60) + "." + strings.Repeat("b", 63) + ".w.net."
	if got := answered(t, a.reply(ask(t, long, dnsmessage.TypeA), now.Add(time.Hour))); got != "ServerFailure" {
		t.Errorf("a long name: %s", got)
	}
	for _, s := range []string{"198.18.0.1", "198.18.0.255", "198.19.255.255", "1.1.1.1", "::1", "fd73:6278::1:c612:100",
		"0.0.0.0"} {
		if name, ok := a.pool.name(netip.MustParseAddr(s)); ok {
			t.Errorf("%s is %q", s, name)
		}
	}
}

// FuzzReply: whatever comes, the reply is a message that can be read, bears the question's
// number, and gives addresses to names only that a rule is about.
func FuzzReply(f *testing.F) {
	f.Add(ask(f, "a.com.", dnsmessage.TypeA))
	f.Add(ask(f, "x.w.net.", dnsmessage.TypeAAAA))
	f.Add(ask(f, "0.1.18.198.in-addr.arpa.", dnsmessage.TypePTR))
	f.Add([]byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1})
	a := testAnswerer(f, nil, "a.com:443", "*.w.net:443")
	f.Fuzz(func(t *testing.T, b []byte) {
		out := a.reply(b, time.Now())
		if out == nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(out); err != nil || len(out) > maxMessage || out[0] != b[0] || out[1] != b[1] || !m.Response {
			t.Fatalf("%v: %d bytes, %+v", err, len(out), m.Header)
		}
		for _, x := range m.Answers {
			if x.Header.Type == dnsmessage.TypePTR {
				continue
			}
			name, err := network.Canonical(x.Header.Name.String())
			if err != nil || !a.pool.set.Names(name) && name != "localhost" && !strings.HasSuffix(name, ".localhost") {
				t.Fatalf("an address for %q", name)
			}
		}
	})
}
