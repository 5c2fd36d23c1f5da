package sandbox

import (
	"os"
	"slices"

	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plan"
)

// Filter is a seccomp filter that a launch loads.
type Filter = plan.Filter

// Filters are all filters that a launch under the policy loads on this machine,
// started where the calling process is, in load order. own are the policy's. What
// is loaded for descriptors that a launch hands over is not among them. An error
// says why there is no such launch here.
func Filters(p *policy.Policy, own []seccomp.Program) ([]Filter, error) {
	// What the files are decides nothing here, but for whether sockets are named.
	q := *p
	q.Files = policy.Files{Proc: p.Files.Proc, Dev: p.Files.Dev, OwnSockets: p.Files.OwnSockets}
	q.Limits = policy.Limits{}
	q.Process.Capabilities = nil
	switch {
	case slices.Contains(p.Files.Sockets, "/"), slices.Contains(p.Files.Sockets, "?/"):
		q.Files.Sockets = []string{"/"}
	case len(p.Files.Sockets) > 0:
		q.Files.Sockets, q.Files.Tmpfs = []string{"/tmp"}, []string{"/tmp"}
	}
	q.SetSources(nil)
	t := Target{Path: "/", Args: []string{"/"}, Env: os.Environ(), Dir: "/", PID: os.Getpid()}
	facts, err := host.Probe(&q, t)
	if err != nil {
		return nil, err
	}
	defer facts.Close()
	built, err := plan.Build(&q, own, t, facts)
	if err != nil {
		return nil, err
	}
	return built.Filters(), nil
}
