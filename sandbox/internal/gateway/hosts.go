package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/policy/network"
)

// resolveProxy is resolve for the name of the host's proxy. The caller has chosen that one for
// the host, so it is looked for where the host's programs look: in /etc/hosts first, and in the
// search domains.
func resolveProxy(name string) resolved {
	until := time.Now().Add(leastTTL)
	text, err := sys.ReadRegular("/etc/hosts")
	if err != nil && err != unix.ENOENT {
		return resolved{err: fmt.Errorf("read /etc/hosts: %w", err), until: until}
	}
	if addrs := addressesOf(text, name); len(addrs) > 0 {
		return resolved{addrs: addrs, until: until}
	}
	return asked(name, (*resolverConfig).resolveSearching)
}

// resolveSearching is resolve for a name that the search domains complete: before the name as it
// is where it has few dots, and after it where it has more. Whoever does not answer for one of
// them is not asked for the others.
func (c *resolverConfig) resolveSearching(name string) (r resolved) {
	var names []string
	for _, domain := range c.search {
		full, err := network.Canonical(name + "." + domain)
		if err == nil && full != name {
			names = append(names, full)
		}
	}
	if strings.Count(name, ".") < c.ndots {
		names = append(names, name)
	} else {
		names = slices.Insert(names, 0, name)
	}
	for _, full := range names {
		if r = c.resolve(full); r.err == nil || errors.Is(r.err, unix.ETIMEDOUT) {
			break
		}
	}
	return r
}

// addressesOf are the addresses that a hosts(5) gives a name.
func addressesOf(text, name string) (addrs []netip.Addr) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) < 2 || !slices.ContainsFunc(f[1:], func(s string) bool {
			s, err := network.Canonical(s)
			return err == nil && s == name
		}) {
			continue
		}
		if a, err := netip.ParseAddr(f[0]); err == nil {
			addrs = append(addrs, a.Unmap())
		}
	}
	return addrs
}
