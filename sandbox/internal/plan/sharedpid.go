package plan

import (
	"fmt"

	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/rootfs"
)

// bareNote and sharedNote are what does not hold without a namespace of our
// own; see Plan.Notes.
const (
	bareNote = "the mount namespace is not the sandbox's own: Landlock alone keeps files from being read and written. " +
		"Names, sizes and owners can be seen, and modes, owners, times and extended attributes changed, wherever the target's user may"
	sharedNote = "the pid namespace is not the sandbox's own: the target sees the processes in it, with their arguments, " +
		"and what it leaves running is ended by sbx's init and not by the kernel: processes that multiply faster than they are ended, " +
		"or whose init is killed by somebody, may stay"
	signalNote = "without Landlock the target can also signal the caller's other processes, and sbx's own"
)

// sharePIDNS refuses what a pid namespace that is not new cannot hold, and notes
// what it does not.
func (d *decisions) sharePIDNS(p *policy.Policy, h *host.Facts) error {
	const signals = 6 // the ABI that scopes them
	switch {
	case policy.IsTrue(p.Process.Nest):
		return &host.NeedError{Reason: host.WrongNamespace, What: "nest in a pid namespace that is not new: a sandbox inside needs a /proc of its own", Fix: "say pid = \"new\" in the policy's [namespaces]"}
	case d.ns.joined(ns.PID) && d.ns.new&ns.User != 0:
		// The child has maps to write and can be traced until it has.
		return &host.NeedError{Reason: host.WrongNamespace, What: "join a pid namespace with a new user namespace: those inside could take hold of the process while it is set up",
			Fix: "join the user namespace too, or say user = \"host\""}
	case !h.ListsChildren:
		return &host.NeedError{Reason: host.KernelLacks, What: "use a pid namespace that is not new: this kernel does not list a process's children in /proc, so that those left could not be ended",
			Fix: "say pid = \"new\" in the policy's [namespaces]; the kernel needs CONFIG_PROC_CHILDREN"}
	}
	d.sharesPIDNS = true
	d.note(sharedNote)
	if p.Process.Landlock == "off" {
		d.note(signalNote)
		return nil
	}
	if h.LSM.Landlock < signals {
		return &host.NeedError{Reason: host.NoLandlock, What: fmt.Sprintf("use a pid namespace that is not new: keeping signals inside takes Landlock ABI %d (Linux 6.12), and this kernel has %s", signals, rootfs.ABIName(h.LSM.Landlock)),
			Fix: "say pid = \"new\" in the policy's [namespaces]; landlock = \"off\" does without"}
	}
	return nil
}
