package sandbox

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/process"
	"sbx/sandbox/internal/fallbackfilter"
)

// socketWall is what keeps the target from the Unix sockets of the outside that
// it sees and that the policy does not name.
type socketWall uint8

const (
	// noSocketWall: the policy names them all.
	noSocketWall socketWall = iota
	// landlockWall: Landlock, from ABI 9 on, tells them from those of the
	// sandbox's own.
	landlockWall
	// filterWall: nobody gets a socket to call with. For kernels without the
	// other, where the policy names none and the manager wants no word.
	filterWall
	// coverWall: covers over those that were there at the start.
	coverWall
)

// socketWall says which wall it is. env is the caller's.
func (h *Host) socketWall(p *policy.Policy, env []string) socketWall {
	switch {
	case slices.ContainsFunc(p.Files.Sockets, func(s string) bool { return strings.TrimPrefix(s, "?") == "/" }):
		return noSocketWall
	case h.Landlock >= landlock.ABISockets && p.Process.Landlock != "off" && !policy.IsTrue(p.Process.Nest):
		return landlockWall
	case len(p.Files.Sockets) == 0 && notifySocket(env) == "":
		return filterWall
	}
	return coverWall
}

// socketRules let the target connect to the sockets that the policy names, and
// to the manager's.
func (v *view) socketRules(p *policy.Policy, t Target) (rules []step.Step) {
	if v.host.Landlock < landlock.ABISockets || v.host.socketWall(p, t.Env) > landlockWall {
		return nil
	}
	add := func(f File) {
		for _, place := range v.places(f.Real) {
			if !v.isCovered(place.path) {
				rules = append(rules, landlock.Rule{ABI: v.host.Landlock, Path: place.path, Allow: landlock.Sockets, File: !f.Dir()})
			}
		}
	}
	for _, s := range p.Files.Sockets {
		if f := v.host.Files[strings.TrimPrefix(s, "?")]; f.Mode != 0 {
			add(f)
		}
	}
	if s := notifySocket(t.Env); strings.HasPrefix(s, "/") {
		add(v.host.Files[s])
	}
	return rules
}

// socketFilter is the filter of filterWall, if the policy's own lets through
// what it stops. It goes before the policy's, which may forbid to load another.
func socketFilter(p *policy.Policy, plan *Plan, t Target, h *Host, asked filters) []step.Step {
	wall := h.socketWall(p, t.Env)
	if wall < filterWall || !asked.unixSockets() {
		return nil
	}
	if wall == coverWall {
		if len(h.trees(p)) > 0 {
			plan.Notes = append(plan.Notes, "Unix sockets that come to be under shown paths from now on can be connected to: this kernel's Landlock knows none, and the policy or the service manager needs some")
		}
		return nil
	}
	return []step.Step{standIn(fallbackfilter.UnixSockets, p)}
}

// standIn loads a filter of ours in the place of what Landlock lacks.
func standIn(f fallbackfilter.Filter, p *policy.Policy) step.Step {
	return process.Seccomp{Name: f.String(), Program: string(f.Program(seccomp.Native())), Flags: filterFlags(p)}
}

// unixSockets says whether the filters let anybody have a Unix socket that can
// be called with, but for pairs of streams.
func (f filters) unixSockets() bool {
	for _, kind := range [...]uint64{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW, unix.SOCK_SEQPACKET} {
		if f.allow(unix.SYS_SOCKET, unix.AF_UNIX, kind) {
			return true
		}
	}
	return f.allow(unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_DGRAM) || f.allow(unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_RAW)
}
