package policy

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sbx/policy/network"
)

// checkHost takes an entry of network.hosts.
func checkHost(s string) (string, *fault) {
	entry, err := network.Entry(s)
	if err == nil {
		return entry, nil
	}
	f := networkFault(err)
	switch {
	case strings.HasPrefix(s, "@"):
		return "", f.like(s, network.Groups())
	case strings.Contains(s, "://"):
		return "", faultf("%q is the address of a page, and an entry names a host", s).or(`as in "example.com:443"`)
	}
	return "", f
}

// checkListen takes an entry of network.listen.
func checkListen(s string) (string, *fault) {
	l, err := network.ParseListen(s)
	if err != nil {
		return "", networkFault(err)
	}
	return l.String(), nil
}

func networkFault(err error) *fault {
	f := &fault{msg: err.Error()}
	var e *network.Error
	if errors.As(err, &e) {
		f.hint = e.Fix
	}
	return f
}

// Rules are the rules that Hosts stand for, each with its port.
func (n *Network) Rules() ([]network.Rule, error) {
	port := uint16(0)
	if n.Port != "" {
		var err error
		if port, err = ParsePort(n.Port); err != nil {
			return nil, err
		}
	}
	return network.Rules(n.Hosts, port)
}

// Published are the entries of Listen.
func (n *Network) Published() ([]network.Listen, error) {
	var out []network.Listen
	for _, s := range n.Listen {
		l, err := network.ParseListen(s)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// expandListen puts values in the place of the variables in paths of sockets.
func (p *Policy) expandListen(v *Vars) error {
	var list []string
	for _, entry := range p.Network.Listen {
		s, missing, err := v.expand(entry)
		if err == nil && missing != "" {
			err = errors.New(strconv.Quote(entry) + ": ${" + missing + "} has no value here")
		}
		if err != nil {
			return &Error{File: p.Name, Msg: "network.listen: " + err.Error()}
		}
		entry, bad := checkListen(s)
		if bad != nil {
			return &Error{File: p.Name, Msg: "network.listen: " + bad.msg, Fix: bad.hint}
		}
		list = append(list, entry)
	}
	p.Network.Listen = list
	return nil
}

// AddHost says one more entry of network.hosts, for one that comes from a command line.
// A policy with the host's network gets one of its own for it.
func (p *Policy) AddHost(s string) error {
	entry, bad := checkHost(s)
	if bad != nil {
		return &Error{Msg: bad.msg, Fix: bad.hint}
	}
	n := p.Network
	n.Hosts = []string{entry}
	if _, err := n.Rules(); err != nil {
		f := networkFault(err)
		return &Error{Msg: f.msg, Fix: f.hint}
	}
	p.Network.Hosts = addOnce(p.Network.Hosts, entry)
	return p.ownNetwork()
}

// AddListen is AddHost for network.listen.
func (p *Policy) AddListen(s string) error {
	entry, bad := checkListen(s)
	if bad != nil {
		return &Error{Msg: bad.msg, Fix: bad.hint}
	}
	p.Network.Listen = addOnce(p.Network.Listen, entry)
	return p.ownNetwork()
}

func addOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(slices.Clone(list), s)
}

// OwnNames adds the files by which programs find hosts, where a policy that was expanded
// names such: the host's own name servers, search domains and names are not there inside.
// What the policy says of the same files stays.
func (p *Policy) OwnNames() {
	if len(p.Network.Hosts) == 0 {
		return
	}
	f := &p.Files
	own := maps.Clone(f.Inline)
	if own == nil {
		own = map[string]string{}
	}
	for _, x := range [...]struct{ path, text string }{
		{"/etc/resolv.conf", "nameserver " + NameServer + "\n"},
		{"/etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"},
		{"/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n" +
			"protocols: files\nservices: files\nethers: files\nrpc: files\nnetgroup: files\n"},
	} {
		if _, said := own[x.path]; said || f.Symlinks[x.path] != "" {
			continue
		}
		own[x.path] = x.text
		f.Read = slices.DeleteFunc(slices.Clone(f.Read), func(e string) bool { return withoutMark(e) == x.path })
	}
	f.Inline = own
}

// NameServer is the address inside that resolv.conf names.
const NameServer = "198.18.0.1"

// ownNetwork gives the policy a new network namespace, in which what it says of hosts
// holds.
func (p *Policy) ownNetwork() error {
	switch {
	case p.Network.Bind != nil || p.Network.Connect != nil:
		return &Error{Msg: "the policy names ports of the host's network (network.bind, network.connect)",
			Fix: "use another policy, or hosts in the place of ports in a file that extends it"}
	case p.Namespaces.Net == "host":
		p.Namespaces.Net = "new"
	}
	return nil
}

// hostsAgree refuses what the other keys leave no place for, and entries without a port.
func (p *Policy) hostsAgree() error {
	var errs errorList
	for _, l := range [...]struct {
		key  string
		list []string
	}{{"network.hosts", p.Network.Hosts}, {"network.listen", p.Network.Listen}} {
		if len(l.list) == 0 {
			continue
		}
		at := func(f *fault) { errs.add(p.placed(l.key, l.list[0], f)) }
		if net := p.Namespaces.Net; net != "new" {
			at(faultf("%s: namespaces.net is %q, and only a new network namespace is held to it", l.key, net).
				or(`say net = "new" in [namespaces]`))
		}
		if p.Network.Bind != nil || p.Network.Connect != nil {
			at(faultf("%s: network.bind and network.connect name ports of the host's network, which is not there then", l.key).
				or("take the one or the other out"))
		}
	}
	for _, entry := range p.Network.Hosts {
		n := p.Network
		n.Hosts = []string{entry}
		if _, err := n.Rules(); err != nil {
			errs.add(p.placed("network.hosts", entry, networkFault(err)))
		}
	}
	return errs.err()
}

// hosts compares what may be reached by name or address, and what is published.
func (d *Difference) hosts(a, b *Policy) error {
	var rules [2][]network.Rule
	var published [2][]network.Listen
	for i, p := range [...]*Policy{a, b} {
		var err error
		if rules[i], err = p.Network.Rules(); err != nil {
			return err
		}
		if published[i], err = p.Network.Published(); err != nil {
			return err
		}
	}
	for i, by := range [...]int{-1, 1} {
		other, cover := [...]*Policy{b, a}[i], network.NewCover(rules[1-i])
		for _, r := range rules[i] {
			if !other.open(other.Network.Connect, r.Port) && !cover.Covers(r) {
				d.step(by, "reach %s", r)
			}
		}
		for _, l := range published[i] {
			if (l.Path != "" || !other.open(other.Network.Bind, l.Outer)) &&
				!slices.ContainsFunc(published[1-i], func(o network.Listen) bool { return o.Covers(l) }) {
				d.step(by, "listen on the host at %s", l)
			}
		}
	}
	return nil
}

// open says whether the policy leaves the port to the host's network.
func (p *Policy) open(ports []string, port uint16) bool {
	return p.Namespaces.Net == "host" && (ports == nil || slices.ContainsFunc(ports, func(s string) bool {
		n, err := ParsePort(s)
		return err == nil && n == port
	}))
}
