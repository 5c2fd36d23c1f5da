package plan

import (
	"sbx/caps"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/cgroup"
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
	// Missing are the optional ones that this machine does not have: "landlock",
	// "landlock_log".
	Missing []string `json:"missing"`
}

// Protections are those of the plan.
func (p *Plan) Protections() Protections {
	x := Protections{Namespaces: p.New.Names(), Joined: p.Joined.Names(), Capabilities: []string{}, Limits: []string{},
		Missing: []string{}}
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
		if limit.value != "" {
			x.Limits = append(x.Limits, limit.name)
		}
	}
	switch {
	case p.Policy.Process.Landlock == "off":
	case x.Landlock == 0:
		x.Missing = append(x.Missing, "landlock")
	case policy.IsTrue(p.Policy.Process.LandlockLog) && x.Landlock < landlock.ABILog:
		x.Missing = append(x.Missing, "landlock_log")
	}
	return x
}

// Notify is a service manager's notify socket. Address is "" where nothing is relayed. FD is
// open to a path by O_PATH, or -1.
type Notify struct {
	Address string
	FD      int
}
