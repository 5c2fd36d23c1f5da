package plan

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/cgroup"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/process"
)

// sharedLimit is a limit on all processes together, which a cgroup enforces.
type sharedLimit struct {
	limitValue
	controllers cgroup.Set
	// set makes the limits that the value means, in the cgroup to be made below parent.
	set func(parent cgroup.Parent, value string) (files []cgroup.Limit, err error)
	// inForce is where the value is kept for messages at the end, or nil.
	inForce *string
	// fallback enforces the limit without a cgroup. It is nil where nothing can.
	fallback func(value string) error
	// unable is why the limit cannot be enforced although there is a cgroup, and
	// fix is how to do without it. Both are empty where it can be.
	unable, fix string
}

// sharedLimits are the policy's, in the order in which they are set.
func (l *Limits) sharedLimits(p *policy.Policy, h *host.Facts, s nsPlan, raises bool) []sharedLimit {
	list := []sharedLimit{
		{
			limitValue: parseLimit("memory", p.Limits.Memory), controllers: cgroup.Memory,
			set: memoryFiles(h), inForce: &l.Memory,
		},
		{
			limitValue: parseLimit("processes", p.Limits.Processes), controllers: cgroup.Pids,
			set: processesFiles, inForce: &l.Processes,
		},
		{limitValue: parseLimit("cpu", p.Limits.CPU), controllers: cgroup.CPU, set: cpuFiles},
		// Without the memory controller, writes from the page cache count for no cgroup.
		{limitValue: parseLimit("io", p.Limits.IO), controllers: cgroup.IO | cgroup.Memory, set: ioFiles(h)},
	}
	memory, processes, io := &list[0], &list[1], &list[3]
	memory.fallback = func(value string) error { return l.dataOfEach(h, raises, memory.limitValue, value) }
	// The kernel does not enforce RLIMIT_NPROC for user 0 of the host, and before
	// Linux 5.14 it does not count for each user namespace. It counts per user, so
	// with a range of ids it would not count all processes of the namespace.
	if s.new&ns.User != 0 && !s.manyIDs && h.UID != 0 && h.Limits.CountsPerNamespace {
		processes.fallback = func(value string) error { return l.countProcesses(h, value) }
	}
	if len(h.Limits.Disks) == 0 {
		io.unable = "this machine has no disk in /sys/block that could be limited"
		io.fix = "put a ? in front of the limit to do without it"
	}
	return slices.DeleteFunc(list, func(x sharedLimit) bool { return !x.isSet() })
}

// shared decides on the limits on all processes together.
func (l *Limits) shared(p *policy.Policy, t host.Target, h *host.Facts, s nsPlan, raises bool) error {
	list := l.sharedLimits(p, h, s, raises)
	if len(list) == 0 {
		return nil
	}
	parent, err := chooseParent(list, p, h, s)
	if err != nil {
		return err
	}
	alone := executesInPlace(p)
	var use cgroup.Set
	for _, x := range list {
		files, err := x.set(parent, x.value)
		switch {
		case err != nil:
			return x.invalid(err)
		case parent.Have&x.controllers == x.controllers && x.unable == "":
			use |= x.controllers
			l.Files = append(l.Files, files...)
			if x.inForce != nil {
				*x.inForce = x.value
			}
		case x.fallback != nil:
			err = x.fallback(x.value)
		case alone:
			err = l.refuseOrNote(x.limitValue, inPlaceLimit+" remove a cgroup", inPlaceLimitFix)
		case parent.Have&x.controllers == x.controllers:
			err = l.refuseOrNote(x.limitValue, x.unable, x.fix)
		default:
			err = l.refuseOrNote(x.limitValue, lacking(h, x.controllers), "")
		}
		if err != nil {
			return err
		}
	}
	if parent.Pids != 0 && parent.Have&cgroup.Pids != 0 && use&cgroup.Pids == 0 {
		use |= cgroup.Pids
		own := cgroup.Limit{
			Parent: parent, Name: "processes to the limit of the launcher's cgroup",
			File: "pids.max", Text: fmt.Sprint(parent.Pids),
		}
		at := slices.IndexFunc(l.Files, func(f cgroup.Limit) bool { return f.File == "cpu.max" || f.File == "io.max" })
		if at < 0 {
			at = len(l.Files)
		}
		l.Files = slices.Insert(l.Files, at, own)
	}
	if use != 0 {
		l.Cgroup = &cgroup.Make{Parent: parent, Use: use, Launcher: t.PID}
	}
	return nil
}

