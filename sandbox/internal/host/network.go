package host

import (
	"path"

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
	h.probeIPv6()
	// A filter that denies the family answers before the kernel looks at the type, and a
	// kernel without it before it looks at capabilities.
	_, typed := unix.Socket(unix.AF_PACKET, 15, 0)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	h.PacketSockets = typed == unix.EINVAL && (err == nil || err == unix.EPERM)
	return nil
}

func (h *Facts) probeIPv6() {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	unix.Close(fd)
	disabled, err := sys.ReadFile("/proc/sys/net/ipv6/conf/default/disable_ipv6")
	h.IPv6 = err != nil || disabled != "1\n"
}

// probePublished opens the directories in which network.listen has Unix sockets. It comes
// after the zones are known in which no link is followed.
func (h *Facts) probePublished(p *policy.Policy, _ *policy.Tree, _ Target) error {
	published, err := p.Network.Published()
	if err != nil {
		return err
	}
	for _, l := range published {
		if l.Path != "" {
			if h.Published == nil {
				h.Published = map[string]File{}
			}
			h.Published[l.Path] = h.look(path.Dir(l.Path))
		}
	}
	return nil
}
