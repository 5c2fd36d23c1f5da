package plan

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/caps"
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
