package network

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sbx/policies/hosts"
)

func TestEntries(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"registry.npmjs.org:443", "registry.npmjs.org:443"},
		{"Registry.NPMJS.org.:443", "registry.npmjs.org:443"},
		{"*.GitHub.com:22", "*.github.com:22"},
		{"example.com", "example.com"},
		{"bücher.example:443", "xn--bcher-kva.example:443"},
		{"BÜCHER.example:443", "xn--bcher-kva.example:443"},
		{"_acme.example.com:443", "_acme.example.com:443"},
		{"10.0.0.0/8:5432", "10.0.0.0/8:5432"},
		{"10.1.2.3:5432", "10.1.2.3:5432"},
		{"10.1.2.3/32:5432", "10.1.2.3:5432"},
		{"[2001:DB8::/32]:443", "[2001:db8::/32]:443"},
		{"[2001:db8::1]:443", "[2001:db8::1]:443"},
		{"[::ffff:10.1.2.3]:443", "10.1.2.3:443"},
		{"0.0.0.0/0:80", "0.0.0.0/0:80"},
		{"@github", "@github"},
	} {
		if got, err := Entry(c.in); got != c.want || err != nil {
			t.Errorf("%q is %q, %v, not %q", c.in, got, err, c.want)
		} else if again, err := Entry(got); again != got || err != nil {
			t.Errorf("%q is %q, %v, when read again", got, again, err)
		}
	}
	for _, bad := range []string{
		"", ":443", "example.com:", "example.com:0", "example.com:65536", "example.com:+443", "example.com:0443",
		"example.com:https",
		"https://example.com", "example.com/x:443", "*:443", "*.:443", "a.*.com:443", "*a.com:443", "**.example.com:443",
		"-a.example.com:443", "a-.example.com:443", "a..example.com:443", ".example.com:443", "exa mple.com:443",
		strings.Repeat("a", 64) + ".com:443", strings.Repeat("a.", 127) + "com:443", "localhost:80", "db.localhost:80",
		"*.localhost:80", "10.0.0.1/8:80", "10.0.0:80", "1.2.3:80", "0x7f000001:80", "010.0.0.1:80", "256.1.1.1:80",
		"2001:db8::1:443", "[2001:db8::1:443", "[2001:db8::1]443", "[example.com]:443", "[::ffff:10.0.0.0/104]:80",
		"[fe80::1%eth0]:80", "@nothing", "@", "@../hosts", "a\x00b.com:443", "xn--\u2028.com:443",
	} {
		if got, err := Entry(bad); err == nil {
			t.Errorf("%q is taken as %q", bad, got)
		}
	}
}

func TestPortOrDefault(t *testing.T) {
	if _, err := Rules([]string{"example.com"}, 0); err == nil {
		t.Error("an entry without a port is a rule")
	} else if e := new(Error); !errors.As(err, &e) || !strings.Contains(e.Fix, `"example.com:443"`) {
		t.Errorf("no hint: %v", err)
	}
	rules, err := Rules([]string{"example.com", "example.org:22"}, 443)
	if err != nil || len(rules) != 2 || rules[0].Port != 443 || rules[1].Port != 22 {
		t.Errorf("%v, %v", rules, err)
	}
}

