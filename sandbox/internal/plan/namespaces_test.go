package plan

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
)

// TestKept checks which capabilities can be kept, and by whom.
func TestKept(t *testing.T) {
	const bind = caps.Set(1) << unix.CAP_NET_BIND_SERVICE
	for _, c := range []struct {
		name string
		uid  int
		edit func(*policy.Policy, *host.Facts)
		keep string
		want caps.Set
		err  error
	}{
		{"root", 0, nil, "net_bind_service", bind, nil},
		{"root, ambient", 0, func(p *policy.Policy, _ *host.Facts) {
			p.Process.Ambient = plantest.Ptr(true)
		}, "net_bind_service", bind, nil},
		{"root without it", 0, func(_ *policy.Policy, h *host.Facts) {
			h.Caps.Keepable = 0
		}, "net_bind_service", 0, host.NoCapability},
		{"root without it, optional", 0, func(_ *policy.Policy, h *host.Facts) {
			h.Caps.Keepable = 0
		}, "?net_bind_service", 0, nil},
		{"user", 1000, nil, "net_bind_service", 0, host.NoCapability},
		{"user, own namespace, the host's network", 1000, func(p *policy.Policy, _ *host.Facts) {
			p.Namespaces.User, p.Namespaces.Net, p.Process.Ambient = "new", "host", plantest.Ptr(true)
		}, "net_bind_service", 0, host.NoCapability},
		{"user, own namespace, the host's network, optional", 1000, func(p *policy.Policy, _ *host.Facts) {
			p.Namespaces.User, p.Namespaces.Net, p.Process.Ambient = "new", "host", plantest.Ptr(true)
		}, "?net_bind_service", bind, nil},
		{"user, own namespace, own network", 1000, func(p *policy.Policy, _ *host.Facts) {
			p.Namespaces.User, p.Process.Ambient = "new", plantest.Ptr(true)
		}, "net_bind_service", bind, nil},
		{"user, optional", 1000, nil, "?net_bind_service", 0, nil},
		{"user, ambient, optional", 1000, func(p *policy.Policy, _ *host.Facts) { p.Process.Ambient = plantest.Ptr(true) },
			"?net_bind_service", 0, nil},
		{"user 0 of an automatic namespace", 1000, func(p *policy.Policy, _ *host.Facts) {
			p.Namespaces.UID = plantest.Ptr(0)
		}, "?net_bind_service", 0, nil},
		{"root mapped", 1000, func(p *policy.Policy, _ *host.Facts) {
			p.Namespaces.User, p.Namespaces.UID = "new", plantest.Ptr(0)
		}, "net_bind_service", bind, nil},
		{"root in a namespace of its own", 0, func(p *policy.Policy, h *host.Facts) {
			p.Namespaces.User, h.Caps.Keepable = "new", 0
		}, "net_bind_service", bind, nil},
		{"root as a user", 0, func(p *policy.Policy, _ *host.Facts) {
			p.Namespaces.User, p.Namespaces.UID = "new", plantest.Ptr(5)
		}, "net_bind_service", 0, host.NoCapability},
		{"user in a namespace of its own", 1000, func(p *policy.Policy, _ *host.Facts) {
			p.Namespaces.User = "new"
		}, "net_bind_service", 0, host.NoCapability},
		{"user in a namespace of its own, ambient", 1000, func(p *policy.Policy, _ *host.Facts) {
			p.Namespaces.User, p.Process.Ambient = "new", plantest.Ptr(true)
		}, "net_bind_service", bind, nil},
		{"user with powers", 1000, func(_ *policy.Policy, h *host.Facts) {
			h.Caps.Effective, h.Caps.Keepable = caps.Admin|bind, bind
		}, "net_bind_service", 0, host.NoCapability},
		{"user with powers, ambient", 1000, func(p *policy.Policy, h *host.Facts) {
			p.Process.Ambient, h.Caps.Effective, h.Caps.Keepable = plantest.Ptr(true), caps.Admin|bind, bind
		}, "net_bind_service", bind, nil},
		{"no such capability", 0, nil, "root", 0, caps.UnknownError{Name: "root"}},
	} {
		p := &policy.Policy{Name: "p", Process: policy.Process{Capabilities: []string{c.keep}}}
		h := plantest.Debian(p, c.uid)
		if c.edit != nil {
			c.edit(p, h)
		}
		s, err := namespaces(p, h)
		if err != nil {
			t.Fatal(err)
		}
		got, err := keptCaps(p, h, s)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: keeps %v, %v; want %v, %v", c.name, got, err, c.want, c.err)
		}
	}
}

// TestOwner holds whose namespaces can be joined: those of the caller's own user
// namespace, of one that root made, and of one that is joined too.
func TestOwner(t *testing.T) {
	const path, user = "/run/some/net", "/run/some/user"
	own, other, third := ns.ID{Ino: 1}, ns.ID{Ino: 2}, ns.ID{Ino: 3}
	words := &refusals{}
	for _, c := range []struct {
		name   string
		owner  ns.ID
		uid    uint32
		err    error
		joined ns.ID
		want   error
	}{
		{"the caller's", own, 1000, nil, ns.ID{}, nil},
		{"root's", other, 0, nil, ns.ID{}, nil},
		{"a user's", other, 1000, nil, ns.ID{}, host.NotOwned},
		{"of a user that has no number here", other, 65534, nil, ns.ID{}, host.NotOwned},
		{"a user's, joined too", other, 1000, nil, other, nil},
		{"a user's, another joined", other, 1000, nil, third, host.NotOwned},
		{"the caller's, another joined", own, 0, nil, other, nil},
		{"of one above", ns.ID{}, 0, unix.EPERM, ns.ID{}, host.NotOwned},
		{"of one above, another joined", ns.ID{}, 0, unix.EPERM, other, host.NotOwned},
	} {
		p := &policy.Policy{Name: "p", Namespaces: policy.Namespaces{Net: path}}
		h := plantest.Debian(p, 0)
		h.UserNS = own
		h.Namespaces = map[string]host.Namespace{path: {Kind: ns.Net, Ino: 9, Owner: c.owner, OwnerUID: c.uid,
			OwnerErr: c.err}}
		if c.joined != (ns.ID{}) {
			p.Namespaces.User, p.Namespaces.UID, p.Namespaces.GID = user, plantest.Ptr(0), plantest.Ptr(0)
			h.Namespaces[user] = host.Namespace{Kind: ns.User, Ino: c.joined.Ino}
		}
		_, err := namespaces(p, h)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		words.add(c.name, err)
	}
	golden(t, "refusals-owner.txt", words.String())
}
