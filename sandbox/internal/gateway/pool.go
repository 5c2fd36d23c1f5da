package gateway

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"sbx/policy/network"
)

// The addresses inside. None of them is the internet's: 198.18.0.0/15 is for test networks
// (RFC 2544), and fd00::/8 is for anybody (RFC 4193).
var (
	// Resolver is where the sandbox's resolv.conf sends questions, and the one address
	// that lo has besides the loopback's: getaddrinfo(3) with AI_ADDRCONFIG asks for
	// IPv4 addresses only where there is one.
	Resolver = netip.AddrFrom4([4]byte{198, 18, 0, 1})
	// Resolver6 is the same for IPv6.
	Resolver6 = inIPv6(Resolver)
)

const (
	poolStart = 198<<24 | 18<<16 | 1<<8 // the first 256 addresses are nobody's
	poolSize  = 1 << 16

	// Names below a wildcard are the target's choice, and so a way to tell something to
	// whoever answers for that domain: a bounded one.
	maxBelow   = 128 // bytes of a name
	belowBurst = 256 // new names at once
	belowRate  = 16  // new names a second afterwards
)

// pool gives names addresses, and keeps them until the end.
type pool struct {
	set   *network.Set
	index map[string]int
	names []string
	below bucket
}

func newPool(set *network.Set, names []string) *pool {
	p := &pool{set: set, index: make(map[string]int, len(names)), below: bucket{burst: belowBurst, rate: belowRate}}
	names = slices.Clone(names)
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		if len(p.names) < poolSize {
			p.add(n)
		}
	}
	return p
}

func (p *pool) add(name string) int {
	i := len(p.names)
	p.index[name], p.names = i, append(p.names, name)
	return i
}

// lookup is the IPv4 address of a name that a rule is about; full says that the name is
// not to have one, for now.
func (p *pool) lookup(name string, now time.Time) (a netip.Addr, full bool) {
	i, ok := p.index[name]
	if !ok {
		if len(name) > maxBelow || len(p.names) >= poolSize || !p.below.take(now) {
			return a, true
		}
		i = p.add(name)
	}
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(poolStart+i)))), false
}

// name is the name that has the address.
func (p *pool) name(a netip.Addr) (string, bool) {
	a = a.Unmap()
	if a.Is6() {
		b := a.As16()
		v4 := netip.AddrFrom4([4]byte(b[12:]))
		if inIPv6(v4) != a {
			return "", false
		}
		a = v4
	}
	b := a.As4()
	i := int(binary.BigEndian.Uint32(b[:])) - poolStart
	if i < 0 || i >= len(p.names) {
		return "", false
	}
	return p.names[i], true
}

// inIPv6 is the IPv6 address that stands beside one of IPv4.
func inIPv6(a netip.Addr) netip.Addr {
	b, v4 := [16]byte{0xfd, 0x73, 0x62, 0x78}, a.As4()
	copy(b[12:], v4[:])
	return netip.AddrFrom16(b)
}

// bucket is a token bucket.
type bucket struct {
	burst, rate float64
	used        float64
	last        time.Time
}

// take says whether one more fits in now.
func (b *bucket) take(now time.Time) bool {
	if passed := now.Sub(b.last).Seconds(); passed > 0 {
		b.used, b.last = max(0, b.used-passed*b.rate), now
	}
	if b.used+1 > b.burst {
		return false
	}
	b.used++
	return true
}