func TestMatching(t *testing.T) {
	rules, err := Rules([]string{"a.com:443", "a.com:80", "*.b.com:443", "x.y.b.com:22", "10.0.0.0/8:5432", "0.0.0.0/0:25",
		"192.0.2.7:9"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := NewSet(rules)
	for name, port := range map[string]uint16{"a.com": 443, "x.b.com": 443, "x.y.b.com": 443, "y.x.y.b.com": 443} {
		if !s.Name(name, port) || !s.Names(name) {
			t.Errorf("%s:%d does not match", name, port)
		}
	}
	for name, port := range map[string]uint16{"b.com": 443, "xb.com": 443, "x.a.com": 443, "a.com.": 443, "com": 443,
		"":               443,
		"a.com.evil.org": 443, "x.b.com": 22, "y.b.com": 80, ".b.com.x": 443} {
		if s.Name(name, port) {
			t.Errorf("%s:%d matches", name, port)
		}
	}
	if !slices.Equal(s.Ports(), []uint16{9, 22, 25, 80, 443, 5432}) {
		t.Errorf("ports %v", s.Ports())
	}
	for _, c := range []struct {
		addr string
		port uint16
		own  bool
		want bool
	}{
		{"10.1.2.3", 5432, false, true},
		{"::ffff:10.1.2.3", 5432, false, true},
		{"10.1.2.3", 80, false, false},
		{"10.1.2.3", 5432, true, false}, // the host's own takes a rule for it alone
		{"192.0.2.7", 9, true, true},
		{"10.1.2.3", 25, false, false}, // 0.0.0.0/0 is not about private addresses
		{"127.0.0.1", 25, false, false},
		{"169.254.169.254", 25, false, false},
		{"1.1.1.1", 25, false, true},
		{"2606:4700::1", 25, false, false},
	} {
		if got := s.Addr(netip.MustParseAddr(c.addr), c.port, c.own); got != c.want {
			t.Errorf("%s:%d, own %v: %v", c.addr, c.port, c.own, got)
		}
	}
}

// TestGuard: no name leads to a special address, unless a rule names it.
func TestGuard(t *testing.T) {
	none := NewSet(nil)
	for _, a := range []string{
		"0.0.0.0", "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
		"100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
		"255.255.255.255",
		"::", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd00:ec2::254",
		"ff02::1",
		"64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2001:0:1::", "100::1",
		"192.88.99.1", "5f00::1",
		// Translators' of other kinds: 169.254.169.254 in the middle and 8.8.8.8 at the end.
		"64:ff9b:1:a9fe:a9:fe00:808:808", "64:ff9b:1::8.8.8.8", "::ffff:0:10.0.0.1", "::ffff:0:8.8.8.8",
	} {
		if addr := netip.MustParseAddr(a); none.Resolved(addr, 443, false) || Guarded(addr) == "" {
			t.Errorf("a name leads to %s", a)
		}
	}
	for _, a := range []string{
		"1.1.1.1", "172.32.0.1", "192.169.0.1", "9.255.255.255", "100.128.0.1", "2606:4700::1", "2001:db8::1",
		"64:ff9b::1.1.1.1",
	} {
		if addr := netip.MustParseAddr(a); !none.Resolved(addr, 443, false) || Guarded(addr) != "" {
			t.Errorf("no name leads to %s", a)
		}
		if none.Resolved(netip.MustParseAddr(a), 443, true) {
			t.Errorf("a name leads to %s, which is the host's own", a)
		}
	}
	rules, err := Rules([]string{"10.0.0.0/8:443", "127.0.0.1:443", "[fd00::/8]:443"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := NewSet(rules)
	for a, want := range map[string]bool{"10.1.1.1": true, "127.0.0.1": true, "fd12::1": true, "192.168.0.1": false,
		"127.0.0.2": false} {
		if got := s.Resolved(netip.MustParseAddr(a), 443, false); got != want {
			t.Errorf("%s: %v", a, got)
		}
		if s.Resolved(netip.MustParseAddr(a), 80, false) {
			t.Errorf("%s at another port", a)
		}
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"a.com:443", "a.com:443", true}, {"a.com:443", "a.com:80", false}, {"*.a.com:443", "x.a.com:443", true},
		{"*.a.com:443", "a.com:443", false}, {"*.a.com:443", "*.x.a.com:443", true}, {"*.x.a.com:443", "*.a.com:443", false},
		{"*.a.com:443", "*.a.com:443", true}, {"*.a.com:443", "xa.com:443", false}, {"a.com:443", "*.a.com:443", false},
		{"10.0.0.0/8:1", "10.2.0.0/16:1", true}, {"10.0.0.0/8:1", "11.0.0.0/16:1", false}, {"0.0.0.0/0:1", "10.0.0.0/8:1",
			false},
		{"0.0.0.0/0:1", "1.0.0.0/8:1", true}, {"[::/0]:1", "0.0.0.0/0:1", false}, {"1.0.0.0/8:1", "1.1.1.1:1", false},
		{"0.0.0.0/0:1", "a.com:1", false}, {"a.com:1", "1.1.1.1:1", false},
	} {
		a, err := ParseRule(c.a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := ParseRule(c.b)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Covers(b); got != c.want {
			t.Errorf("%s covers %s: %v", a, b, got)
		}
	}
}

func TestListenEntries(t *testing.T) {
	for in, want := range map[string]string{
		"8080": "127.0.0.1:8080:8080", "8080:80": "127.0.0.1:8080:80", "127.0.0.1:9000:9000": "127.0.0.1:9000:9000",
		"0.0.0.0:80": "0.0.0.0:80:80", "[::1]:80:8080": "[::1]:80:8080", "[::]:80": "[::]:80:80",
		"unix:/run/x.sock": "unix:/run/x.sock:unix:/run/x.sock", "unix:/run/x.sock:80": "unix:/run/x.sock:80",
		"unix:/a:unix:/b": "unix:/a:unix:/b", "unix:/a:/b": "unix:/a:unix:/b", "8080:/b": "127.0.0.1:8080:unix:/b",
		"[::1]:80:unix:/b": "[::1]:80:unix:/b", "0.0.0.0:80:unix:/b": "0.0.0.0:80:unix:/b",
		"unix:${HOME}/x:80": "unix:${HOME}/x:80", "unix:/run/1.2.sock": "unix:/run/1.2.sock:unix:/run/1.2.sock",
	} {
		l, err := ParseListen(in)
		if err != nil || l.String() != want {
			t.Errorf("%q is %q, %v", in, l, err)
		} else if again, err := ParseListen(want); again != l || err != nil {
			t.Errorf("%q is %q, %v, when read again", want, again, err)
		}
	}
	for _, bad := range []string{"", "0", "65536", "a", "8080:0", "80:81:82", "1.2.3:80", "127.0.0.1", "[::1]",
		"[::1]80", "::1:80",
		"[127.0.0.1]:80", "[::ffff:1.2.3.4]:80", "[fe80::1%lo]:80",
		"unix:", "unix:x", "unix:/", "unix:/x/", "unix:/x/../y", "unix:/x:0", "unix:/x:y", "unix:/x:80:81", "unix:/x:/",
		"unix:/x:unix:", "unix:/x:unix:80", "unix:/x:tcp:80", "/x", "/x:80", "8080:unix:x", "unix:/a\n", "unix:/a\x00b",
		"unix:/" + strings.Repeat("a", 107), "unix:@x", "8080:tcp:80"} {
		if l, err := ParseListen(bad); err == nil {
			t.Errorf("%q is taken as %q", bad, l)
		}
	}
}

// TestGroups: each group is well formed, and says its source and its date.
func TestGroups(t *testing.T) {
	if len(hosts.Names()) < 5 {
		t.Error("hardly any groups")
	}
	for _, name := range Groups() {
		rules, err := Rules([]string{name}, 0)
		if err != nil || len(rules) == 0 {
			t.Errorf("%s: %v, %v", name, rules, err)
		}
		for i, entry := range hosts.Group(name[1:]) {
			if rules[i].String() != entry {
				t.Errorf("%s: %s is written %s", name, entry, rules[i])
			}
		}
	}
}

// FuzzEntry: what is taken is read again as the same, and its rules match names by whole
// labels only.
func FuzzEntry(f *testing.F) {
	for _, s := range []string{"a.com:443", "*.b.com:1", "10.0.0.0/8:5432", "[2001:db8::/32]:443", "bücher.example:443",
		"@github"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		entry, err := Entry(s)
		if err != nil {
			return
		}
		if again, err := Entry(entry); again != entry || err != nil {
			t.Fatalf("%q is %q, and that is %q, %v", s, entry, again, err)
		}
		r, err := ParseRule(entry)
		if err != nil || r.Name == "" {
			return
		}
		r.Port = 443
		set := NewSet([]Rule{r})
		if set.Name("x"+r.Name, 443) || set.Name(r.Name+".x", 443) || set.Name(r.Name, 80) {
			t.Fatalf("%q matches too much", entry)
		}
		if set.Name("x."+r.Name, 443) != r.Below {
			t.Fatalf("%q and a label below it", entry)
		}
	})
}

// Cover says what a look at each rule says.
func TestCover(t *testing.T) {
	var all []Rule
	for _, s := range []string{
		"a.b.example:1", "b.example:1", "*.b.example:1", "*.example:1", "*.example:2", "example:1", "*.a.b.example:1",
		"ab.example:1",
		"10.0.0.0/8:1", "10.1.0.0/16:1", "10.1.2.3:1", "10.1.2.3:2", "0.0.0.0/0:1", "11.0.0.0/8:1", "11.0.0.1:1", "8.8.8.8:1",
		"8.0.0.0/8:1", "169.254.169.254:1", "169.254.0.0/16:1", "[::/0]:1", "[2001:db8::/32]:1", "[2001:db8::1]:1",
		"[fd00::1]:1",
		"[fc00::/7]:1", "[fd00::/8]:1", "127.0.0.0/8:1", "127.0.0.1:1",
	} {
		r, err := ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var some []Rule
		for _, r := range all {
			if random.IntN(4) == 0 {
				some = append(some, r)
			}
		}
		cover := NewCover(some)
		for _, r := range all {
			want := slices.ContainsFunc(some, func(o Rule) bool { return o.Covers(r) })
			if got := cover.Covers(r); got != want {
				t.Fatalf("%v cover %v: %v", some, r, got)
			}
			want = slices.ContainsFunc(some, func(o Rule) bool { return o != r && o.Covers(r) })
			if got := cover.Wider(r); got != want {
				t.Fatalf("%v have a wider one than %v: %v", some, r, got)
			}
		}
	}
}
