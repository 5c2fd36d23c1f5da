package plan

import (
	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/cgroup"
	"sbx/sandbox/internal/gateway"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/process"
	"sbx/sandbox/internal/terminal"
)

// Build makes the plan. It is pure: all that it knows of the machine is h, and the same
// input gives the same plan. The policy is resolved and expanded. programs are its seccomp
// filters in load order.
//
// First decide makes every choice and refusal. Then order puts the steps in order.
func Build(p *policy.Policy, programs []seccomp.Program, t host.Target, h *host.Facts) (*Plan, error) {
	d, err := decide(p, programs, t, h)
	if err != nil {
		return nil, err
	}
	plan := order(d)
	plan.Policy = p
	return plan, nil
}

// order is the one place that decides in which order a sandbox is made. Each position has
// its reason here. order makes no other choice and cannot fail.
func order(d *decisions) *Plan {
	plan := &Plan{
		Name: d.name, New: d.ns.new, Joined: d.ns.joinedSet(), Ranges: d.ids.ranges, Holds: d.ids.holds,
		MappedOutside: d.ids.mappedOutside, SharesPIDNS: d.sharesPIDNS,
		InPlace: d.inPlace,
		Dir:     d.dir, Notes: d.notes, Missing: d.missing, Remarks: d.remarks, Landlock: len(d.landlock) > 0,
		AllWritable: d.allWritable,
		SharesJob:   d.terminal.sharesJob, OwnSession: d.terminal.ownSession, PTY: d.terminal.pty,
		Tree: d.tree, Limits: d.limits, SetID: d.setID, Unexplained: d.unexplained, Observed: d.observed, Learns: d.learns,
		ObservesFiles: d.observesFiles, Announces: d.announce, Given: d.given, Gateway: d.gateway,
		Weaker: d.weaker, Private: d.private, Notify: d.notify,
		NotMasked: d.notMasked,
	}
	if d.bare != nil {
		plan.Bare = d.bare.Tree
	}
	add := func(to *[]step.Step, s ...step.Step) { *to = append(*to, s...) }
	joins := len(d.ns.joins) > 0 && !d.inPlace

	// ---- On the host, by the janitor.
	if plan.PTY != nil {
		add(&plan.Cleanup, plan.PTY.Restore())
	}
	add(&plan.Cleanup, d.streams.restore...) // at once; a cgroup may be in use for a while
	if l := d.limits; l.Cgroup != nil {
		if !joins {
			plan.New &^= ns.Cgroup // made by a later step; see cgroup.Namespace
		}
		add(&plan.Prepare, *l.Cgroup)
		for _, f := range l.Files {
			add(&plan.Prepare, f)
		}
		add(&plan.Cleanup, cgroup.Remove{Make: *l.Cgroup})
	}
	if len(plan.Cleanup) > 0 { // so there is a janitor
		for _, s := range d.stdio {
			switch s.Mode {
			case unix.S_IFREG, unix.S_IFCHR, unix.S_IFBLK:
				add(&plan.Cleanup, process.RestoreFlags{FD: s.FD, Flags: s.Flags})
			}
		}
	}

	// ---- By a process that joins namespaces and makes the child in them. The launcher
	// cannot join them, because a process with several threads cannot enter a user or time
	// namespace. The child cannot either, because only the children of a process enter a
	// pid namespace that it joins.
	if joins {
		// First, or the socket would not tell the child that the launcher has died.
		add(&plan.Join, process.LeaveLauncher{}, ns.OpenProc{})
		if d.ns.new&ns.User == 0 {
			// Before a process inside can see the child, which inherits it. A child that has
			// id maps to write does it only after that; see below.
			add(&plan.Join, process.Undumpable{})
		}
		if d.ns.joined(ns.User) && d.dropGroups {
			add(&plan.Join, process.DropGroups{}) // before the join ends the right to
		}
		for _, j := range d.ns.joins {
			add(&plan.Join, j)
		}
		add(&plan.Join, NewNamespaces{d.ns.new})
	}

	// ---- Set-up, by the child that becomes the sandbox's init.
	setup := &plan.Setup
	// Before all else: until the ids are mapped the child owns no file, and after
	// Undumpable it could not write to its own files in /proc.
	add(setup, d.ids.steps...)
	if d.layersByProc {
		add(setup, ns.OpenProc{}) // overlayfs finds the layers by /proc
	}
	if d.inPlace {
		// Before there is a process inside that could trace this one (runc's CVE-2016-9962),
		// as there is in a namespace that is joined.
		add(setup, process.Undumpable{})
		for _, j := range d.ns.joins {
			add(setup, j)
		}
		if d.ns.new != 0 {
			add(setup, ns.Unshare{Set: d.ns.new}) // after the joins: they take rights that it could end
		}
		add(setup, process.ClearUmask{}) // before the first file is made
	} else {
		startInit(plan, d, joins)
	}
	if d.tree != nil {
		// Before the first mount, or the host would get it too.
		add(setup, ns.MakePrivate{})
	}
	// The root file system: root, mounts by depth, masks; see rootfs.Steps.
	add(setup, d.mounts...)
	if plan.PTY != nil {
		// As soon as there is a /dev/pts. The init does it, which leads the session: if
		// the target led it, Ctrl-Z could not stop the target's group.
		add(setup, plan.PTY.Open())
	}
	if d.ns.new&ns.Net != 0 {
		add(setup, ns.Loopback{}) // before CAP_NET_ADMIN is dropped
	}
	if d.catch != nil {
		// After the loopback is up. The ports and the routes take capabilities, too.
		add(setup, gateway.Route{IPv6: d.catch.IPv6}, *d.catch)
		if d.taps {
			add(setup, gateway.Tap{})
		}
	}
	if d.gateway != nil && d.gateway.NeedsPorts() {
		add(setup, gateway.Mint{IPv6: d.gateway.IPv6})
	}
	if d.hostname != "" {
		add(setup, ns.Hostname{Name: d.hostname}) // before CAP_SYS_ADMIN is dropped
	}
	if d.tree != nil {
		for _, path := range d.tree.ReadOnly() {
			add(setup, ns.RemountRO{Path: path}) // after the last mount point is made
		}
		// By mounts of the host's files, which are put over these in the old root. After all
		// binds, which would clone them. Before the pivot, after which no path leads there.
		// The sandbox's own /dev is complete by now.
		add(setup, d.streams.reopen...)
		// After all mounts, because binds need the paths of the host. Before capabilities are
		// dropped, because it needs CAP_SYS_ADMIN.
		add(setup, ns.Pivot{})
		if d.inPlace {
			// The init does it elsewhere. Before capabilities are dropped.
			add(setup, ns.Detach{Scratch: d.tree.HostRoot()})
		}
		if d.gateway != nil && d.gateway.NeedsRoot() {
			add(setup, gateway.Root{}) // the sandbox's own, so after the pivot
		}
	}
	if !d.ns.has(ns.User) && d.dropGroups {
		add(setup, process.DropGroups{}) // needs CAP_SETGID; denied in a user namespace of one id
	}
	// For init and target alike, so before the fork, and before CAP_SETPCAP is dropped.
	// The permitted set is the last of the five for the same reason.
	add(setup, caps.Ambient{Keep: d.ambient})
	if !d.keepsBounding {
		add(setup, caps.Bounding{Keep: d.keep, Last: d.lastCap}, caps.Securebits{RootKeeps: d.keep != 0 && d.ns.uid == 0})
	}
	if !d.inPlace {
		add(setup, process.Fork{Copy: d.ns.new&ns.Time != 0, First: d.first})
		orderInit(plan, d)
	}

	// ---- The target.
	to := &plan.Target
	if plan.SharesPIDNS && !d.inPlace {
		// First: if the init is gone already, nothing else would end the target.
		add(to, process.DieWithInit{})
	}
	if plan.OwnSession {
		add(to, process.OwnGroup{})
	}
	if plan.PTY != nil {
		add(to, terminal.Foreground{}) // needs the group, and the descriptor that is closed below
	}
	if len(d.exec.OwnPID) > 0 {
		add(to, process.KnowPID{Names: d.exec.OwnPID}) // before the filter, which may deny the call
	}
	if d.noUserNS {
		// A second restriction on new user namespaces, in case the filter has a gap. It
		// needs CAP_SYS_RESOURCE in the new namespace; in the host's it would change the
		// limit for the whole machine. The target does it, because the init has more to do
		// at this time.
		add(to, ns.NoUserNS{})
	}
	// Before Landlock and seccomp, which otherwise need CAP_SYS_ADMIN.
	add(to, process.NoNewPrivs{Who: "target"})
	// Before Landlock, under which only files of the root file system can be opened. The
	// label changes at the exec.
	add(to, d.labels...)
	// After the mounts: rules name paths inside, and in a Landlock domain nothing can be
	// mounted.
	add(to, d.landlock...)
	add(to, caps.Reduce{Keep: d.keep, Inherit: d.ambient, Who: "target"})
	if d.given != nil {
		// The launcher's descriptors are above all of the target's, so none takes the place
		// of one that is still needed.
		add(to, process.TakeFDs{From: d.given})
	}
	if d.announce {
		add(to, process.AnnounceTarget{}) // by the socket that the next step closes
	}
	// After all steps that open a descriptor, except Chdir, which closes its own at once
	// (flatpak leaked O_PATH descriptors of its own).
	add(to, process.CloseFDs{Keep: d.fds, Socket: d.listener != nil || d.listen != nil,
		Ready: d.announce, AtExec: d.inPlace})
	add(to, process.RestoreUmask{})
	if !d.limits.openFiles {
		add(to, process.OpenFiles{Soft: d.openFiles[0], Hard: d.openFiles[1]})
	}
	if d.noCore {
		add(to, process.NoCore{Max: d.coreMax})
	}
	// The target must not run before the init has dropped its privileges. Mostly it has
	// by now.
	if !d.inPlace {
		add(to, process.WaitInit{})
	}
	// Not before the old root is unmounted: until then a ".." past the root, as in a link
	// that another process puts there, leads to it. No link is followed either.
	if d.bare != nil && d.bare.InPrivate {
		add(to, process.ChdirPrivate{Dir: d.dir})
	} else {
		add(to, process.Chdir{Dir: d.dir})
	}
	add(to, caps.Verify{Keep: d.keep, Ambient: d.ambient, Last: d.lastCap, AnyBounding: d.keepsBounding})
	if d.listen != nil {
		// After all calls that it asks the launcher about, who may not be listening yet, as
		// openat2 above. Before the limit on open files, and before every other filter: it
		// opens a descriptor and sends it.
		add(to, *d.listen)
	}
	if d.listener != nil {
		// Before the limits, which this process counts for; with all signals blocked; after
		// the target has dropped its privileges, which this process has too.
		add(to, process.HandOver{})
	}
	// After all steps that open a descriptor, even for a moment.
	add(to, d.limits.target...)
	if d.inPlace {
		// Before the signals are unblocked. The death signal comes late, since setting ids or
		// capabilities may clear it.
		add(to, process.ClearHandlers{Blocked: d.mask})
		if d.deathSignal != 0 {
			add(to, process.DeathSignal{Signal: d.deathSignal})
		}
	}
	// As late as possible: from here on a signal may end the process.
	add(to, process.Signals{Ignored: d.ignored, Mask: d.mask})
	// After the filters come only their own check and the exec. The fallback filters come
	// first, because the policy's may deny loading another.
	if d.listener != nil {
		plan.Explained = d.explained
		add(to, *d.listener)
	} else {
		add(to, d.fallback...)
		add(to, d.filters...)
	}
	if d.verifySeccomp {
		add(to, process.VerifySeccomp{})
	}
	add(to, d.exec)
	return plan
}
