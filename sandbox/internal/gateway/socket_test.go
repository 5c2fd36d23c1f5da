package gateway

import (
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/internal/fdtest"
)

// TestZone: a name server may have an address that means something on one link alone.
func TestZone(t *testing.T) {
	for zone, want := range map[string]uint32{"lo": 1, "1": 1, "7": 7} {
		server := parseResolvConf("nameserver fe80::53%" + zone + "\n").servers[0]
		fd, sa, err := socketFor(server, unix.SOCK_DGRAM)
		if err != nil {
			t.Errorf("%s: %v", server, err)
			continue
		}
		unix.Close(fd)
		if six, ok := sa.(*unix.SockaddrInet6); !ok || six.ZoneId != want || six.Port != 53 {
			t.Errorf("%s: the socket's address is %+v, want link %d", server, sa, want)
		}
	}
	before := fdtest.Count(t)
	for _, zone := range []string{"none", "a-name-that-is-too-long", "4294967296"} {
		_, _, err := socketFor(netip.MustParseAddrPort("[fe80::53%"+zone+"]:53"), unix.SOCK_DGRAM)
		if err == nil || !strings.Contains(err.Error(), `find the network interface "`+zone+`"`) {
			t.Errorf("%s: %v, want an error that names the interface", zone, err)
		}
	}
	if n := fdtest.Count(t); n != before {
		t.Errorf("%d descriptors are open, before %d", n, before)
	}
}
