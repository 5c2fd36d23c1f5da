package plan

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/gateway"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
)

// TestNetworkSteps: the listeners are made after the loopback is up and before the
// capabilities for that are gone, and no variable tells the target of the host's proxy.
func TestNetworkSteps(t *testing.T) {
	p := plantest.Shipped(t, "default")
	p.Network.Hosts = []string{"a.example:443", "b.example:80", "@pypi"}
	p.Process.Env = append(p.Process.Env, "HTTPS_PROXY", "no_proxy")
	h := plantest.Debian(p, 1000)
	h.IPv6 = true
	target := host.Target{Path: "/bin/true", Args: []string{"true"}, Project: "/home/u/p", Home: "/home/u",
		Dir: "/home/u/p",
		Env: []string{"HTTPS_PROXY=http://u:secret@proxy.example:3128", "no_proxy=x", "LANG=C"}}
	plan, err := Build(p, plantest.AllowAll, target, h)
	if err != nil {
		t.Fatal(err)
	}
	at := func(want step.Step) int {
		i := slices.IndexFunc(plan.Setup, func(s step.Step) bool { return reflect.DeepEqual(s, want) })
		if i < 0 {
			t.Errorf("no step %q", want)
		}
		return i
	}
	up, route := at(ns.Loopback{}), at(gateway.Route{IPv6: true})
	catch := at(gateway.Catch{Ports: []uint16{80, 443}, IPv6: true})
	if up > route || route > catch {
		t.Errorf("the order is %d, %d, %d", up, route, catch)
	}
	said := plan.String()
	if strings.Contains(said, "secret") || !strings.Contains(said, "the target reaches a.example:443, b.example:80, "+
		"pypi.org:443, files.pythonhosted.org:443, through the proxy proxy.example:3128") {
		t.Errorf("the plan says\n%s", said[strings.Index(said, "bring the loopback"):])
	}
	if env := fmt.Sprint(plan.Target[len(plan.Target)-1]); strings.Contains(strings.ToLower(env), "proxy") {
		t.Errorf("the target's environment: %s", env)
	}
	if plan.Gateway == nil || len(plan.Gateway.Rules) != 4 || plan.Gateway.Proxy == nil {
		t.Errorf("the gateway is %+v", plan.Gateway)
	}
}

// TestNetworkRefused: what would leave another way, or none, is refused.
func TestNetworkRefused(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*policy.Policy)
		env  string
		want host.Reason
	}{
		"the host's network": {func(p *policy.Policy) { p.Namespaces.Net = "host" }, "", host.WrongNamespace},
		"too many ports": {func(p *policy.Policy) {
			for i := range gateway.MaxPorts {
				p.Network.Hosts = append(p.Network.Hosts, fmt.Sprintf("a.example:%d", 1000+i))
			}
		}, "", host.Impossible},
		"a socket of the host's where the program writes": {func(p *policy.Policy) {
			p.Files.Write = append(p.Files.Write, "/home/u/p")
			p.Network.Listen = []string{"unix:/home/u/p/x.sock:80"}
		}, "", host.Untrusted},
		"no directory for a socket": {func(p *policy.Policy) {
			p.Network.Listen = []string{"unix:/home/u/none/x.sock:80"}
		}, "", host.Absent},
		"a socket inside where the host's may be": {func(p *policy.Policy) {
			p.Network.Listen = []string{"80:unix:/home/u/p/x.sock"}
		}, "", host.NoPlace},
		"a socket inside where the program makes none": {func(p *policy.Policy) {
			p.Network.Listen = []string{"80:unix:/usr/x.sock"}
		}, "", host.NoPlace},
		"no root file system of its own": {func(p *policy.Policy) {
			p.Namespaces.Mount, p.Network.Listen = "host", []string{"80:unix:/tmp/x.sock"}
		}, "", host.WrongNamespace},
		"another proxy": {func(*policy.Policy) {}, "https_proxy=https://proxy.example", host.Invalid},
	} {
		p := plantest.Shipped(t, "default")
		p.Network.Hosts = []string{"a.example:443"}
		c.edit(p)
		target := host.Target{Path: "/bin/true", Args: []string{"true"}, Project: "/home/u/p", Home: "/home/u",
			Dir: "/home/u/p", Env: []string{c.env}}
		h := plantest.Debian(p, 1000)
		h.Published = map[string]host.File{"/home/u/p/x.sock": h.Files["/home/u/p"]}
		if _, err := Build(p, plantest.AllowAll, target, h); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
