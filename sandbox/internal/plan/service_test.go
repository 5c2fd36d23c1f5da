package plan

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
)

// TestServiceTypes: what cannot work as a service of its type is refused.
func TestServiceTypes(t *testing.T) {
	socket := func(name, real string) func(*policy.Policy, *host.Facts) {
		return func(p *policy.Policy, h *host.Facts) {
			p.Files.Sockets = []string{name}
			h.Files[name] = host.File{Real: real, Mode: unix.S_IFSOCK}
		}
	}
	words := &refusals{}
	for _, c := range []struct {
		name, kind string
		edit       func(*policy.Policy, *host.Facts)
		want       error
	}{
		{"none", "", nil, nil},
		{"simple", "simple", nil, nil},
		{"notify-reload", "notify-reload", nil, nil},
		{"forking", "forking", nil, host.Conflict},
		{"forking in place", "forking", func(p *policy.Policy, h *host.Facts) {
			p.Process.Supervise, p.Namespaces.PID = plantest.Ptr(false), "host"
			h.Files["/proc"] = host.File{Real: "/proc", Mode: unix.S_IFDIR, Ino: 1}
		}, nil},
		{"dbus", "dbus", nil, host.Conflict},
		{"dbus and another socket", "dbus", socket("/run/x", "/run/x"), host.Conflict},
		{"dbus with the bus", "dbus", socket("/run/dbus/system_bus_socket", "/run/dbus/system_bus_socket"), nil},
		{"dbus with the bus by a link", "dbus", socket("/var/run/dbus/system_bus_socket", "/run/dbus/system_bus_socket"),
			nil},
	} {
		p := &policy.Policy{Name: "p", Files: policy.Files{Tmpfs: []string{"/tmp"}}}
		h := plantest.Debian(p, 0)
		h.ServiceType = c.kind
		if c.edit != nil {
			c.edit(p, h)
		}
		_, err := Build(p, plantest.AllowAll, host.Target{Path: "x", Args: []string{"x"}, Dir: "/tmp", PID: 1}, h)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		words.add(c.name, err)
	}
	golden(t, "refusals-service.txt", words.String())
}
