package plan

import (
	"sbx/caps"
	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/cgroup"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/process"
	"sbx/sandbox/internal/terminal"
)

// Build makes the plan. It is pure: what it knows of the machine is h, and
// the same input gives the same plan. The policy is resolved and expanded;
// programs are its seccomp filters in load order.
//
// All that can be refused or chosen is, by decide; then order puts the steps
// in their order.
func Build(p *policy.Policy, programs []seccomp.Program, t host.Target, h *host.Facts) (*Plan, error) {
	d, err := decide(p, programs, t, h)
	if err != nil {
		return nil, err
	}
	return order(d), nil
}

// order is the one place that knows in which order a sandbox is made: every
// position has its reason here. It decides nothing and cannot fail.
func order(d *decisions) *Plan {
	plan := &Plan{
		Name: d.name, New: d.ns.new, Joined: d.ns.joinedSet(), Ranges: d.ids.ranges, SharesPIDNS: d.sharesPIDNS,
		Notes: d.notes, Landlock: len(d.landlock) > 0, AllWritable: d.allWritable,
		SharesJob: d.terminal.sharesJob, OwnSession: d.terminal.ownSession, PTY: d.terminal.pty, Tree: d.tree, Limits: d.limits,
	}
	add := func(to *[]step.Step, s ...step.Step) { *to = append(*to, s...) }
	joins := len(d.ns.joins) > 0

	// ---- On the host, by the janitor.
	if plan.PTY != nil {
		add(&plan.Cleanup, plan.PTY.Restore())
	}
	add(&plan.Cleanup, d.streams.restore...) // at once; a cgroup may be in use for a while
	if l := d.limits; l.Cgroup != nil {
		if !joins {
			plan.New &^= ns.Cgroup // made later; see cgroup.Namespace
		}
		add(&plan.Prepare, *l.Cgroup)
		for _, f := range l.Files {
			add(&plan.Prepare, f)
		}
		add(&plan.Cleanup, cgroup.Remove{Make: *l.Cgroup})
	}

	// ---- By a process that joins namespaces and makes the child in them. It is
	// not the launcher, for a process of many threads enters no user or time
	// namespace; nor the child, for a pid namespace is entered by the next one
	// only.
	if joins {
		// First, or the child could not see the launcher die by its socket.
		add(&plan.Join, process.LeaveLauncher{}, ns.OpenProc{})
		if d.ns.new&ns.User == 0 {
			// Before somebody inside can see the child, which inherits it. Where
			// the child has maps to write it follows them; see below.
			add(&plan.Join, process.Undumpable{})
		}
		if d.ns.joined(ns.User) && d.dropGroups {
			add(&plan.Join, process.DropGroups{}) // while root can
		}
		for _, j := range d.ns.joins {
			add(&plan.Join, j)
		}
		add(&plan.Join, NewNamespaces{d.ns.new})
	}

	// ---- Set-up, by the child that becomes the sandbox's init.
	setup := &plan.Setup
	// First of all: until the ids are mapped the child owns nothing, and a
	// process that is not dumpable may not write what is its own in /proc.
	add(setup, d.ids.steps...)
	if d.layersByProc {
		add(setup, ns.OpenProc{}) // which names the layers to overlayfs
	}
	// Before anything can be left behind by a launcher that is killed; but a
	// change of user takes the death signal away.
	add(setup, process.DieWithLauncher{Left: joins || plan.Ranges != nil})
	if len(d.streams.restore) > 0 {
		add(setup, process.AnnounceInit{}) // before there is a target
	}
	// Before there is anybody inside who could look (runc's CVE-2016-9962).
	add(setup, process.Undumpable{})
	switch {
	case plan.OwnSession:
		add(setup, process.OwnSession{})
	case !plan.SharesJob:
		add(setup, process.OwnGroup{})
	}
	if plan.New&ns.Cgroup != d.ns.new&ns.Cgroup {
		add(setup, cgroup.Namespace{}) // before anybody looks at a cgroup
	}
	// Before the first file is made, so that modes are as planned.
	add(setup, process.ClearUmask{})
	if plan.SharesPIDNS {
		if d.ns.joined(ns.PID) {
			add(setup, ns.OwnProc{}) // the host's has other numbers
		}
		// Before there is anybody who could leave an orphan.
		add(setup, process.Adopt{})
	}
	if d.tree != nil {
		// Before the first mount, or it would show up on the host.
		add(setup, ns.Private{})
	}
	// The root file system: root, mounts by depth, masks; see rootfs.Steps.
	add(setup, d.mounts...)
	if plan.PTY != nil {
		// As soon as there is a /dev/pts, and by the session's leader, who is
		// not the target: a leader's group could not be stopped by Ctrl-Z.
		add(setup, plan.PTY.Open())
	}
	if d.ns.new&ns.Net != 0 {
		add(setup, ns.Loopback{}) // takes CAP_NET_ADMIN, so before it goes
	}
	if d.hostname != "" {
		add(setup, ns.Hostname{Name: d.hostname}) // takes CAP_SYS_ADMIN
	}
	if d.tree != nil {
		for _, path := range d.tree.ReadOnly() {
			add(setup, ns.Seal{Path: path}) // after the last mount point is made
		}
		// By mounts of the host's files, which are put over these in the old root:
		// so after all binds, which would clone them, and before the pivot, after
		// which no path leads there. The target's own /dev is complete by now.
		add(setup, d.streams.reopen...)
		// After all mounts, which need the sources of the host; before any
		// capability goes, as it needs CAP_SYS_ADMIN.
		add(setup, ns.Pivot{})
	}
	if !d.ns.has(ns.User) && d.dropGroups {
		add(setup, process.DropGroups{}) // needs CAP_SETGID; denied in a user namespace of one id
	}
	// Init and target alike, so before the fork, and while CAP_SETPCAP is
	// there: the permitted set comes last of the five.
	add(setup, caps.Ambient{Keep: d.ambient}, caps.Bounding{Keep: d.keep, Last: d.lastCap},
		caps.Securebits{RootKeeps: d.keep != 0 && d.ns.uid == 0})
	add(setup, process.Fork{Copy: d.ns.new&ns.Time != 0})

	// ---- The init, while the target waits for it.
	in := &plan.Init
	// First: who closes the last descriptor of a clone of mounts waits for all
	// processors (ns.Reopen). The target does, while the init waits for the same.
	add(in, process.CloseAll{Children: plan.SharesPIDNS})
	if d.tree != nil {
		// Needs CAP_SYS_ADMIN, so before the rest; the target is not let go before.
		add(in, ns.Detach{Covers: d.tree.HostRoot()})
	} else {
		add(in, process.LeaveDir{})
	}
	// It keeps CAP_KILL, where it has it, to signal a target that changes
	// its user. It can be asked for nothing else.
	add(in, process.NoNewPrivs{Who: "init"}, caps.Reduce{Keep: d.initCaps, Who: "init"})
	// What the launcher was told is nobody's business inside: /proc/1/environ
	// of bwrap --clearenv still shows it all.
	add(in, process.Forget{Who: "init"})
	if plan.SharesPIDNS {
		// Before the target can have children.
		add(in, process.OutliveLauncher{})
	}
	add(in, d.limits.init...) // late, for it is the target's time
	add(in, process.Ready{})

	// ---- The target.
	to := &plan.Target
	if plan.SharesPIDNS {
		// First: the init may be gone already, and then nobody would end it.
		add(to, process.DieWithInit{})
	}
	if plan.OwnSession {
		add(to, process.OwnGroup{})
	}
	if plan.PTY != nil {
		add(to, terminal.Foreground{}) // needs the group, and the descriptor that is closed below
	}
	if d.noUserNS {
		// The second restriction on new user namespaces, for the day that the
		// filter has a hole. It takes CAP_SYS_RESOURCE in the new one; in the
		// host's it would be the whole machine's number. Here, since the init
		// has more to do meanwhile.
		add(to, ns.NoUsers{})
	}
	// Before Landlock and seccomp, which without it need CAP_SYS_ADMIN.
	add(to, process.NoNewPrivs{Who: "target"})
	// Before Landlock, inside of which nothing but the root file system can be
	// opened. It counts from the exec on.
	add(to, d.labels...)
	// After the mounts: rules name what is inside, and inside a domain nothing
	// can be mounted.
	add(to, d.landlock...)
	add(to, caps.Reduce{Keep: d.keep, Inherit: d.ambient, Who: "target"})
	// After all that opens any but the directory, which is closed at once
	// (flatpak leaked its own O_PATH ones).
	add(to, process.Descriptors{Keep: d.fds})
	add(to, process.RestoreUmask{})
	if !d.limits.openFiles {
		add(to, process.OpenFiles{Soft: d.openFiles[0], Hard: d.openFiles[1]})
	}
	if d.noCore {
		add(to, process.NoCore{Max: d.coreMax})
	}
	// The init must have shed its powers before the target's first
	// instruction; by now it has.
	add(to, process.Await{})
	// Not before the old root is gone: until then a ".." past the root, in a
	// link that somebody swaps in, leads there. No links are followed either.
	add(to, process.Chdir{Dir: d.dir})
	add(to, caps.Verify{Keep: d.keep, Ambient: d.ambient, Last: d.lastCap})
	// After all that opens a descriptor, even for a moment.
	add(to, d.limits.target...)
	// As late as can be: from here a signal may end the process.
	add(to, process.Signals{Ignored: d.ignored, Mask: d.mask})
	// Nothing after the filters but their own check and the exec. Those that
	// stand in for Landlock come first: the policy's may forbid to load another.
	add(to, d.fallback...)
	add(to, d.filters...)
	if d.verifySeccomp {
		add(to, process.VerifySeccomp{})
	}
	add(to, d.exec)
	return plan
}
