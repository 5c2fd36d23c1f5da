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

// socketFilter is the fallback filter against Unix sockets, where that is the restriction
// and the policy's own filters allow such sockets.
func (d *decisions) socketFilter(
	p *policy.Policy, t host.Target, h *host.Facts, decoded filters, flags int,
) []step.Step {
	restriction := h.SocketRestriction(p, t)
	if restriction < host.SocketsByFilter || !decoded.unixSockets() {
		return nil
	}
	if restriction == host.SocketsByMask {
		if slices.ContainsFunc(h.ShownDirs(h.Tree(p)), func(dir string) bool { return !host.Installed(dir) }) {
			d.laterSockets(p)
		}
		return nil
	}
	return []step.Step{fallback(fallbackfilter.UnixSockets, flags)}
}

// laterSockets says what masks leave open. Where the target may have sockets of its own
// anyway, it stands in the plan and not before each run: most policies are so.
func (d *decisions) laterSockets(p *policy.Policy) {
	const open = "the target can connect to Unix sockets that are made in shown directories after the start: " +
		"this kernel's Landlock does not know sockets, and "
	if policy.IsTrue(p.Files.OwnSockets) {
		d.remarks = append(d.remarks, open+"the policy lets programs have some of their own")
		return
	}
	d.note(open + "the policy or the service manager needs some")
}

// groupFilter is the fallback filter that keeps signals inside at a terminal, where
// Landlock does not: the target and the launcher are in one process group. In the host's
// pid namespace there are other groups that the target could name, so it does not help.
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
	case handsOwned(h): // Landlock lets through what the caller's own process has asked for
	case d.scoped(h):
		return nil
	case policy.IsTrue(p.Process.Nest):
		return []step.Step{fallback(fallbackfilter.NestFileSignals, flags)}
	}
	return []step.Step{fallback(fallbackfilter.FileSignals, flags)}
}

// handsOwned says whether a descriptor crosses whose signals a process of the host's gets:
// by F_SETSIG the target would choose which.
func handsOwned(h *host.Facts) bool {
	owned := func(s host.Stdio) bool { return s.Owned }
	return slices.ContainsFunc(h.Stdio[:], owned) || slices.ContainsFunc(h.Kept, owned)
}

// scoped says whether Landlock keeps the target's signals in the sandbox.
func (d *decisions) scoped(h *host.Facts) bool {
	return len(d.landlock) > 0 && h.LSM.Landlock >= landlock.ABIScopes
}

// fallback is the step that loads a fallback filter.
func fallback(f fallbackfilter.Filter, flags int) process.Seccomp {
	return process.Seccomp{Name: f.String(), Why: f.Why(), Program: string(f.Program(seccomp.Native())), Flags: flags}
}

// unixSockets says whether the filters allow making Unix sockets other than pairs of
// streams.
func (f filters) unixSockets() bool {
	for _, kind := range [...]uint64{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW, unix.SOCK_SEQPACKET} {
		if f.allow(unix.SYS_SOCKET, unix.AF_UNIX, kind) {
			return true
		}
	}
	return f.allow(unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_DGRAM) ||
		f.allow(unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_RAW)
}
