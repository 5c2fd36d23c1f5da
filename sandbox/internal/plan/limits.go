package plan

import (
	"fmt"
	"math"
	"strings"
	"time"

	"sbx/internal/text"

	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/cgroup"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/process"
)

// Limits say which mechanism enforces each of the policy's limits: a cgroup, the
// target's resource limits or the init's timer.
type Limits struct {
	// Cgroup is the one that is made, with the limits in Files; nil: none is.
	Cgroup *cgroup.Make
	Files  []cgroup.Limit
	// target are limits of the target's own, init is the init's timer.
	target []step.Step
	init   []step.Step
	// openFiles says that target has the limit on open files.
	openFiles bool
	notes     []string
	// What the policy says, for what is told in the end; empty where there is
	// no such limit.
	Memory, Processes, Time, CPUTime, FileSize string
	// Duration is the limit on time, or 0.
	Duration time.Duration
	// CPUKill is the processor time at which the kernel kills.
	CPUKill time.Duration
}

// cgroup says whether a cgroup is made.
func (l *Limits) cgroup() bool { return l != nil && l.Cgroup != nil }

// limitValue is one limit of the policy.
type limitValue struct {
	name, value string
	optional    bool
}

func parseLimit(name, s string) limitValue {
	value, optional := policy.Optional(s)
	return limitValue{"limits." + name, value, optional}
}

func (a limitValue) isSet() bool { return a.value != "" }

func (a limitValue) invalid(err error) error {
	return host.Refuse(host.Invalid, "hold %s: %v", a.name, err)
}

// refuseOrNote gives an optional limit up, with a note, and refuses any other.
func (l *Limits) refuseOrNote(a limitValue, why, hint string) error {
	if a.optional {
		l.notes = append(l.notes, a.name+" is not held: "+why)
		return nil
	}
	return &host.NeedError{Reason: host.NoLimit, What: "hold " + a.name + ": " + why, Fix: hint}
}

// limits decides what holds each of the policy's limits; see setrlimit(2) for
// those of a process. keep are the capabilities kept.
func limits(p *policy.Policy, t host.Target, h *host.Facts, s nsPlan, keep caps.Set) (*Limits, error) {
	l := &Limits{}
	if p.Limits == (policy.Limits{}) {
		return l, nil
	}
	if a := parseLimit("time", p.Limits.Time); a.isSet() {
		d, err := policy.ParseTime(a.value)
		if err != nil {
			return nil, a.invalid(err)
		}
		l.init, l.Time, l.Duration = append(l.init, process.EndAfter{Time: d}), a.value, d
	}
	if err := l.rlimits(p, h, s, keep); err != nil {
		return nil, err
	}
	if err := l.shared(p, t, h, s); err != nil {
		return nil, err
	}
	return l, nil
}

// rlimits are the limits of each process by itself.
func (l *Limits) rlimits(p *policy.Policy, h *host.Facts, s nsPlan, keep caps.Set) error {
	// Outside of a user namespace of its own, who has this capability raises
	// any limit again.
	raises := keep&caps.SysResource != 0 && !s.has(ns.User)
	for _, x := range [...]struct {
		limitValue
		resource int
		what     string
		parse    func(string) (uint64, error)
	}{
		{parseLimit("cpu_time", p.Limits.CPUTime), unix.RLIMIT_CPU, "processor time", func(s string) (uint64, error) {
			d, err := policy.ParseTime(s)
			return uint64((d + time.Second - 1) / time.Second), err
		}},
		{parseLimit("file_size", p.Limits.FileSize), unix.RLIMIT_FSIZE, "file size", policy.ParseSize},
		{parseLimit("core", p.Limits.Core), unix.RLIMIT_CORE, "core dumps", policy.ParseCore},
		{parseLimit("open_files", p.Limits.OpenFiles), unix.RLIMIT_NOFILE, "open files", func(s string) (uint64, error) {
			n, err := policy.ParseCount(s)
			return uint64(n), err
		}},
	} {
		if !x.isSet() {
			continue
		}
		n, err := x.parse(x.value)
		if err != nil {
			return x.invalid(err)
		}
		if raises {
			if err := l.refuseOrNote(x.limitValue, "the target keeps the capability sys_resource, with which it can raise it", "take sys_resource out of the policy's [process] capabilities"); err != nil {
				return err
			}
		}
		limit := process.Rlimit{Say: x.what + " to " + x.value, Resource: x.resource, Soft: n, Hard: n}
		switch x.resource {
		case unix.RLIMIT_CPU:
			// SIGXCPU first, which a program may take to end well; a second
			// later it is killed.
			limit.Say += " for each process"
			limit.Hard++
			l.CPUTime = x.value
		case unix.RLIMIT_FSIZE:
			l.FileSize = x.value
		case unix.RLIMIT_NOFILE:
			l.openFiles = true
		case unix.RLIMIT_CORE:
			if n == 0 {
				l.target = append(l.target, process.NoCore{Max: h.CoreMax})
				continue
			}
		}
		if most := h.Limits.Hard[x.resource]; most < limit.Hard {
			// Nobody is given more than the caller has.
			limit.Soft, limit.Hard = min(limit.Soft, most), most
			limit.Say += fmt.Sprintf(", of which the caller has only %d itself", most)
		}
		if x.resource == unix.RLIMIT_CPU && limit.Hard < math.MaxInt64/uint64(time.Second) {
			l.CPUKill = time.Duration(limit.Hard) * time.Second
		}
		l.target = append(l.target, limit)
	}
	return nil
}

