package plan

import (
	"slices"

	"sbx/caps"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/cgroup"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/process"
)

// Protections are what of a plan restricts its target, for programs: a receipt says that
// they were in force.
type Protections struct {
	// Namespaces are the target's own, Joined the existing ones that it was put in.
	Namespaces []string `json:"namespaces"`
	Joined     []string `json:"joined,omitempty"`
	NoNewPrivs bool     `json:"no_new_privs"`
	// Capabilities are those that it keeps.
	Capabilities []string `json:"capabilities"`
	// Seccomp is how many filters there are, Landlock the version of the kernel's that is
	// used; 0: none.
	Seccomp  int `json:"seccomp"`
	Landlock int `json:"landlock"`
	// Limits are the limits, by their names in the policy.
	Limits []string `json:"limits"`
	// Missing are the optional ones that are not in force: those that the policy marks with
	// a "?", and those that sbx does without on a machine that does not have them.
	Missing []string `json:"missing"`
}

// The names of optional protections, beside those of limits ("limits.cpu").
const (
	// missingLandlock is the whole of Landlock, below the mounts. The others of its name are
	// the parts that a newer kernel has: truncating (Linux 6.2), ioctl(2) on devices (6.10),
	// signals and abstract sockets (6.12), the log (6.15), Unix sockets (7.1). Without the one
	// for TCP ports nothing is missing: there is an error, or a filter.
	missingLandlock = "landlock"
	missingTruncate = "landlock_truncate"
	missingIoctl    = "landlock_ioctl"
	missingScopes   = "landlock_scopes"
	missingLog      = "landlock_log"
	missingSockets  = "landlock_sockets"
	// missingMasks are masks over sockets of the host's, of which there are too many files.
	missingMasks = "socket_masks"
	// missingMemoryTotal is that limits.memory holds for all processes together.
	missingMemoryTotal = "limits.memory.total"
	// MissingSwap is that limits.memory counts swap.
	MissingSwap = "limits.memory.swap"
	// missingExplain and missingFiles are explanations of calls and of files.
	missingExplain = "explain"
	missingFiles   = "explain_files"
)

// lackParts names the parts of Landlock that the plan would use on a newer kernel.
func (d *decisions) lackParts(p *policy.Policy, t host.Target, h *host.Facts) {
	for _, x := range [...]struct {
		since  int
		wanted bool
		name   string
	}{
		{landlock.ABITruncate, true, missingTruncate},
		{landlock.ABIIoctl, true, missingIoctl},
		{landlock.ABIScopes, true, missingScopes},
		{landlock.ABISockets, h.SocketRestriction(p, t) == host.SocketsByMask, missingSockets},
	} {
		if x.wanted && h.LSM.Landlock < x.since {
			d.lack(x.name)
		}
	}
}

// Protections are those of the plan, before it is started; see MissingSwap.
func (p *Plan) Protections() Protections {
	x := Protections{Namespaces: p.New.Names(), Joined: p.Joined.Names(), Capabilities: []string{}, Limits: []string{},
		Missing: append([]string{}, p.Missing...)}
	if x.Namespaces == nil {
		x.Namespaces = []string{}
	}
	for _, s := range p.Setup {
		if _, ok := s.(cgroup.Namespace); ok {
			x.Namespaces = append(x.Namespaces, ns.Cgroup.Names()...)
		}
	}
	for _, s := range p.Target {
		switch s := s.(type) {
		case process.NoNewPrivs:
			x.NoNewPrivs = true
		case caps.Reduce:
			x.Capabilities = append(x.Capabilities, s.Keep.Names()...)
		case process.Seccomp:
			x.Seccomp++
		case process.Listener:
			x.Seccomp++
		case landlock.Ruleset:
			x.Landlock = s.ABI
		}
	}
	if p.Policy == nil {
		return x
	}
	l := &p.Policy.Limits
	for _, limit := range [...]struct{ name, value string }{
		{"processes", l.Processes}, {"memory", l.Memory}, {"cpu", l.CPU}, {"io", l.IO}, {"time", l.Time},
		{"cpu_time", l.CPUTime}, {"file_size", l.FileSize}, {"core", l.Core}, {"open_files", l.OpenFiles}, {"tmp", l.Tmp},
	} {
		if limit.value != "" && !slices.Contains(p.Missing, "limits."+limit.name) {
			x.Limits = append(x.Limits, limit.name)
		}
	}
	return x
}

// Notify is a service manager's notify socket. Address is "" where nothing is relayed. FD is
// open to a path by O_PATH, or -1.
type Notify struct {
	Address string
	FD      int
}
