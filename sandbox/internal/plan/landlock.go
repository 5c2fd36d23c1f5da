package plan

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/rootfs"
)

// decideLandlock decides on the target's Landlock domain: rules for the policy's files, its
// ports, and scopes that keep signals and sockets inside. There is no domain where the
// policy or the kernel has none; a note says what that leaves open.
func (d *decisions) decideLandlock(p *policy.Policy, t host.Target, h *host.Facts, rules []step.Step) error {
	mode, nest := p.Process.Landlock, policy.IsTrue(p.Process.Nest)
	restricted := p.Network.Bind != nil || p.Network.Connect != nil
	switch {
	case nest && mode == "require":
		return &host.NeedError{
			Reason: host.Conflict,
			What:   "require Landlock and nest: inside a Landlock domain nothing can be mounted",
			Fix:    "choose one: landlock = \"auto\" goes with nest = true",
		}
	case restricted && nest:
		return &host.NeedError{
			Reason: host.Conflict,
			What:   "restrict TCP ports and nest: ports need a Landlock domain, and inside one nothing can be mounted",
			Fix:    "take nest out of the policy, or say net = \"new\" in its [namespaces] instead of ports",
		}
	case restricted && mode == "off":
		return &host.NeedError{
			Reason: host.Conflict,
			What:   "restrict TCP ports with landlock = \"off\": Landlock is what restricts them",
			Fix:    "say landlock = \"auto\" in the policy's [process]",
		}
	case restricted && h.LSM.Landlock < landlock.ABIPorts:
		return &host.NeedError{
			Reason: host.NoLandlock,
			What: fmt.Sprintf("restrict TCP ports: that needs Landlock ABI %d, and this kernel has %s",
				landlock.ABIPorts, rootfs.ABIName(h.LSM.Landlock)),
			Fix: "use Linux 6.7 or newer with landlock in the lsm= list, " +
				"or say net = \"new\" in the policy's [namespaces] instead of ports",
		}
	case mode == "off" || nest:
		// In a Landlock domain nothing can be mounted, so no sandbox can be nested.
		if policy.IsTrue(p.Process.LandlockLog) {
			d.lack(missingLog)
			d.note("there is no Landlock domain, so landlock_log has nothing to log")
		}
		return nil
	case h.LSM.Landlock == 0 && mode == "require":
		return &host.NeedError{
			Reason: host.NoLandlock,
			What:   "require Landlock, which this kernel does not have",
			Fix:    "use Linux 5.13 or newer with landlock in the lsm= list, or landlock = \"auto\"",
		}
	case h.LSM.Landlock == 0:
		d.lack(missingLandlock)
		d.note("this kernel has no Landlock: only the mounts restrict files")
		return nil
	}
	if policy.IsTrue(p.Process.LandlockLog) && h.LSM.Landlock < landlock.ABILog {
		d.lack(missingLog)
		d.note("this kernel does not log what Landlock denies: that needs Linux 6.15")
	}
	// A new network namespace has its own abstract sockets. With the host's, Landlock
	// denies them, unless the target may write to all files anyway.
	scope := d.ns.new&ns.Net == 0 && (!d.allWritable || d.noNet)
	d.lackParts(p, t, h)
	steps := []step.Step{landlock.Ruleset{
		ABI: h.LSM.Landlock, ScopeAbstract: scope || d.handed.abstract,
		Bind:    p.Network.Bind != nil || d.handed.tcp || d.noNet,
		Connect: p.Network.Connect != nil || d.handed.tcp || d.noNet, Required: d.bare != nil,
	}}
	steps = append(steps, rules...)
	for _, f := range h.Stdio {
		if f.Mode == unix.S_IFREG || f.Mode == unix.S_IFCHR || f.Named {
			// /dev/stdin and the like open the file again.
			steps = append(steps, landlock.StdioRule{ABI: h.LSM.Landlock, FD: f.FD, Read: f.Read, Write: f.Write})
		}
	}
	for _, f := range h.Kept {
		if f.Mode == unix.S_IFREG && f.Read && !f.Write {
			// By its name in /dev/fd, as shells pass it.
			steps = append(steps, landlock.StdioRule{ABI: h.LSM.Landlock, FD: f.FD, Read: true})
		}
	}
	open, err := ports(p.Network)
	if err != nil {
		return err
	}
	steps = append(steps, open...)
	d.landlock = append(steps, landlock.Restrict{ABI: h.LSM.Landlock, Log: policy.IsTrue(p.Process.LandlockLog),
		Required: d.bare != nil})
	switch {
	case d.bare == nil:
	case !d.inPlace:
		d.landlock = append(d.landlock, landlock.Verify{})
	case !d.bare.At("/").Kind.FromHost():
		d.landlock = append(d.landlock, landlock.VerifyRoot{})
	}
	return nil
}

// ports are the rules for the ports that the policy names, in ascending order.
func ports(n policy.Network) ([]step.Step, error) {
	var list []landlock.Port
	add := func(names []string, mark func(*landlock.Port)) error {
		for _, name := range names {
			port, err := policy.ParsePort(name)
			if err != nil {
				return host.Refuse(host.Invalid, "allow TCP port %s: not a number from 0 to 65535", text.Quote(name))
			}
			i := slices.IndexFunc(list, func(x landlock.Port) bool { return x.Port == port })
			if i < 0 {
				i = len(list)
				list = append(list, landlock.Port{Port: port})
			}
			mark(&list[i])
		}
		return nil
	}
	if err := add(n.Bind, func(x *landlock.Port) { x.Bind = true }); err != nil {
		return nil, err
	}
	if err := add(n.Connect, func(x *landlock.Port) { x.Connect = true }); err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b landlock.Port) int { return int(a.Port) - int(b.Port) })
	steps := make([]step.Step, len(list))
	for i, x := range list {
		steps[i] = x
	}
	return steps, nil
}

// Allowed are the rights that the target's Landlock domain gives it at a path without links,
// or nil where it has none that restricts files. private is the path of the directory that
// the launcher has made for it, or "".
func (p *Plan) Allowed(private string) func(real string) uint64 {
	var steps []step.Step
	p.Each(func(_ string, s step.Step) { steps = append(steps, s) })
	a, ok := landlock.AllowedBy(steps, private)
	if !ok {
		return nil
	}
	return func(real string) uint64 { return uint64(a.At(real)) }
}
