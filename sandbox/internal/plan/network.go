package plan

import (
	"fmt"
	"path"
	"strings"

	"sbx/internal/text"
	"sbx/ns"
	"sbx/policy"
	"sbx/policy/network"
	"sbx/sandbox/internal/gateway"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/rootfs"
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
	published, err := p.Network.Published()
	if err != nil {
		return err
	}
	for _, l := range published {
		x := gateway.Published{Listen: l, Dir: -1}
		if l.Path != "" {
			f := h.Published[l.Path]
			switch {
			case f.Err != nil:
				return fmt.Errorf("listen at %s: %w", text.Quote(l.At()), f.Err)
			case f.Mode == 0:
				return host.Refuse(host.Absent, "listen at %s: there is no directory %s", text.Quote(l.At()),
					text.Quote(path.Dir(l.Path)))
			case !f.Dir():
				return host.Refuse(host.WrongFile, "listen at %s: %s is no directory", text.Quote(l.At()),
					text.Quote(path.Dir(l.Path)))
			}
			x.Dir = f.FD
		}
		c.Publish = append(c.Publish, x)
	}
	if len(rules) > 0 {
		d.taps = h.PacketSockets
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

// checkPublished refuses Unix sockets where they would not be what they seem: on the host
// where the target could put another file in their place, and inside where it cannot make
// them, or where the host's own may be.
func (d *decisions) checkPublished(h *host.Facts) error {
	if d.gateway == nil {
		return nil
	}
	for _, p := range d.gateway.Publish {
		if (p.Path != "" || p.InnerPath != "") && d.tree == nil {
			return &host.NeedError{
				Reason: host.WrongNamespace,
				What:   fmt.Sprintf("lead %s inside: the mount namespace is not a new one", text.Quote(p.String())),
				Fix:    "say mount = \"new\" in the policy's [namespaces]",
			}
		}
		if p.Path != "" {
			if dir, ok := d.tree.WritableAt(h.Published[p.Path]); ok {
				return &host.NeedError{
					Reason: host.Untrusted,
					What: fmt.Sprintf("listen at %s: the program may write to %s, and could put another file in its place",
						text.Quote(p.At()), text.Quote(dir)),
					Fix: "name a path elsewhere, as in unix:/run/app.sock:" + strings.TrimPrefix(p.String(), p.At()+":"),
				}
			}
		}
		if p.InnerPath == "" {
			continue
		}
		if n := d.tree.At(p.InnerPath); n.Kind != rootfs.Tmpfs {
			return &host.NeedError{
				Reason: host.NoPlace,
				What: fmt.Sprintf("lead %s to a socket inside: at %s the sandbox has no directory of its own to make it in",
					text.Quote(p.At()), text.Quote(p.InnerPath)),
				Fix: "name a path in the sandbox's own /tmp, as in " + p.At() + ":unix:/tmp/" + path.Base(p.InnerPath),
			}
		}
	}
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
