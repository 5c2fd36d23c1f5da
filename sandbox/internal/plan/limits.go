package plan

import (
	"fmt"
	"math"
	"time"

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
	// Cgroup makes the cgroup, whose limits are Files. It is nil where none is made.
	Cgroup *cgroup.Make
	Files  []cgroup.Limit
	// target are the target's own limits, init is the init's timer.
	target []step.Step
	init   []step.Step
	// openFiles says that a step of target sets the limit on open files.
	openFiles bool
	notes     []string
	// missing are the optional limits that are not enforced, and parts of others; see
	// Plan.Missing.
	missing []string
	// These are the policy's values, for messages at the end. They are empty where
	// there is no such limit.
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
	return host.Refuse(host.Invalid, "enforce %s: %v", a.name, err)
}

// refuseOrNote drops an optional limit, with a note, and refuses any other.
func (l *Limits) refuseOrNote(a limitValue, why, hint string) error {
	if a.optional {
		l.missing = append(l.missing, a.name)
		l.notes = append(l.notes, a.name+" is not enforced: "+why)
		return nil
	}
	return &host.NeedError{Reason: host.NoLimit, What: "enforce " + a.name + ": " + why, Fix: hint}
}

// limits decides which mechanism enforces each of the policy's limits; see
// setrlimit(2) for those of a process. keep are the target's capabilities.
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
		if executesInPlace(p) {
			if err := l.refuseOrNote(a, inPlaceLimit+" end it", inPlaceLimitFix); err != nil {
				return nil, err
			}
		} else {
			l.init, l.Time, l.Duration = append(l.init, process.Timeout{Time: d}), a.value, d
		}
	}
	// With this capability in the host's user namespace the target could raise any
	// limit of its own again.
	raises := keep&caps.SysResource != 0 && !s.has(ns.User)
	if err := l.rlimits(p, h, raises); err != nil {
		return nil, err
	}
	if err := l.shared(p, t, h, s, raises); err != nil {
		return nil, err
	}
	return l, nil
}

// Why a limit of a process does not hold, and what makes it hold.
const (
	mayRaise    = "the target keeps the capability sys_resource, with which it can raise it"
	mayRaiseFix = "take sys_resource out of the policy's [process] capabilities"
)

// rlimits are the limits of each single process.
func (l *Limits) rlimits(p *policy.Policy, h *host.Facts, raises bool) error {
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
			if err := l.refuseOrNote(x.limitValue, mayRaise, mayRaiseFix); err != nil {
				return err
			}
		}
		limit := process.Rlimit{Name: x.what + " to " + x.value, Resource: x.resource, Soft: n, Hard: n}
		switch x.resource {
		case unix.RLIMIT_CPU:
			// At the soft limit the kernel sends SIGXCPU, for which a program may have a
			// handler; a second later, at the hard limit, it kills the process.
			limit.Name += " for each process"
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
			// The target cannot get more than the caller has.
			limit.Soft, limit.Hard = min(limit.Soft, most), most
			limit.Name += fmt.Sprintf(", lowered to the caller's own limit of %d", most)
		}
		if x.resource == unix.RLIMIT_CPU && limit.Hard < math.MaxInt64/uint64(time.Second) {
			l.CPUKill = time.Duration(limit.Hard) * time.Second
		}
		l.target = append(l.target, limit)
	}
	return nil
}

// OpenFiles is the most descriptors that each process may have open, 0 where the policy does
// not limit them.
func (p *Plan) OpenFiles() (most uint64) {
	p.Each(func(_ string, s step.Step) {
		if r, ok := s.(process.Rlimit); ok && r.Resource == unix.RLIMIT_NOFILE {
			most = r.Soft
		}
	})
	return most
}
