package plan

import (
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// systemBus is the socket of the system's D-Bus.
const systemBus = "/run/dbus/system_bus_socket"

// refuseService refuses to be the main process of a service of a type that cannot work: it
// would fail without a reason, or be taken for another process.
func (d *decisions) refuseService(p *policy.Policy, h *host.Facts) error {
	switch {
	case h.ServiceType == "forking" && !d.inPlace:
		return &host.NeedError{
			Reason: host.Conflict,
			What: "be the main process of a service of Type=forking: its program goes to the background, and under sbx " +
				"all processes end with the first one",
			Fix: "keep the program in the foreground, with Type=exec or Type=notify in the unit, or execute it in place: " +
				"add --exec, and --no-namespaces or pid = \"host\" in the policy's [namespaces]",
		}
	case h.ServiceType == "dbus" && !d.reachesBus(p, h):
		return &host.NeedError{
			Reason: host.Conflict,
			What: "be the main process of a service of Type=dbus: its program is to take a name on the system's bus, " +
				"and the policy does not let it connect to that",
			Fix: "add --socket " + systemBus + ", which opens all services on the bus to the program, or take BusName= and " +
				"Type=dbus out of the unit",
		}
	}
	return nil
}

// reachesBus says whether the policy leaves the bus open, by any of its names.
func (d *decisions) reachesBus(p *policy.Policy, h *host.Facts) bool {
	if d.tree == nil && d.bare == nil {
		return true // the host's mounts are there
	}
	for _, s := range p.Files.Sockets {
		name := policy.ParsePath(s).Name
		f := h.Files[name]
		if policy.Within(systemBus, name) || f.Real != "" && policy.Within(systemBus, f.Real) {
			return true
		}
	}
	return false
}
