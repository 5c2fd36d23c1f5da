package policy

import (
	"slices"
	"strings"
	"testing"
)

// TestHosts: what [network] says of hosts is put into one form, adds up and is taken
// out; and errors have their place.
func TestHosts(t *testing.T) {
	for _, c := range []struct{ text, hosts, wrong, hint string }{
		{text: "hosts = ['B.org.:443', '@github', 'a.com:443']", hosts: "@github a.com:443 b.org:443"},
		{text: "hosts = ['a.com']\nport = 443", hosts: "a.com"},
		{text: "hosts = ['a.com']", wrong: `f:3:10: "a.com" names no port`,
			hint: `write the port, as in "a.com:443", or say port in [network]`},
		{text: "hosts = ['@githib']", wrong: `f:3:10: there is no group of hosts "@githib"`, hint: `did you mean "@github"?`},
		{text: "hosts = ['a.com:443', 'A.com.:443']", wrong: `f:3:23: "a.com:443" is in network.hosts already`},
		{text: "hosts = ['https://a.com/x']",
			wrong: `f:3:10: "https://a.com/x" is the address of a page, and an entry names a host`,
			hint:  `as in "example.com:443"`},
		{text: "hosts = ['a.com:443']\nconnect = [443]",
			wrong: "f:3:10: network.hosts: network.bind and network.connect name " +
				"ports of the host's network, which is not there then", hint: "take the one or the other out"},
		{text: "hosts = ['a.com:443']\n[namespaces]\nnet = 'host'", wrong: "f:3:10: network.hosts: namespaces.net is " +
			`"host", and only a new network namespace is held to it`, hint: `say net = "new" in [namespaces]`},
		{text: "listen = [8080]", wrong: "f:3:1: network.listen"},
		{text: "listen = ['8080']\n[namespaces]\nnet = 'host'", wrong: "f:3:11: network.listen: namespaces.net is " +
			`"host", and only a new network namespace is held to it`, hint: `say net = "new" in [namespaces]`},
	} {
		p, err := Parse("f", []byte("version = 1\n[network]\n"+c.text+"\n"))
		if err == nil {
			p, err = Resolve(p, nil)
		}
		if c.wrong != "" {
			list, _ := All(err)
			if len(list) == 0 || !strings.HasPrefix(list[0].Error(), c.wrong) || c.hint != "" && list[0].Hint() != c.hint {
				t.Errorf("%s:\n got %v, hint %q\nwant %s, hint %q", c.text, err, list[0].Hint(), c.wrong, c.hint)
			}
			continue
		}
		if err != nil || strings.Join(p.Network.Hosts, " ") != c.hosts {
			t.Errorf("%s: %v, %v", c.text, p, err)
		}
	}
}

func TestHostsMerge(t *testing.T) {
	parent, err := Parse("parent", []byte("version = 1\n[network]\nhosts = ['a.com:443', '*.b.com:443']\nport = 443\n"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Parse("child", []byte("version = 1\nextends = ['parent']\n[network]\nhosts = ['!A.com:443', 'c.com']\n"))
	if err != nil {
		t.Fatal(err)
	}
	p, err = Resolve(p, func(string, *Policy) (*Policy, error) { return parent, nil })
	if err != nil {
		t.Fatal(err)
	}
	rules, err := p.Network.Rules()
	if err != nil || len(rules) != 2 || rules[0].String() != "*.b.com:443" || rules[1].String() != "c.com:443" {
		t.Errorf("%v, %v", rules, err)
	}
}

// TestAddHost: a flag gives a policy with the host's network one of its own, unless that
// would undo what the policy says of ports.
func TestAddHost(t *testing.T) {
	p := &Policy{Namespaces: Namespaces{Net: "host"}}
	for _, s := range []string{"A.com:443", "a.com:443", "@pypi"} {
		if err := p.AddHost(s); err != nil {
			t.Error(err)
		}
	}
	if err := p.AddListen("8080"); err != nil {
		t.Error(err)
	}
	if !slices.Equal(p.Network.Hosts, []string{"a.com:443", "@pypi"}) || p.Namespaces.Net != "new" ||
		!slices.Equal(p.Network.Listen, []string{"127.0.0.1:8080:8080"}) {
		t.Errorf("%+v, %+v", p.Network, p.Namespaces)
	}
	for _, s := range []string{"a.com", "!a.com:443", "@x", ""} {
		if err := p.AddHost(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
	p = &Policy{Namespaces: Namespaces{Net: "host"}, Network: Network{Connect: []string{"443"}}}
	if err := p.AddHost("a.com:443"); err == nil || p.Namespaces.Net != "host" {
		t.Errorf("ports of the policy are forgotten: %v", err)
	}
}

// TestListenExpands: variables in the paths of sockets get their values, and one without a
// value is an error.
func TestListenExpands(t *testing.T) {
	p, err := Parse("f", []byte("version = 1\n[network]\nlisten = ['unix:${HOME}/x.sock:80', '80:unix:${HOME}/y', '9']\n"))
	if err == nil {
		p, err = Resolve(p, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if q, err := p.Expand(Vars{Home: "/home/u"}); err != nil || strings.Join(q.Network.Listen, " ") !=
		"127.0.0.1:80:unix:/home/u/y 127.0.0.1:9:9 unix:/home/u/x.sock:80" {
		t.Errorf("%v, %v", q, err)
	}
	p.Network.Listen = []string{"unix:${XDG_RUNTIME_DIR}/x"}
	if q, err := p.Expand(Vars{Home: "/home/u"}); err == nil ||
		!strings.Contains(err.Error(), "${XDG_RUNTIME_DIR} has no value here") {
		t.Errorf("%v, %v", q, err)
	}
}
