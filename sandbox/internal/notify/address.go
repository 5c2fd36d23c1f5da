package notify

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// address is the socket address at an address of memory, or "" where it cannot be read.
func (l *Listener) address(addr, length uint64) string {
	const most = 128 // struct sockaddr_storage
	if addr == 0 || length < 2 {
		return ""
	}
	b := l.read(addr, int(min(length, most)), false)
	if uint64(len(b)) < min(length, most) {
		return ""
	}
	return socketAddress(b)
}

// socketAddress is a struct sockaddr in words.
func socketAddress(b []byte) string {
	port := func() uint16 { return binary.BigEndian.Uint16(b[2:]) }
	switch family := binary.NativeEndian.Uint16(b); {
	case family == unix.AF_INET && len(b) >= 8:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port()).String()
	case family == unix.AF_INET6 && len(b) >= 24:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), port()).String()
	case family == unix.AF_UNIX && len(b) > 2 && b[2] == 0:
		return "@" + string(b[3:]) // an abstract name
	case family == unix.AF_UNIX:
		path, _, _ := strings.Cut(string(b[2:]), "\x00")
		return path
	default:
		return fmt.Sprintf("an address of family %d", family)
	}
}
