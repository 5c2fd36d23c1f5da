package plan

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/sandbox/internal/cgroup"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/plantest"
)

// bareFacts are those of a machine for a launch without namespaces.
func bareFacts(p *policy.Policy, uid int) *host.Facts {
	p.Namespaces.All = "host"
	h := plantest.Debian(p, uid)
	h.LSM.Landlock, h.ListsChildren = 7, true
	h.Private = host.Private{Path: "/tmp", FD: 9}
	if uid != 0 {
		h.Caps.Effective = 0
	}
	return h
}

// TestGoldenBare checks plans without namespaces: no step makes one, and each line of what
// is weaker is there.
func TestGoldenBare(t *testing.T) {
	for _, name := range []string{"default", "project", "web", "open", "pure"} {
		p := plantest.Shipped(t, name)
		target := host.Target{
			Path: "tool", Args: []string{"tool"}, Env: []string{"PATH=/usr/bin", "HOME=/home/u"}, Dir: "/home/u/p", PID: 77,
			Home: "/home/u", Elsewhere: "/home/u",
		}
		plan, err := Build(p, plantest.AllowAll, target, bareFacts(p, 1000))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		golden(t, name+".bare.plan", plan.String())
		if plan.New != 0 || !plan.Landlock || !plan.SharesPIDNS || plan.Tree != nil {
			t.Errorf("%s: namespaces %v, Landlock %v", name, plan.New, plan.Landlock)
		}
	}
}

// TestBareRefusals checks what is refused, with the reason.
func TestBareRefusals(t *testing.T) {
	one, two := 1, "x"
	words := &refusals{}
	for _, c := range []struct {
		name string
		edit func(*policy.Policy, *host.Facts, *host.Target)
		want error
	}{
		{"plain", func(*policy.Policy, *host.Facts, *host.Target) {}, nil},
		{"old Landlock", func(_ *policy.Policy, h *host.Facts, _ *host.Target) { h.LSM.Landlock = 5 }, host.NoLandlock},
		{"no Landlock", func(_ *policy.Policy, h *host.Facts, _ *host.Target) { h.LSM.Landlock = 0 }, host.NoLandlock},
		{"Landlock off", func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Process.Landlock = "off" }, host.Conflict},
		{"no list of children", func(_ *policy.Policy, h *host.Facts, _ *host.Target) { h.ListsChildren = false },
			host.KernelLacks},
		{"no place for a private directory", func(_ *policy.Policy, h *host.Facts, _ *host.Target) {
			h.Private = host.Private{Err: unix.EROFS}
		}, host.NotWritable},
		{"another user", func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Namespaces.UID = &one },
			host.WrongNamespace},
		{"a hostname", func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Namespaces.Hostname = two },
			host.WrongNamespace},
		{"another clock", func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Namespaces.Time = "new" },
			host.WrongNamespace},
		{"ranges", func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Namespaces.Ranges = plantest.Ptr(true) },
			host.WrongNamespace},
		{"nest", func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Process.Nest = plantest.Ptr(true) },
			host.WrongNamespace},
		{"a namespace to join", func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Namespaces.Net = "/proc/1/ns/net" },
			host.WrongNamespace},
		{"single hosts", func(p *policy.Policy, _ *host.Facts, _ *host.Target) {
			p.Network.Hosts = []string{"example.org:443"}
		}, host.WrongNamespace},
		{"a file of its own", func(p *policy.Policy, _ *host.Facts, _ *host.Target) {
			p.Files.Inline = map[string]string{"/etc/x": ""}
		}, host.WrongNamespace},
		{"a file in a tmpfs", func(p *policy.Policy, _ *host.Facts, _ *host.Target) {
			p.Files.Inline = map[string]string{"/tmp/x": ""}
		}, nil},
		{"a size of all tmpfs", func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Limits.Tmp = "1M" },
			host.WrongNamespace},
		{"one that may be given up", func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Limits.Tmp = "?1M" }, nil},
		{"another source", func(p *policy.Policy, _ *host.Facts, _ *host.Target) {
			p.Files.Paths = map[string]policy.PathOptions{"/usr": {From: "/opt"}}
		}, host.WrongNamespace},
		{"single sockets", func(p *policy.Policy, _ *host.Facts, _ *host.Target) {
			p.Files.Sockets = []string{"/run/x"}
		}, host.WrongNamespace},
		{"processes without a cgroup", func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Limits.Processes = "5" },
			host.NoLimit},
		{"processes by a cgroup", func(p *policy.Policy, h *host.Facts, _ *host.Target) {
			p.Limits.Processes = "5"
			h.Limits.Cgroups = []cgroup.Parent{{Path: "/sys/fs/cgroup/a", FD: 8, Have: cgroup.Pids}}
		}, nil},
		{"by a cgroup that the policy shows writable", func(p *policy.Policy, h *host.Facts, _ *host.Target) {
			p.Limits.Processes, p.Files.Write = "5", []string{"?/sys/fs/cgroup"}
			h.Limits.Cgroups = []cgroup.Parent{{Path: "/sys/fs/cgroup/a", FD: 8, Have: cgroup.Pids}}
		}, host.NoLimit},
		{"a review", func(_ *policy.Policy, _ *host.Facts, t *host.Target) { t.Review = &host.Review{} },
			host.WrongNamespace},
		{"an abstract notify socket", func(_ *policy.Policy, _ *host.Facts, t *host.Target) {
			t.Env = []string{"NOTIFY_SOCKET=@x"}
		}, host.LeadsOut},
	} {
		p := plantest.Shipped(t, "default")
		h := bareFacts(p, 1000)
		target := host.Target{Path: "x", Args: []string{"x"}, Dir: "/", Home: "/home/u", Elsewhere: "/home/u"}
		c.edit(p, h, &target)
		_, err := Build(p, plantest.AllowAll, target, h)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err != nil && Hint(err) == "" {
			t.Errorf("%s: no hint: %v", c.name, err)
		}
		if err != nil && strings.Contains(Hint(err), `= "new"`) {
			t.Errorf("%s: a namespace is no fix where none is made: %s", c.name, Hint(err))
		}
		words.add(c.name, err)
	}
	golden(t, "refusals-bare.txt", words.String())
}

// TestBareNetwork: without a network no socket can be had, and no TCP port either; on
// a kernel whose Landlock knows Unix sockets, those are left.
func TestBareNetwork(t *testing.T) {
	for _, c := range []struct {
		abi       int
		net, want string
	}{{7, "", "no sockets but pairs"}, {7, "new", "no sockets but pairs"}, {9, "", "no network"},
		{7, "host", "no Unix sockets but pairs"}, {9, "host", ""}} {
		p := plantest.Shipped(t, "default")
		h := bareFacts(p, 1000)
		p.Namespaces.Net, h.LSM.Landlock = c.net, c.abi
		plan, err := Build(p, plantest.AllowAll, host.Target{Path: "x", Args: []string{"x"}, Dir: "/", Elsewhere: "/"}, h)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range plan.Filters() {
			if strings.Contains(f.Name, "socket") || f.Name == "no network" {
				got += f.Name
			}
		}
		if got != c.want {
			t.Errorf("ABI %d, net %q: %q, want %q", c.abi, c.net, got, c.want)
		}
		for _, s := range plan.Target {
			if r, ok := s.(landlock.Ruleset); ok && (r.Bind != (c.net != "host") || r.Connect != r.Bind || !r.ScopeAbstract) {
				t.Errorf("ABI %d, net %q: %v", c.abi, c.net, r)
			}
		}
	}
}
