package plan

import (
	"slices"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/fallbackfilter"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/process"
)

// socketFilter is the filter that leaves nobody a Unix socket, where that is the
// restriction and the policy's own filters let through what it stops.
func (d *decisions) socketFilter(p *policy.Policy, t host.Target, h *host.Facts, asked filters, flags int) []step.Step {
	restriction := h.SocketRestriction(p, t)
	if restriction < host.SocketsByFilter || !asked.unixSockets() {
		return nil
	}
	if restriction == host.SocketsByMask {
		if slices.ContainsFunc(h.ShownDirs(p.Tree()), func(dir string) bool { return !host.Installed(dir) }) {
			d.note("Unix sockets that come to be under shown paths from now on can be connected to: " +
				"this kernel's Landlock knows none, and the policy or the service manager needs some")
		}
		return nil
	}
	return []step.Step{fallback(fallbackfilter.UnixSockets, flags)}
}

// groupFilter keeps signals in the sandbox at a terminal, where Landlock does
// not: the job there is the target's process group as well as the launcher's.
// With the host's pid namespace it is one of many that can be named.
func (d *decisions) groupFilter(h *host.Facts, flags int) []step.Step {
	if !d.terminal.sharesJob || d.scoped(h) || d.sharesPIDNS {
		return nil
	}
	return []step.Step{fallback(fallbackfilter.GroupSignals, flags)}
}

// fileFilter keeps signals from being sent by descriptors, where Landlock does
// not: by the terminal's, to the terminal's job.
func (d *decisions) fileFilter(p *policy.Policy, h *host.Facts, flags int) []step.Step {
	switch {
	case d.scoped(h):
		return nil
	case policy.IsTrue(p.Process.Nest):
		return []step.Step{fallback(fallbackfilter.NestFileSignals, flags)}
	}
	return []step.Step{fallback(fallbackfilter.FileSignals, flags)}
}

// scoped says whether Landlock keeps the target's signals in the sandbox.
func (d *decisions) scoped(h *host.Facts) bool {
	return len(d.landlock) > 0 && h.LSM.Landlock >= landlock.ABIScopes
}

// fallback loads a filter of sbx's own in the place of what Landlock lacks.
func fallback(f fallbackfilter.Filter, flags int) step.Step {
	return process.Seccomp{Name: f.String(), Program: string(f.Program(seccomp.Native())), Flags: flags}
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