// shared are the limits on all processes together: those of a cgroup. For
// processes, a user namespace of its own has a count of its own as well.
func (l *Limits) shared(p *policy.Policy, t host.Target, h *host.Facts, s nsPlan) error {
	memory, cpu, io, processes := parseLimit("memory", p.Limits.Memory), parseLimit("cpu", p.Limits.CPU), parseLimit("io", p.Limits.IO), parseLimit("processes", p.Limits.Processes)
	// The kernel does not count for its own root, user 0 outside of all user
	// namespaces, nor in a namespace by itself before Linux 5.14.
	// And it counts for each user by itself, and all of a namespace's.
	count := s.new&ns.User != 0 && !policy.IsTrue(p.Namespaces.Ranges) && h.UID != 0 && h.Limits.CountsPerNamespace
	var must, want cgroup.Set
	var needing []string
	for _, x := range [...]struct {
		limitValue
		use    cgroup.Set
		spared bool
	}{{memory, cgroup.Memory, false}, {cpu, cgroup.CPU, false},
		// Without the memory controller what is written late is nobody's.
		{io, cgroup.IO | cgroup.Memory, false}, {processes, cgroup.Pids, count}} {
		switch {
		case !x.isSet():
		case x.optional || x.spared:
			want |= x.use
		default:
			must |= x.use
			needing = append(needing, x.name)
		}
	}
	if must|want == 0 {
		return nil
	}
	place := choose(h.Limits.Cgroups, must, want)
	if place == nil {
		if must != 0 {
			return &host.NeedError{Reason: host.NoLimit, What: "hold " + strings.Join(needing, ", ") + ": " + lacking(h, must), Fix: cgroupHint(h, must)}
		}
		place = &cgroup.Place{}
	}
	if place.Have != 0 {
		if s.new&ns.Mount == 0 {
			return &host.NeedError{Reason: host.NoLimit, What: "hold limits by a cgroup: in a mount namespace that is not its own the target could write to " + text.Quote(place.Path),
				Fix: "say mount = \"new\" in the policy's [namespaces]"}
		}
		if err := guarded(p, place.Path); err != nil {
			return err
		}
	}
	use := cgroup.Set(0)
	limit := func(say, file, text string) {
		l.Files = append(l.Files, cgroup.Limit{Place: *place, Say: say, File: file, Text: text})
	}
	if memory.isSet() {
		n, err := policy.ParseSize(memory.value)
		if err != nil {
			return memory.invalid(err)
		}
		if place.Have&cgroup.Memory == 0 {
			if err := l.refuseOrNote(memory, lacking(h, cgroup.Memory), ""); err != nil {
				return err
			}
		} else {
			use |= cgroup.Memory
			l.Memory = memory.value
			page := h.Limits.PageSize
			limit("memory to "+memory.value, "memory.max", fmt.Sprint(max(n/page, 1)*page))
			l.Files = append(l.Files, cgroup.Limit{Place: *place, Say: "memory, of which none is swapped out", File: "memory.swap.max", Text: "0", Optional: true})
			limit("memory for all together, who die together", "memory.oom.group", "1")
		}
	}
	if processes.isSet() {
		n, err := policy.ParseCount(processes.value)
		if err != nil {
			return processes.invalid(err)
		}
		switch {
		case place.Have&cgroup.Pids != 0:
			use |= cgroup.Pids
			l.Processes = processes.value
			most := uint64(n) + 1
			if place.Pids != 0 {
				most = min(most, place.Pids)
			}
			limit("processes to "+processes.value+" and the init", "pids.max", fmt.Sprint(most))
		case count:
			limit := process.Rlimit{Say: "processes of the user namespace to " + processes.value + " and the init", Resource: unix.RLIMIT_NPROC,
				Soft: uint64(n) + 1, Hard: uint64(n) + 1}
			if most := h.Limits.Hard[unix.RLIMIT_NPROC]; most < limit.Hard {
				limit.Soft, limit.Hard = most, most
				limit.Say += fmt.Sprintf(", of which the caller has only %d itself", most)
			}
			l.target = append(l.target, limit)
		default:
			if err := l.refuseOrNote(processes, lacking(h, cgroup.Pids), ""); err != nil {
				return err
			}
		}
	} else if place.Pids != 0 && place.Have&cgroup.Pids != 0 {
		use |= cgroup.Pids
		limit("processes as the launcher's own cgroup does", "pids.max", fmt.Sprint(place.Pids))
	}
	if cpu.isSet() {
		n, err := policy.ParsePercent(cpu.value)
		if err != nil {
			return cpu.invalid(err)
		}
		if place.Have&cgroup.CPU == 0 {
			if err := l.refuseOrNote(cpu, lacking(h, cgroup.CPU), ""); err != nil {
				return err
			}
		} else {
			use |= cgroup.CPU
			// Microseconds in each tenth of a second.
			limit("processor time to "+cpu.value+" of one processor", "cpu.max", fmt.Sprintf("%d 100000", n*1000))
		}
	}
	if io.isSet() {
		n, err := policy.ParseSize(io.value)
		if err != nil {
			return io.invalid(err)
		}
		switch {
		case place.Have&(cgroup.IO|cgroup.Memory) != cgroup.IO|cgroup.Memory:
			if err := l.refuseOrNote(io, lacking(h, cgroup.IO|cgroup.Memory), ""); err != nil {
				return err
			}
		case len(h.Limits.Disks) == 0:
			if err := l.refuseOrNote(io, "this machine has no disk in /sys/block that could be limited", "put a ? in front of the limit to do without it"); err != nil {
				return err
			}
		default:
			use |= cgroup.IO | cgroup.Memory
			for _, d := range h.Limits.Disks {
				limit(fmt.Sprintf("reading and writing to %s a second on %s", io.value, text.Quote(d.Name)), "io.max",
					fmt.Sprintf("%d:%d rbps=%d wbps=%d", d.Major, d.Minor, n, n))
			}
		}
	}
	if use != 0 {
		l.Cgroup = &cgroup.Make{Place: *place, Use: use, Launcher: t.PID}
	}
	return nil
}

