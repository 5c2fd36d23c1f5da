package host

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/internal/sys"
	"sbx/policy"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/startstate"
)

// Probe reads the machine as far as p and t need it. The facts keep the files that p
// names open until Close, so that the child can tell whether another file has taken
// their place. Probe assumes Linux 5.12 or newer; on an older kernel the first step
// that needs more fails and says so.
func Probe(p *policy.Policy, t Target) (*Facts, error) {
	h := &Facts{UID: unix.Geteuid(), GID: unix.Getegid(), Files: make(map[string]File, 64), home: t.Home,
		account: t.AccountHome, learns: t.Learn}
	tree := p.Tree()
	h.entries, h.policy = tree, p
	for _, probe := range [...]func(*policy.Policy, *policy.Tree, Target) error{
		h.probeLSM, h.probeCaps, h.probeTerminals, h.probeStart, h.probeNetwork, h.probePaths, h.probePublished,
		h.probeStreams, h.probeHanded,
		h.judgePlaces, h.probeProcesses,
		h.probeService, h.probeSources, h.probeOwn, h.probeReceipt, h.probeProcMasks, h.probeLimits, h.findAll,
		h.dropCovers, h.probeAliases,
		h.findIndexes, h.probeListener, h.probeBare,
	} {
		if err := probe(p, tree, t); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (h *Facts) probeLSM(p *policy.Policy, _ *policy.Tree, _ Target) (err error) {
	if h.LSM.Landlock, err = landlock.ABI(); err != nil && p.Process.Landlock != "off" {
		fix := "say landlock = \"off\" in the policy's [process] to run without"
		if p.Namespaces.None() {
			fix = "without namespaces there is no other restriction of files: have it allow landlock_create_ruleset, " +
				"landlock_add_rule and landlock_restrict_self"
		}
		return &NeedError{
			Reason: NoLandlock,
			What:   "ask the kernel for Landlock: " + err.Error(),
			Fix:    "an outer sandbox denies it (systemd: SystemCallFilter= without @sandbox); " + fix,
		}
	}
	return h.probeModules(p)
}

func (h *Facts) probeCaps(p *policy.Policy, _ *policy.Tree, _ Target) (err error) {
	if h.Caps.Effective, h.Caps.Keepable, err = caps.Own(); err != nil {
		return err
	}
	h.Caps.Keepable = caps.Bounded(h.Caps.Keepable & namedCaps(p.Process.Capabilities))
	if h.Caps.Last, err = caps.Last(); err != nil {
		return err
	}
	if h.Caps.Effective&caps.Admin != 0 {
		// The file is missing before Linux 3.19, or where /proc is not mounted, which
		// other probes report.
		b, err := sys.ReadFile("/proc/self/setgroups")
		h.GroupsFixed = err == nil && strings.HasPrefix(b, "deny")
	}
	return nil
}

// namedCaps is the set of the capabilities that a policy names. The plan reports
// unknown ones.
func namedCaps(list []string) (s caps.Set) {
	for _, name := range list {
		if c, err := caps.Parse(policy.ParsePath(name).Name); err == nil {
			s |= c
		}
	}
	return s
}

func (h *Facts) probeTerminals(p *policy.Policy, _ *policy.Tree, t Target) (err error) {
	if t.Given != nil {
		// The launcher goes on with its own work, so the target belongs to its job only
		// where it is given the terminal.
		h.Terminal.Controlling = givesTerminal(t.Given)
		return nil
	}
	if fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0); err == nil {
		h.Terminal.Controlling = true
		unix.Close(fd)
	}
	if h.Terminal.Controlling && policy.NotFalse(p.Files.Dev) && (p.Process.Terminal == "" ||
		p.Process.Terminal == "inherit") {
		h.Terminal.Name = terminalName()
	}
	if p.Process.Terminal == "pty" {
		if h.Terminal.Caller, err = probeTerminal(t); err != nil {
			return err
		}
	}
	return nil
}

// probeStart reads what sbx was started with and the target gets restored.
func (h *Facts) probeStart(*policy.Policy, *policy.Tree, Target) error {
	h.Ignored, h.Mask, h.DeathSignal = startstate.Ignored(), startstate.Mask(), startstate.DeathSignal()
	h.OpenFiles[0], h.OpenFiles[1] = startstate.OpenFiles()
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil {
		return fmt.Errorf("ask for the limit on core dumps: %w", err)
	}
	h.CoreMax = core.Max
	return nil
}

// probeProcesses reads what the namespaces and ids depend on.
func (h *Facts) probeProcesses(p *policy.Policy, _ *policy.Tree, _ Target) error {
	h.ProbeNamespaces(p.Namespaces)
	if pid := p.Namespaces.PID; pid != "" && pid != "new" || p.Namespaces.None() {
		// Opened, since an outer sandbox may deny that whatever the mode says.
		fd, err := unix.Open("/proc/thread-self/children", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if h.ListsChildren = err == nil; h.ListsChildren {
			unix.Close(fd)
		}
	}
	for _, o := range p.Files.Paths {
		if o.Owner == "" || h.Owners != nil {
			continue
		}
		var err error
		if h.Owners, err = users(); err != nil {
			return fmt.Errorf("look for the owners that files.path names: %w", err)
		}
	}
	if policy.IsTrue(p.Namespaces.Ranges) {
		h.SubIDs = h.probeSubIDs()
	}
	return nil
}
