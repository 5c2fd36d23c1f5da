package host

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// TestSocketRestriction: programs have sockets of their own only where masks, and
// for abstract ones Landlock or another network, keep them from the host's.
func TestSocketRestriction(t *testing.T) {
	yes := true
	for name, c := range map[string]struct {
		edit func(*policy.Policy, *Facts)
		want SocketRestriction
	}{
		"own":                   {func(*policy.Policy, *Facts) {}, SocketsByMask},
		"none":                  {func(p *policy.Policy, _ *Facts) { p.Files.OwnSockets = nil }, SocketsByFilter},
		"the search was cut":    {func(_ *policy.Policy, h *Facts) { h.SearchTruncatedAt = "/srv" }, SocketsByFilter},
		"the host's mounts":     {func(p *policy.Policy, _ *Facts) { p.Namespaces.Mount = "host" }, SocketsByFilter},
		"the host's network":    {func(p *policy.Policy, _ *Facts) { p.Namespaces.Net = "host" }, SocketsByMask},
		"no scope, own network": {func(_ *policy.Policy, h *Facts) { h.LSM.Landlock = 5 }, SocketsByMask},
		"Landlock tells":        {func(_ *policy.Policy, h *Facts) { h.LSM.Landlock = 9 }, SocketsByLandlock},
		"some are named":        {func(p *policy.Policy, _ *Facts) { p.Files.Sockets = []string{"/run/s"} }, SocketsByMask},
		"named, the search was cut": {func(p *policy.Policy, h *Facts) {
			p.Files.Sockets, h.SearchTruncatedAt = []string{"/run/s"}, "/srv"
		}, SocketsByMask},
		"no scope, the host's network": {func(p *policy.Policy, h *Facts) {
			p.Namespaces.Net, h.LSM.Landlock = "host", 5
		}, SocketsByFilter},
		"Landlock off, the host's network": {func(p *policy.Policy, _ *Facts) {
			p.Namespaces.Net, p.Process.Landlock = "host", "off"
		}, SocketsByFilter},
		"nest, the host's network": {func(p *policy.Policy, _ *Facts) {
			p.Namespaces.Net, p.Process.Nest = "host", &yes
		}, SocketsByFilter},
		"a joined network": {func(p *policy.Policy, h *Facts) {
			p.Namespaces.Net, h.LSM.Landlock = "/run/netns/x", 5
		}, SocketsByFilter},
	} {
		p := &policy.Policy{Files: policy.Files{OwnSockets: &yes}}
		h := &Facts{LSM: LSM{Landlock: 8}}
		c.edit(p, h)
		if got := h.SocketRestriction(p, Target{}); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestShownDirs: what the policy lists is looked through, but for the directories
// of installed software as a whole, and overlays.
func TestShownDirs(t *testing.T) {
	p := &policy.Policy{Files: policy.Files{
		Read: []string{"/", "/usr", "?/bin", "/etc", "/opt", "/opt/app", "/usr/local", "/usr/lib/app", "/none",
			"/etc/passwd", "/nix/var", "/etc/fonts", "/home/u/go/pkg/mod"},
		Write: []string{"/srv/w"}, Tmpfs: []string{"/tmp"}, Overlay: []string{"/srv/o"},
	}}
	h := &Facts{Files: map[string]File{}, home: "/home/u"}
	for name, real := range map[string]string{
		"/": "/", "/usr": "/usr", "/bin": "/usr/bin", "/etc": "/etc", "/opt": "/opt", "/opt/app": "/opt/app",
		"/usr/local": "/usr/local",
		"/etc/fonts": "/etc/fonts", "/home/u/go/pkg/mod": "/home/u/go/pkg/mod",
		"/usr/lib/app": "/usr/lib/app", "/nix/var": "/nix/var", "/srv/w": "/srv/w", "/srv/o": "/srv/o", "/tmp": "/tmp",
	} {
		h.Files[name] = File{Real: real, Mode: unix.S_IFDIR}
	}
	h.Files["/etc/passwd"] = File{Real: "/etc/passwd", Mode: unix.S_IFREG}
	got := h.ShownDirs(p.Tree())
	slices.Sort(got)
	want := []string{"/", "/etc", "/nix/var", "/opt", "/opt/app", "/srv/w", "/usr/lib/app", "/usr/local"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
