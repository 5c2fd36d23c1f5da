package plan

import (
	"fmt"

	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/rootfs"
)

// bareNote and sharedNote say what is not restricted without a namespace of the sandbox's
// own; see Plan.Notes.
const (
	bareNote = "the mount namespace is not the sandbox's own: only Landlock restricts reading and writing files. " +
		"The target can see names, sizes and owners, and change modes, owners, times and extended attributes, " +
		"wherever its user may"
	sharedNote = "the pid namespace is not the sandbox's own: the target sees the processes in it, with their " +
		"arguments, and sbx's init, not the kernel, ends what it leaves running: processes may stay " +
		"if they multiply faster than they are ended, or if the init is killed"
	inPlaceNote = "the pid namespace is not the sandbox's own: the target sees the processes in it, with their " +
		"arguments, and nobody ends what it leaves running"
	signalNote = "without Landlock the target can also signal the caller's other processes, and sbx's own"
)

// sharePIDNS refuses what needs a new pid namespace, and notes what is less restricted
// without one.
func (d *decisions) sharePIDNS(p *policy.Policy, h *host.Facts) error {
	const signals = 6 // the ABI that restricts signals
	switch {
	case policy.IsTrue(p.Process.Nest):
		return &host.NeedError{
			Reason: host.WrongNamespace,
			What:   "nest in a pid namespace that is not new: a sandbox inside needs a /proc of its own",
			Fix:    "say pid = \"new\" in the policy's [namespaces]",
		}
	case d.ns.joined(ns.PID) && d.ns.new&ns.User != 0:
		// The child has id maps to write, and can be traced until it has.
		return &host.NeedError{
			Reason: host.WrongNamespace,
			What: "join a pid namespace with a new user namespace: processes in it could trace the sandbox's " +
				"while it is set up",
			Fix: "join the user namespace too, or say user = \"host\"",
		}
	case d.inPlace: // nobody ends them
	case !h.ListsChildren && d.bare != nil:
		return &host.NeedError{
			Reason: host.KernelLacks,
			What: "run without namespaces: /proc does not list a process's children here, so processes that are left " +
				"could not be ended",
			Fix: "mount /proc, and use a kernel with CONFIG_PROC_CHILDREN; inside a sandbox without namespaces, show it: " +
				"--read /proc",
		}
	case !h.ListsChildren:
		return &host.NeedError{
			Reason: host.KernelLacks,
			What: "use a pid namespace that is not new: this kernel does not list a process's children in /proc, " +
				"so processes that are left could not be ended",
			Fix: "say pid = \"new\" in the policy's [namespaces]; the kernel needs CONFIG_PROC_CHILDREN",
		}
	}
	d.sharesPIDNS = true
	if d.bare != nil {
		return nil // it has Landlock for certain, and listWeaker says the rest
	}
	if d.inPlace {
		d.note(inPlaceNote)
	} else {
		d.note(sharedNote)
	}
	if p.Process.Landlock == "off" {
		d.note(signalNote)
		return nil
	}
	if h.LSM.Landlock < signals {
		return &host.NeedError{
			Reason: host.NoLandlock,
			What: fmt.Sprintf("use a pid namespace that is not new: keeping signals inside needs Landlock ABI %d "+
				"(Linux 6.12), and this kernel has %s", signals, rootfs.ABIName(h.LSM.Landlock)),
			Fix: "say pid = \"new\" in the policy's [namespaces], or landlock = \"off\" to run without",
		}
	}
	return nil
}
