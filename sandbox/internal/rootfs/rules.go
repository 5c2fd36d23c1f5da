package rootfs

import (
	"sbx/internal/step"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/landlock"
)

// Rules are the Landlock rules that restrict files in the same way as the mounts do.
func (t *Tree) Rules() []step.Step {
	abi := t.facts.LSM.Landlock
	rules := []step.Step{landlock.Rule{ABI: abi, Path: "/", Allow: landlock.Read}}
	for _, n := range t.nodes {
		switch {
		case t.maskOver(n.Path) != "":
		case n.Device && !policy.Within(n.Path, "/dev"):
			rules = append(rules, landlock.Rule{ABI: abi, Path: n.Path, Allow: landlock.Devices, File: !n.Source.Dir()})
		case n.Device:
		case n.Kind == Write || n.Kind == Overlay:
			rules = append(rules, landlock.Rule{ABI: abi, Path: n.Path, Allow: landlock.Write, File: !n.Source.Dir()})
		case n.Kind == File && t.target.Details[n.Path].Writable:
			rules = append(rules, landlock.Rule{ABI: abi, Path: n.Path, Allow: landlock.Write, File: true})
		case n.Kind == Tmpfs && !t.isOwnDev(n):
			rules = append(rules, landlock.Rule{ABI: abi, Path: n.Path, Allow: landlock.Write})
		}
	}
	rules = append(rules, t.socketRules()...)
	if policy.NotFalse(t.policy.Files.Dev) && t.maskOver("/dev") == "" {
		rules = append(rules, landlock.Rule{ABI: abi, Path: "/dev", Allow: landlock.Devices})
	}
	return rules
}

// socketRules let the target connect to the sockets that the policy names, and to the
// service manager's.
func (t *Tree) socketRules() (rules []step.Step) {
	abi := t.facts.LSM.Landlock
	if abi < landlock.ABISockets || t.facts.SocketRestriction(t.policy, t.target) > host.SocketsByLandlock {
		return nil
	}
	add := func(f host.File) {
		for _, n := range t.places(f.Real) {
			if place := n.insidePath(f.Real); t.maskOver(place) == "" {
				rules = append(rules, landlock.Rule{ABI: abi, Path: place, Allow: landlock.Sockets, File: !f.Dir()})
			}
		}
	}
	for _, s := range t.policy.Files.Sockets {
		if f := t.socketFile(policy.ParsePath(s).Name); f.Mode != 0 {
			add(f)
		}
	}
	for _, n := range t.nodes {
		if n.Kind == Socket {
			rules = append(rules, landlock.Rule{ABI: abi, Path: n.Path, Allow: landlock.Sockets, File: true})
		}
	}
	return rules
}
