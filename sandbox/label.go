package sandbox

import (
	"fmt"
	"slices"
	"strings"

	"sbx/internal/text"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/sys"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/process"
)

// modules asks which of the security modules that the policy names are there.
func (h *Host) modules(p *policy.Policy) error {
	if p.Process.AppArmor != "" {
		// The directory is there if the kernel was built with AppArmor (5.1
		// and later have it), and can be read if AppArmor is on.
		s, err := sys.ReadFile("/proc/self/attr/apparmor/current")
		if err != nil && err != unix.ENOENT && err != unix.EINVAL {
			return fmt.Errorf("ask for AppArmor: %w", err)
		}
		if err == nil {
			h.AppArmor = strings.TrimRight(s, "\n\x00")
		}
	}
	if p.Process.SELinux != "" {
		s, err := sys.ReadFile("/proc/filesystems")
		if err != nil {
			return fmt.Errorf("ask for SELinux: %w", err)
		}
		// The kernel registers it if SELinux is on.
		if !slices.Contains(strings.Fields(s), "selinuxfs") {
			return nil
		}
		if s, err = sys.ReadFile("/proc/self/attr/current"); err != nil {
			return fmt.Errorf("ask for SELinux: %w", err)
		}
		h.SELinux = strings.TrimRight(s, "\n\x00")
		// Where it is not mounted, only the kernel knows.
		s, err = sys.ReadFile("/sys/fs/selinux/enforce")
		h.Permissive = err == nil && strings.TrimSpace(s) == "0"
	}
	return nil
}

// labels are the steps that put the target under what the policy names.
func labels(p *policy.Policy, h *Host) ([]step.Step, error) {
	var steps []step.Step
	if name := p.Process.AppArmor; name != "" {
		if h.AppArmor == "" {
			return nil, &NeedError{What: "execute under AppArmor profile " + text.Quote(name) + ": AppArmor is not on in this kernel",
				Fix: "boot with apparmor in the lsm= list, or take apparmor out of the policy's [process]"}
		}
		free := h.AppArmor == "unconfined" || strings.HasSuffix(h.AppArmor, " (unconfined)")
		steps = append(steps, process.Label{Module: "AppArmor", Name: name, Stack: !free})
	}
	if name := p.Process.SELinux; name != "" {
		what := "execute under SELinux context " + text.Quote(name) + ": "
		switch {
		case h.SELinux == "":
			return nil, &NeedError{What: what + "SELinux is not on in this kernel",
				Fix: "boot with selinux=1 and selinux in the lsm= list, or take selinux out of the policy's [process]"}
		case !strings.Contains(h.SELinux, ":") && name != h.SELinux:
			// Then every process is "kernel", the kernel takes any context
			// for that, and the exec succeeds under another than was named.
			return nil, &NeedError{What: what + "SELinux is on, but has no policy",
				Fix: "load one: load_policy(8), or take selinux out of the policy's [process]"}
		case h.Permissive:
			return nil, &NeedError{What: what + "SELinux is permissive and would deny nothing",
				Fix: "setenforce 1, or take selinux out of the policy's [process]"}
		}
		steps = append(steps, process.Label{Module: "SELinux", Name: name})
	}
	return steps, nil
}

// withProc are the first steps of the set-up, with the outside's /proc opened
// among them.
func withProc(first []step.Step) []step.Step {
	if slices.ContainsFunc(first, func(s step.Step) bool { _, ok := s.(ns.OpenProc); return ok }) {
		return first
	}
	return append([]step.Step{ns.OpenProc{}}, first...)
}
