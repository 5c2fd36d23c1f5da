package sandbox

import (
	"fmt"
	"slices"
	"strings"

	"sbx/internal/text"

	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/cgroup"
	"sbx/sandbox/internal/process"
	"sbx/sandbox/internal/terminal"
)

// Build makes the plan. It is pure: what it knows of the machine is h, and
// the same input gives the same plan. The policy is resolved and expanded;
// programs are its seccomp filters in load order.
//
// The order of the steps is all here, and every position has its reason.
func Build(p *policy.Policy, programs []seccomp.Program, t Target, h *Host) (*Plan, error) {
	spaces, err := namespaces(p, h)
	if err != nil {
		return nil, err
	}
	keep, err := kept(p, h, spaces)
	if err != nil {
		return nil, err
	}
	held, err := limits(p, t, h, spaces, keep)
	if err != nil {
		return nil, err
	}
	if policy.IsTrue(p.Process.Nest) && h.UID == 0 {
		// A sandbox in this one needs a /proc that can be written, and in it
		// /proc/sys is user 0's, in a user namespace that maps it as well; and
		// user 0 without CAP_SETFCAP cannot map itself (Linux 5.12).
		return nil, &NeedError{What: "nest as root: all of /proc/sys would be the target's to write", Fix: "run sbx as a user"}
	}
	if policy.IsTrue(p.Process.Nest) && spaces.uid == 0 && keep&caps.Setfcap == 0 {
		return nil, &NeedError{What: "nest as user 0: without CAP_SETFCAP it cannot map itself into a namespace below (Linux 5.12)",
			Fix: "say capabilities = [\"setfcap\"] in the policy's [process], or take uid = 0 out of its [namespaces]"}
	}
	if policy.IsTrue(p.Seccomp.WaitKillable) {
		// The kernel takes SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV only with a
		// listener, and sbx has none yet.
		return nil, &NeedError{What: "load the filter with wait_killable: it goes with a listener for notify, which sbx does not have",
			Fix: "take wait_killable out of the policy's [seccomp]"}
	}
	env, listen := environment(p, t)
	if s := notifySocket(t.Env); strings.HasPrefix(s, "@") && spaces.has(ns.Net) {
		return nil, &NeedError{What: "reach the notify socket " + text.Quote(s) + ": an abstract socket belongs to the host's network",
			Fix: "use --net host, or take NOTIFY_SOCKET out of the environment"}
	}
	exec, err := execStep(t, env)
	if err != nil {
		return nil, err
	}
	for fd, f := range h.Stdio {
		if f.Mode == unix.S_IFDIR || f.Path {
			return nil, &NeedError{What: fmt.Sprintf("hand over descriptor %d: it is a directory of the outside, or a path to one, and leads past the view", fd),
				Fix: "redirect it, as in </dev/null; --keep-fd hands over a descriptor on purpose"}
		}
	}
	fds, err := descriptors(t, listen)
	if err != nil {
		return nil, err
	}
	view := &view{policy: p, host: h, users: spaces.has(ns.User)}
	var ambient caps.Set
	if policy.IsTrue(p.Process.Ambient) {
		ambient = keep
	}
	outside := keep
	if spaces.has(ns.User) {
		outside = 0 // in a namespace of its own they mean nothing for the files of others
	}
	var mounts, rules []step.Step
	own := spaces.new&ns.Mount != 0 // the view is
	if own {
		mounts, rules, err = viewSteps(p, view, t, h, outside)
	} else {
		rules, err = bare(p, t, h, spaces, outside)
	}
	if err != nil {
		return nil, err
	}
	asked, err := decode(programs, p.Name)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Name: p.Name, New: spaces.new, AllWritable: view.allWritable(),
		Notes: append(view.notes, held.notes...), held: held}
	if err := plan.terminal(p, h, own); err != nil {
		return nil, err
	}
	add := func(to *[]step.Step, s ...step.Step) { *to = append(*to, s...) }

	// ---- Outside, by the janitor.
	held.outside(plan, len(spaces.joins) > 0)

	// ---- Set-up, by the child that becomes the sandbox's init.
	setup := &plan.Setup
	if !own {
		plan.Notes = append(plan.Notes, bareNote)
		plan.AllWritable = slices.Contains(p.Files.Write, "/")
	}
	if spaces.new&ns.PID == 0 {
		if err := shared(p, h, spaces, plan); err != nil {
			return nil, err
		}
	}
	spaces.joinSteps(h, plan)
	ids, err := spaces.idSteps(p, h, plan)
	if err != nil {
		return nil, err
	}
	labels, err := labels(p, h)
	if err != nil {
		return nil, err
	}
	if len(labels) > 0 {
		ids = withProc(ids)
	}
	// First of all: until the ids are mapped the child owns nothing, and a
	// process that is not dumpable may not write what is its own in /proc.
	add(setup, ids...)
	if len(p.Files.Overlay) > 0 && !slices.Contains(ids, step.Step(ns.OpenProc{})) {
		add(setup, ns.OpenProc{}) // which names the layers to overlayfs
	}
	// Before anything can be left behind by a launcher that is killed; but a
	// change of user takes the death signal away.
	add(setup, process.DieWithLauncher{Left: len(spaces.joins) > 0 || plan.Ranges != nil})
	// Before there is anybody inside who could look (runc's CVE-2016-9962).
	add(setup, process.Undumpable{})
	switch {
	case plan.Apart:
		add(setup, process.OwnSession{})
	case !plan.Terminal:
		add(setup, process.OwnGroup{})
	}
	if plan.New&ns.Cgroup != spaces.new&ns.Cgroup {
		add(setup, cgroup.Namespace{}) // before anybody looks at a cgroup
	}
	// Before the first file is made, so that modes are as planned.
	add(setup, process.ClearUmask{})
	if plan.Shared {
		if spaces.joined(ns.PID) {
			add(setup, ns.OwnProc{}) // the outside's has other numbers
		}
		// Before there is anybody who could leave an orphan.
		add(setup, process.Adopt{})
	}
	if own {
		// Before the first mount, or it would show up outside.
		add(setup, ns.Private{})
	}
	// The view: root, mounts by depth, masks; see mounts.
	add(setup, mounts...)
	if plan.Caller != nil {
		// As soon as there is a /dev/pts, and by the session's leader, who is
		// not the target: a leader's group could not be stopped by Ctrl-Z.
		add(setup, plan.Caller.Open())
	}
	if spaces.new&ns.Net != 0 {
		add(setup, ns.Loopback{}) // takes CAP_NET_ADMIN, so before it goes
	}
	if name := p.Namespaces.Hostname; name != "" {
		add(setup, ns.Hostname{Name: name}) // takes CAP_SYS_ADMIN
	}
	if own {
		if view.root {
			add(setup, ns.Seal{Path: "/dev"})
		} else {
			add(setup, ns.Seal{Path: "/"}) // after the last mount point is made
		}
		// After all mounts, which need the sources of the outside; before any
		// capability goes, as it needs CAP_SYS_ADMIN.
		add(setup, ns.Pivot{})
	}
	if !spaces.has(ns.User) && spaces.groups(h) {
		add(setup, process.DropGroups{}) // needs CAP_SETGID; denied in a user namespace of one id
	}
	// Init and target alike, so before the fork, and while CAP_SETPCAP is
	// there: the permitted set comes last of the five.
	add(setup, caps.Ambient{Keep: ambient}, caps.Bounding{Keep: keep, Last: h.LastCap},
		caps.Securebits{RootKeeps: keep != 0 && spaces.uid == 0})
	add(setup, process.Fork{Copy: spaces.new&ns.Time != 0})

	// ---- The init, while the target waits for it.
	in := &plan.Init
	if own {
		// Needs CAP_SYS_ADMIN, so before the rest; the target is not let go before.
		add(in, ns.Detach{Covers: view.root})
	} else {
		add(in, process.LeaveDir{})
	}
	// It keeps CAP_KILL, where it has it, to signal a target that changes
	// its user. It can be asked for nothing else.
	add(in, process.NoNewPrivs{Who: "init"}, caps.Reduce{Keep: spaces.initCaps(h), Who: "init"})
	// What the launcher was told is nobody's business inside: /proc/1/environ
	// of bwrap --clearenv still shows it all.
	add(in, process.Forget{Who: "init"}, process.CloseAll{Children: plan.Shared})
	if plan.Shared {
		// Before the target can have children.
		add(in, process.OutliveLauncher{})
	}
	add(in, held.end...) // late, for it is the target's time
	add(in, process.Ready{})

	// ---- The target.
	to := &plan.Target
	if plan.Shared {
		// First: the init may be gone already, and then nobody would end it.
		add(to, process.DieWithInit{})
	}
	if plan.Apart {
		add(to, process.OwnGroup{})
	}
	if plan.Caller != nil {
		add(to, terminal.Foreground{}) // needs the group, and the descriptor that is closed below
	}
	if spaces.new&ns.User != 0 && !policy.IsTrue(p.Process.Nest) {
		// The second wall before new user namespaces, for the day that the
		// filter has a hole. It takes CAP_SYS_RESOURCE in the new one; in the
		// host's it would be the whole machine's number. Here, since the init
		// has more to do meanwhile.
		add(to, ns.NoUsers{})
	}
	// Before Landlock and seccomp, which without it need CAP_SYS_ADMIN.
	add(to, process.NoNewPrivs{Who: "target"})
	// Before Landlock, inside of which nothing outside the view can be opened.
	// It counts from the exec on.
	add(to, labels...)
	// After the mounts: rules name what is inside, and inside a domain nothing
	// can be mounted.
	walls, err := domain(p, plan, t, h, rules)
	if err != nil {
		return nil, err
	}
	add(to, walls...)
	if h.HideCut != "" {
		plan.Notes = append(plan.Notes, fmt.Sprintf("looked at %d files below %s for secrets to hide and stopped there", hideLimit, text.Quote(h.HideCut)))
	}
	add(to, caps.Reduce{Keep: keep, Inherit: ambient, Who: "target"})
	// After all that opens any but the directory, which is closed at once
	// (flatpak leaked its own O_PATH ones).
	add(to, process.Descriptors{Keep: fds})
	add(to, process.RestoreUmask{})
	if !held.openFiles {
		add(to, process.OpenFiles{Soft: h.OpenFiles[0], Hard: h.OpenFiles[1]})
	}
	if p.Limits.Core == "" {
		add(to, process.NoCore{Max: h.CoreMax})
	}
	// The init must have shed its powers before the target's first
	// instruction; by now it has.
	add(to, process.Await{})
	// Not before the old root is gone: until then a ".." past the root, in a
	// link that somebody swaps in, leads there. No links are followed either.
	add(to, process.Chdir{Dir: t.Dir})
	add(to, caps.Verify{Keep: keep, Ambient: ambient, Last: h.LastCap})
	// After all that opens a descriptor, even for a moment.
	add(to, held.target...)
	// As late as can be: from here a signal may end the process.
	add(to, process.Signals{Ignored: h.Ignored, Mask: h.Mask})
	// Nothing after the filters but their own check and the exec.
	add(to, groupFilter(p, plan, h)...)
	add(to, socketFilter(p, plan, t, h, asked)...)
	for i, f := range programs {
		name := p.Name
		if len(programs) > 1 {
			name = fmt.Sprintf("%s/%d", p.Name, i+1)
		}
		add(to, process.Seccomp{Name: name, Program: string(f), Flags: filterFlags(p)})
	}
	if asked.allow(unix.SYS_PRCTL, unix.PR_GET_SECCOMP) {
		add(to, process.VerifySeccomp{})
	}
	add(to, exec)
	return plan, nil
}

func filterFlags(p *policy.Policy) int {
	f := 0
	if policy.IsTrue(p.Seccomp.Log) {
		f |= unix.SECCOMP_FILTER_FLAG_LOG
	}
	if policy.IsTrue(p.Seccomp.SpecAllow) {
		f |= unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	}
	return f
}