// choose is the first of the places that has what must be, among those with
// most of what is wanted; nil without one.
func choose(places []cgroup.Place, must, want cgroup.Set) *cgroup.Place {
	best, found := -1, 0
	for i, p := range places {
		if n := len((p.Have & (must | want)).Names()); p.Have&must == must && n > found {
			best, found = i, n
		}
	}
	if best < 0 {
		return nil
	}
	return &places[best]
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
	const without = "; a ? in front of a limit lets it go where it cannot be held"
	switch {
	case !h.Limits.CgroupUnified:
		return "boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1); here the controllers are version 1's" + without
	case must&^h.Limits.CgroupAll != 0:
		return "boot without cgroup_disable=, or a kernel that has it" + without
	case h.UID != 0:
		return "run it as: systemd-run --user --scope -p Delegate=yes sbx ..., as a service with Delegate=yes, or as root" + without
	}
	return "give the service Delegate=yes, or the container cgroups that it may write" + without
}

// guarded makes sure that the target cannot write to cgroups, for then it could
// lift its limits: where something over them is shown writable, they must be
// shown for reading.
func guarded(p *policy.Policy, place string) error {
	const mount = "/sys/fs/cgroup"
	no := &host.NeedError{Reason: host.NoLimit, What: "hold limits by a cgroup: the policy lets the target write to " + text.Quote(place), Fix: `add "/sys" to the policy's files.read`}
	read := ""
	for _, s := range p.Files.Read {
		if s = strings.TrimPrefix(s, "?"); policy.Within(mount, s) && len(s) > len(read) {
			read = s
		}
	}
	for _, s := range p.Files.Write {
		s = strings.TrimPrefix(s, "?")
		if from := p.Files.Paths[s].From; from != "" {
			if policy.Within(mount, from) || policy.Within(from, mount) {
				return no
			}
			continue
		}
		if policy.Within(s, mount) || policy.Within(mount, s) && len(s) >= len(read) {
			return no
		}
	}
	return nil
}
