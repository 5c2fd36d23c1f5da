package host

import (
	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/policy"
)

// probeNetwork asks whether a new network namespace has IPv6: the kernel may have none, or
// have it disabled from the start.
func (h *Facts) probeNetwork(p *policy.Policy, _ *policy.Tree, _ Target) error {
	if len(p.Network.Hosts)+len(p.Network.Listen) == 0 {
		return nil
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	unix.Close(fd)
	disabled, err := sys.ReadFile("/proc/sys/net/ipv6/conf/default/disable_ipv6")
	h.IPv6 = err != nil || disabled != "1\n"
	return nil
}
