package host

import (
	"slices"

	"sbx/policy"
	"sbx/sandbox/internal/landlock"
)

// SocketRestriction is the mechanism that keeps the target from the host's Unix sockets
// that it sees and that the policy does not name.
type SocketRestriction uint8

const (
	// SocketsOpen is none: the policy allows all sockets.
	SocketsOpen SocketRestriction = iota
	// SocketsByLandlock is Landlock, which from ABI 9 on tells the host's sockets from the
	// sandbox's.
	SocketsByLandlock
	// SocketsByFilter is a filter that denies making sockets. It is for older kernels, where
	// the policy names no socket and there is no notify socket.
	SocketsByFilter
	// SocketsByMask are masks over the sockets that exist at the start.
	SocketsByMask
)

// SocketRestriction says which mechanism is used.
func (h *Facts) SocketRestriction(p *policy.Policy, t Target) SocketRestriction {
	switch {
	case slices.ContainsFunc(p.Files.Sockets, func(s string) bool { return policy.ParsePath(s).Name == "/" }):
		return SocketsOpen
	case h.LSM.Landlock >= landlock.ABISockets && p.Process.Landlock != "off" && !policy.IsTrue(p.Process.Nest):
		return SocketsByLandlock
	case len(p.Files.Sockets) == 0 && t.NotifySocket() == "":
		return SocketsByFilter
	}
	return SocketsByMask
}

// ShownDirs are the directories that the policy shows, except those of installed
// software.
func (h *Facts) ShownDirs(tree *policy.Tree) []string {
	var list []string
	for _, e := range tree.Entries {
		if !e.Kind.FromHost() {
			continue
		}
		if f := h.Files[e.Source()]; f.Dir() && !installed(f.Real) && !slices.Contains(list, f.Real) {
			list = append(list, f.Real)
		}
	}
	return list
}

// installed says whether the directory holds installed software. There are no sockets,
// and the search would take too long.
func installed(dir string) bool {
	for _, d := range [...]string{
		"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
		"/etc", "/boot", "/opt", "/nix", "/gnu", "/sys", "/proc", "/dev",
	} {
		if policy.Within(dir, d) {
			return true
		}
	}
	return false
}