// chooseParent is the cgroup below which the sandbox's cgroup is made. It is the zero
// value if there is none and the limits do not need one.
func chooseParent(list []sharedLimit, p *policy.Policy, h *host.Facts, s nsPlan) (cgroup.Parent, error) {
	if executesInPlace(p) {
		return cgroup.Parent{}, nil // nobody would remove it
	}
	var must, want cgroup.Set
	var needing []string
	for _, x := range list {
		if x.optional || x.fallback != nil {
			want |= x.controllers
			continue
		}
		must |= x.controllers
		needing = append(needing, x.name)
	}
	slices.SortFunc(needing, func(a, b string) int {
		return slices.Index(limitNames[:], a) - slices.Index(limitNames[:], b)
	})
	parent := choose(h.Limits.Cgroups, must, want)
	switch {
	case parent == nil && must != 0:
		return cgroup.Parent{}, &host.NeedError{
			Reason: host.NoLimit, Fix: cgroupHint(h, must),
			What: "enforce " + strings.Join(needing, ", ") + ": " + lacking(h, must),
		}
	case parent == nil || parent.Have == 0:
		return cgroup.Parent{}, nil
	case s.new&ns.Mount == 0 && !p.Namespaces.None(): // there Landlock shows no more than the policy does
		return cgroup.Parent{}, &host.NeedError{
			Reason: host.NoLimit,
			What: "enforce limits by a cgroup: in a mount namespace that is not its own the target could write to " +
				text.Quote(parent.Path),
			Fix: "say mount = \"new\" in the policy's [namespaces]",
		}
	}
	return *parent, guarded(p, parent.Path)
}

// limitNames is the order in which an error lists the limits that need a cgroup.
var limitNames = [...]string{"limits.memory", "limits.cpu", "limits.io", "limits.processes"}

func memoryFiles(h *host.Facts) func(cgroup.Parent, string) ([]cgroup.Limit, error) {
	return func(parent cgroup.Parent, value string) ([]cgroup.Limit, error) {
		n, err := policy.ParseSize(value)
		page := max(h.Limits.PageSize, 1)
		return []cgroup.Limit{
			{Parent: parent, Name: "memory to " + value, File: "memory.max", Text: fmt.Sprint(max(n/page, 1) * page)},
			{Parent: parent, Name: "swap to none", File: "memory.swap.max", Text: "0", Optional: true},
			{
				Parent: parent, Name: "memory of all processes together, which are killed together",
				File: "memory.oom.group", Text: "1",
			},
		}, err
	}
}

func processesFiles(parent cgroup.Parent, value string) ([]cgroup.Limit, error) {
	n, err := policy.ParseCount(value)
	most := uint64(n) + 1
	if parent.Pids != 0 {
		most = min(most, parent.Pids)
	}
	return []cgroup.Limit{{
		Parent: parent, Name: "processes to " + value + " and the init", File: "pids.max", Text: fmt.Sprint(most),
	}}, err
}

func cpuFiles(parent cgroup.Parent, value string) ([]cgroup.Limit, error) {
	n, err := policy.ParsePercent(value)
	// The unit is microseconds, in each tenth of a second.
	return []cgroup.Limit{{
		Parent: parent, Name: "processor time to " + value + " of one processor",
		File: "cpu.max", Text: fmt.Sprintf("%d 100000", n*1000),
	}}, err
}

func ioFiles(h *host.Facts) func(cgroup.Parent, string) ([]cgroup.Limit, error) {
	return func(parent cgroup.Parent, value string) (files []cgroup.Limit, err error) {
		n, err := policy.ParseSize(value)
		for _, d := range h.Limits.Disks {
			files = append(files, cgroup.Limit{
				Parent: parent, Name: fmt.Sprintf("reading and writing to %s a second on %s", value, text.Quote(d.Name)),
				File: "io.max", Text: fmt.Sprintf("%d:%d rbps=%d wbps=%d", d.Major, d.Minor, n, n),
			})
		}
		return files, err
	}
}

