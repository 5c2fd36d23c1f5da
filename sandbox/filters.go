package sandbox

import (
	"os"
	"slices"
	"strings"

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
	q.Files = policy.Files{Proc: p.Files.Proc, Dev: p.Files.Dev, OwnSockets: p.Files.OwnSockets,
		SetID: p.Files.SetID}
	q.Limits = policy.Limits{}
	q.Process.Capabilities = nil
	switch {
	case slices.Contains(p.Files.Sockets, "/"), slices.Contains(p.Files.Sockets, "?/"):
		q.Files.Sockets = []string{"/"}
	case len(p.Files.Sockets) > 0:
		q.Files.Sockets, q.Files.Tmpfs = []string{"/tmp"}, []string{"/tmp"}
	}
	// For set-id files it counts whether some of the host's directories can be written,
	// or some of the sandbox's own.
	switch {
	case slices.ContainsFunc(p.Files.Write, isDirectory):
		q.Files.Write = []string{"/"}
	case len(p.Files.Tmpfs)+len(p.Files.Overlay) > 0:
		q.Files.Tmpfs = []string{"/tmp"}
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

// isDirectory says whether an entry is a directory here. A policy that is not expanded
// has the project by a placeholder, which is one.
func isDirectory(entry string) bool {
	name := policy.ParsePath(entry).Name
	info, err := os.Stat(name)
	return !strings.HasPrefix(name, "/") || err == nil && info.IsDir()
}
