package host

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/policy"
)

// probeModules checks whether the security modules that the policy names are on.
func (h *Facts) probeModules(p *policy.Policy) error {
	if p.Process.AppArmor != "" {
		// The directory exists if the kernel was built with AppArmor (from 5.1 on), and is
		// readable if AppArmor is on.
		s, err := sys.ReadFile("/proc/self/attr/apparmor/current")
		if err != nil && err != unix.ENOENT && err != unix.EINVAL {
			return fmt.Errorf("ask for AppArmor: %w", err)
		}
		if err == nil {
			h.LSM.AppArmor = strings.TrimRight(s, "\n\x00")
		}
	}
	if p.Process.SELinux != "" {
		s, err := sys.ReadFile("/proc/filesystems")
		if err != nil {
			return fmt.Errorf("ask for SELinux: %w", err)
		}
		// The kernel registers the file system if SELinux is on.
		if !slices.Contains(strings.Fields(s), "selinuxfs") {
			return nil
		}
		if s, err = sys.ReadFile("/proc/self/attr/current"); err != nil {
			return fmt.Errorf("ask for SELinux: %w", err)
		}
		h.LSM.SELinux = strings.TrimRight(s, "\n\x00")
		// Where the file system is not mounted, the mode cannot be read.
		s, err = sys.ReadFile("/sys/fs/selinux/enforce")
		h.LSM.Permissive = err == nil && strings.TrimSpace(s) == "0"
	}
	return nil
}
