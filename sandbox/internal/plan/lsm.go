package plan

import (
	"strings"

	"sbx/internal/step"
	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/process"
)

// labels are the steps that set the labels that the policy names.
func labels(p *policy.Policy, h *host.Facts) ([]step.Step, error) {
	var steps []step.Step
	if name := p.Process.AppArmor; name != "" {
		if h.LSM.AppArmor == "" {
			return nil, &host.NeedError{
				Reason: host.KernelLacks,
				What:   "execute under AppArmor profile " + text.Quote(name) + ": AppArmor is not on in this kernel",
				Fix:    "boot with apparmor in the lsm= list, or take apparmor out of the policy's [process]",
			}
		}
		free := h.LSM.AppArmor == "unconfined" || strings.HasSuffix(h.LSM.AppArmor, " (unconfined)")
		steps = append(steps, process.Label{Module: "AppArmor", Name: name, Stack: !free})
	}
	if name := p.Process.SELinux; name != "" {
		what := "execute under SELinux context " + text.Quote(name) + ": "
		switch {
		case h.LSM.SELinux == "":
			return nil, &host.NeedError{
				Reason: host.KernelLacks,
				What:   what + "SELinux is not on in this kernel",
				Fix:    "boot with selinux=1 and selinux in the lsm= list, or take selinux out of the policy's [process]",
			}
		case !strings.Contains(h.LSM.SELinux, ":") && name != h.LSM.SELinux:
			// Without a policy every process has the context "kernel". The kernel accepts any
			// name for it, and the exec succeeds under another context than the named one.
			return nil, &host.NeedError{
				Reason: host.KernelLacks,
				What:   what + "SELinux is on, but has no policy",
				Fix:    "load one: load_policy(8), or take selinux out of the policy's [process]",
			}
		case h.LSM.Permissive:
			return nil, &host.NeedError{
				Reason: host.KernelLacks,
				What:   what + "SELinux is permissive and would deny nothing",
				Fix:    "setenforce 1, or take selinux out of the policy's [process]",
			}
		}
		steps = append(steps, process.Label{Module: "SELinux", Name: name})
	}
	return steps, nil
}
