package systemd

import (
	"fmt"
	"slices"
	"strings"

	"sbx/policy/capability"
)

// capabilitySet is a set of capabilities; nil is one that nobody has set.
type capabilitySet map[string]bool

// assignCapabilities takes an assignment to a set that is full, or empty, until
// somebody says something. systemd replaces such a set and changes another; an
// empty list replaces any.
func assignCapabilities(to *capabilitySet, value string, full bool) error {
	c := *to
	list, invert := strings.CutPrefix(value, "~")
	names, err := words(list)
	if err != nil {
		return err
	}
	named := capabilitySet{}
	for _, n := range names {
		plain, ok := strings.CutPrefix(strings.ToLower(n), "cap_")
		if !ok || !slices.Contains(capability.Names(), plain) {
			return fmt.Errorf("unknown capability %q", n)
		}
		named[plain] = true
	}
	initial := c == nil || len(c) == len(capability.Names()) && full || len(c) == 0 && !full
	out := capabilitySet{}
	for _, n := range capability.Names() {
		has := named[n] != invert
		if len(named) > 0 && !initial {
			has = c[n] && (!invert || !named[n]) || !invert && named[n]
		}
		if has {
			out[n] = true
		}
	}
	*to = out
	return nil
}

// dropped are the capabilities that switches take out of the bounding set.
func (m *importer) dropped() []string {
	var out []string
	for _, x := range []struct{ key, names string }{
		{"PrivateDevices", "mknod sys_rawio"}, {"ProtectKernelModules", "sys_module"}, {"ProtectKernelLogs", "syslog"},
		{"ProtectClock", "sys_time wake_alarm"},
	} {
		if m.on[x.key] {
			out = append(out, strings.Fields(x.names)...)
		}
	}
	return out
}

// capabilities keeps what the unit names: a user's are the ambient ones, root
// has all of the bounding set.
func (m *importer) capabilities() {
	from := m.ambient
	if !m.user && !m.on["DynamicUser"] && m.bounding != nil {
		from = m.bounding
	}
	dropped := m.dropped()
	var kept []string
	for c := range from {
		if (m.bounding == nil || m.bounding[c]) && !slices.Contains(dropped, c) {
			kept = append(kept, c)
		}
	}
	slices.Sort(kept)
	for _, c := range kept {
		m.p.Process.Capabilities = append(m.p.Process.Capabilities, "?"+c)
	}
	if yes := true; len(kept) > 0 && (m.user || m.on["DynamicUser"] || m.bounding == nil) {
		m.p.Process.Ambient = &yes
	}
}
