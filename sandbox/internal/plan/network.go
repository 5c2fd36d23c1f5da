package plan

import (
	"fmt"
	"strings"

	"sbx/internal/text"
	"sbx/ns"
	"sbx/policy"
	"sbx/policy/network"
	"sbx/sandbox/internal/gateway"
	"sbx/sandbox/internal/host"
)

// decideNetwork decides what the sandbox's network leads to, where the policy names hosts or
// something to listen on.
func (d *decisions) decideNetwork(p *policy.Policy, t host.Target, h *host.Facts) error {
	if len(p.Network.Hosts)+len(p.Network.Listen) == 0 {
		return nil
	}
	if d.ns.new&ns.Net == 0 {
		return &host.NeedError{
			Reason: host.WrongNamespace,
			What:   "reach hosts by name: the network namespace is not a new one, so nothing would hold the target to them",
			Fix:    "say net = \"new\" in the policy's [namespaces]",
		}
	}
	rules, err := p.Network.Rules()
	if err != nil {
		return err
	}
	c := &gateway.Config{Rules: rules, IPv6: h.IPv6, Hostname: d.hostname}
	if c.Publish, err = p.Network.Published(); err != nil {
		return err
	}
	if len(rules) > 0 {
		d.catch = &gateway.Catch{Ports: network.NewSet(rules).Ports(), IPv6: h.IPv6}
		if n := len(d.catch.Ports); n > gateway.MaxPorts {
			return host.Refuse(host.Impossible, "reach hosts at %d different ports: %d is the most", n, gateway.MaxPorts)
		}
		if c.Proxy, err = gateway.ProxyOf(t.Env); err != nil {
			return &host.NeedError{
				Reason: host.Invalid, What: "reach hosts through the host's proxy: " + err.Error(),
				Fix: "name an HTTP proxy as http://HOST:PORT, or unset the variable for sbx",
			}
		}
		const most = 20
		var names []string
		for _, r := range rules[:min(most, len(rules))] {
			names = append(names, r.String())
		}
		remark := "the target reaches " + strings.Join(names, ", ")
		if more := len(rules) - most; more > 0 {
			remark += fmt.Sprintf(" and %d more", more)
		}
		if c.Proxy != nil {
			remark += fmt.Sprintf(", through the proxy %s", text.Quote(c.Proxy.String()))
		}
		d.remarks = append(d.remarks, remark)
	}
	d.gateway = c
	return nil
}

// proxyVariable says whether a variable names a proxy, which the launcher uses itself where
// hosts are reached by name: the target could not, and its credentials stay outside.
func proxyVariable(name string) bool {
	switch strings.ToLower(name) {
	case "http_proxy", "https_proxy", "all_proxy", "no_proxy":
		return true
	}
	return false
}
