package plan

import (
	"sbx/caps"
	"sbx/internal/step"
	"sbx/ns"
	"sbx/sandbox/internal/cgroup"
	"sbx/sandbox/internal/process"
)

// startInit has the first steps of a child that becomes the init, up to its first mount.
func startInit(plan *Plan, d *decisions, joins bool) {
	setup := &plan.Setup
	add := func(to *[]step.Step, s ...step.Step) { *to = append(*to, s...) }
	// Before there is anything that would stay if the launcher were killed, but after the
	// ids are set, because setting them clears the death signal.
	add(setup, process.DieWithLauncher{Left: joins || plan.Ranges != nil || plan.Holds})
	if len(d.streams.restore) > 0 {
		add(setup, process.AnnounceInit{}) // before there is a target
	}
	// Before there is a process inside that could trace this one (runc's CVE-2016-9962).
	add(setup, process.Undumpable{})
	switch {
	case plan.OwnSession:
		add(setup, process.OwnSession{})
	case !plan.SharesJob:
		add(setup, process.OwnGroup{})
	}
	if plan.New&ns.Cgroup != d.ns.new&ns.Cgroup {
		add(setup, cgroup.Namespace{}) // before any step reads a cgroup's path
	}
	// Before the first file is made, so that modes are as planned.
	add(setup, process.ClearUmask{})
	if plan.SharesPIDNS {
		if d.ns.joined(ns.PID) {
			add(setup, ns.DetachedProc{}) // pids are different in the host's
		}
		// Before there is a process that could leave an orphan.
		add(setup, process.Subreaper{})
	}
}

// orderInit has the steps of the init, while the target waits for it.
func orderInit(plan *Plan, d *decisions) {
	add := func(to *[]step.Step, s ...step.Step) { *to = append(*to, s...) }
	in := &plan.Init
	// First: who closes the last descriptor of a clone of mounts waits for all
	// processors (ns.Reopen). The target does, while the init waits for the same.
	add(in, process.CloseAll{Children: plan.SharesPIDNS})
	if d.tree != nil {
		// Needs CAP_SYS_ADMIN, so before the rest. The target waits until it is done.
		add(in, ns.Detach{Scratch: d.tree.HostRoot()})
	} else {
		add(in, process.LeaveDir{})
	}
	// It keeps CAP_KILL, if it has it, to signal a target that changes its user. Nothing
	// that the target sends makes it use that.
	add(in, process.NoNewPrivs{Who: "init"}, caps.Reduce{Keep: d.initCaps, Who: "init"})
	// The launcher's arguments and environment must not be readable inside, as in
	// /proc/1/environ of bwrap --clearenv.
	add(in, process.ClearMemory{Who: "init", All: d.given != nil})
	if plan.SharesPIDNS {
		// Before the target can have children.
		add(in, process.OutliveLauncher{})
	}
	add(in, d.limits.init...) // late, because the time limit is for the target
	add(in, process.InitReady{})
}