// dataOfEach limits the memory of each process by itself, where no cgroup counts that of
// all. The kernel counts what a process has written privately: no shared memory, no
// files in a tmpfs.
func (l *Limits) dataOfEach(h *host.Facts, raises bool, a limitValue, value string) error {
	n, err := policy.ParseSize(value)
	if err == nil && raises {
		err = l.refuseOrNote(a, mayRaise, mayRaiseFix)
	}
	if err != nil {
		return err
	}
	limit := process.Rlimit{Name: "private memory of each process to " + value, Resource: unix.RLIMIT_DATA, Soft: n,
		Hard: n}
	if most := h.Limits.Hard[unix.RLIMIT_DATA]; most < limit.Hard {
		limit.Soft, limit.Hard = most, most
		limit.Name += fmt.Sprintf(", lowered to the caller's own limit of %d", most)
	}
	l.target, l.missing = append(l.target, limit), append(l.missing, missingMemoryTotal)
	l.notes = append(l.notes, fmt.Sprintf("%s holds for each process by itself, not for all together, "+
		"and for no shared memory: %s", a.name, lacking(h, cgroup.Memory)))
	return nil
}

// countProcesses limits processes by the user namespace's own count of them.
func (l *Limits) countProcesses(h *host.Facts, value string) error {
	n, err := policy.ParseCount(value)
	if err != nil {
		return err
	}
	limit := process.Rlimit{
		Name: "processes of the user namespace to " + value + " and the init", Resource: unix.RLIMIT_NPROC,
		Soft: uint64(n) + 1, Hard: uint64(n) + 1,
	}
	if most := h.Limits.Hard[unix.RLIMIT_NPROC]; most < limit.Hard {
		limit.Soft, limit.Hard = most, most
		limit.Name += fmt.Sprintf(", lowered to the caller's own limit of %d", most)
	}
	l.target = append(l.target, limit)
	return nil
}

// choose is, of the cgroups that have all of must, the first that has most of want;
// nil if none has them.
func choose(parents []cgroup.Parent, must, want cgroup.Set) *cgroup.Parent {
	best, found := -1, 0
	for i, p := range parents {
		if n := len((p.Have & (must | want)).Names()); p.Have&must == must && n > found {
			best, found = i, n
		}
	}
	if best < 0 {
		return nil
	}
	return &parents[best]
}

// lacking says why no cgroup has the controllers.
func lacking(h *host.Facts, must cgroup.Set) string {
	if none := must &^ h.Limits.CgroupAll; none != 0 && h.Limits.CgroupUnified {
		return "cgroup v2 of this kernel has no controller " + none.String()
	}
	if h.Limits.CgroupWhy != "" {
		return h.Limits.CgroupWhy
	}
	return "no cgroup that the caller may use has the controllers " + must.String()
}

func cgroupHint(h *host.Facts, must cgroup.Set) string {
	const without = "; a ? in front of a limit drops it where it cannot be enforced"
	switch {
	case !h.Limits.CgroupUnified:
		return "boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1); here the controllers are version 1's" + without
	case must&^h.Limits.CgroupAll != 0:
		return "boot without cgroup_disable=, or a kernel that has it" + without
	case h.UID != 0:
		return "run it as: systemd-run --user --scope -p Delegate=yes sbx ..., as a service with Delegate=yes, " +
			"or as root" + without
	}
	return "give the service Delegate=yes, or the container cgroups that it may write" + without
}

// guarded refuses limits by a cgroup where the target could write to the files of
// cgroups, and so raise its limits. Where a directory over them is writable, they
// must be shown read-only.
func guarded(p *policy.Policy, parent string) error {
	const mount = "/sys/fs/cgroup"
	tree := p.Tree()
	writable := tree.At(mount).Kind == policy.KindWrite && tree.At(mount).Options.From == ""
	for _, e := range tree.Entries {
		if e.Kind != policy.KindWrite {
			continue
		}
		writable = writable || policy.Within(e.Source(), mount) ||
			e.Options.From != "" && policy.Within(mount, e.Source())
	}
	if !writable {
		return nil
	}
	return &host.NeedError{
		Reason: host.NoLimit, What: "enforce limits by a cgroup: the policy lets the target write to " + text.Quote(parent),
		Fix: `add "/sys" to the policy's files.read`,
	}
}
