package learn

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"sbx/policy"
)

// capabilities adds those that the kernel's rules say were needed.
func (d *draft) capabilities(m *Maker, seen *Seen) {
	list := &d.own.Process.Capabilities
	keep := func(name string, by By) {
		kept := func(s string) bool { return strings.TrimPrefix(s, "?") == name }
		if !slices.ContainsFunc(d.resolved.Process.Capabilities, kept) {
			d.add("process.capabilities", list, "?"+name, comment(by, ""))
		}
	}
	for _, c := range seen.Capabilities {
		keep(c.Name, c.By)
	}
	for _, s := range seen.Sockets {
		at, err := netip.ParseAddrPort(s.Address)
		if s.Call == "bind" && err == nil && at.Port() > 0 && at.Port() < m.FirstPort {
			keep("net_bind_service", s.By)
		}
	}
	slices.Sort(*list)
}

// openHome lets other users than root pass the private home, if the program becomes one
// and uses files in it.
func (d *draft) openHome(m *Maker, seen *Seen) {
	becomes := slices.ContainsFunc(seen.Capabilities, func(c Capability) bool { return c.Name == "setuid" })
	e, _ := d.wants.tree.Get(m.Home)
	if !becomes || e.Kind != policy.KindTmpfs || e.Options.Mode != "" ||
		!slices.ContainsFunc(seen.Files, func(f File) bool {
			return f.Path != m.Home && policy.Within(f.Path,
				m.Home)
		}) {
		return
	}
	paths := maps.Clone(d.own.Files.Paths)
	if paths == nil {
		paths = map[string]policy.PathOptions{}
	}
	o := paths[private]
	o.Mode = "711"
	paths[private] = o
	d.own.Files.Paths = paths
	d.comments["files.path\x00"+private] = "what the program runs as other users is in there"
}

// network writes the network that was chosen, and of its ports those that were seen, if no
// other protocol than TCP was: a list of ports excludes all else.
func (d *draft) network(m *Maker, seen *Seen) {
	p := d.own
	if p.Namespaces.Net == d.role.Namespaces.Net {
		p.Namespaces.Net = ""
	}
	if d.resolved.Namespaces.Net != "host" || len(m.Merge) > 0 {
		return
	}
	const stream, kind, tcp = 1, 0xf, 6
	any := false
	for _, c := range seen.Calls {
		if c.Name != "socket" {
			continue
		}
		internet := c.Class[0] == 2 || c.Class[0] == 10
		if protocol := c.Class[1] >> 8; internet && (c.Class[1]&kind != stream || protocol != 0 && protocol != tcp) {
			return
		}
		any = any || internet
	}
	if !any {
		return
	}
	for _, l := range [...]struct {
		call string
		list *[]string
	}{{"bind", &p.Network.Bind}, {"connect", &p.Network.Connect}} {
		const most, ephemeral = 8, 32768
		ports := map[string]By{}
		for _, s := range seen.Sockets {
			at, err := netip.ParseAddrPort(s.Address)
			if s.Call != l.call || err != nil {
				continue
			}
			if at.Port() >= ephemeral {
				ports = nil
				break
			}
			add(ports, fmt.Sprint(at.Port()), s.By)
		}
		if len(ports) > most {
			continue
		}
		for _, port := range slices.Sorted(maps.Keys(ports)) {
			d.add("network."+l.call, l.list, port, comment(ports[port], ""))
		}
	}
}
