package trial

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/sandbox/internal/attempt"
)

// resolve asks for the addresses of a name as the C library does: in /etc/hosts,
// then from the first server that /etc/resolv.conf names. That a server answers
// is what counts; it need not know the name.
func (r *runner) resolve(name string) Outcome {
	_, o := r.lookUp(name)
	return o
}

func (r *runner) lookUp(name string) (a netip.Addr, o Outcome) {
	for line := range strings.Lines(r.content("/etc/hosts")) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		for i, w := range words {
			if at, err := netip.ParseAddr(words[0]); i > 0 && err == nil && strings.EqualFold(w, name) {
				return at, Outcome{Works: true, Detail: "by /etc/hosts"}
			}
		}
	}
	server := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	for line := range strings.Lines(r.content("/etc/resolv.conf")) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		if at, err := netip.ParseAddr(words[1]); err == nil {
			server = at
			break
		}
	}
	family, to, _ := r.address(netip.AddrPortFrom(server, 53).String())
	query := question(name)
	const size = 512
	answer := r.Space(size)
	fd := socketFD()
	pollfd, wait := (*[2]uint32)(r.Space(8)), (*[2]uint64)(r.Space(16))
	*pollfd, *wait = [2]uint32{fd, unix.POLLIN}, [2]uint64{2, 0}
	o = r.Run(0,
		attempt.Call{Nr: unix.SYS_SOCKET, Args: [6]uintptr{uintptr(family), unix.SOCK_DGRAM | unix.SOCK_CLOEXEC}, From: -1},
		attempt.Call{Nr: unix.SYS_DUP3, Args: [6]uintptr{0, uintptr(fd), unix.O_CLOEXEC}, Pass: unix.EINVAL},
		attempt.Call{Nr: unix.SYS_CONNECT, Args: [6]uintptr{0, r.Bytes(to), uintptr(len(to))}},
		attempt.Call{Nr: unix.SYS_SENDTO, Args: [6]uintptr{0, r.Bytes(query), uintptr(len(query)), unix.MSG_NOSIGNAL}},
		attempt.Call{Nr: unix.SYS_PPOLL, Args: [6]uintptr{uintptr(unsafe.Pointer(pollfd)), 1, uintptr(unsafe.Pointer(wait))},
			From: -1},
		attempt.Call{Nr: unix.SYS_RECVFROM, Args: [6]uintptr{0, uintptr(answer), size, unix.MSG_DONTWAIT}})
	if o.Errno == unix.EAGAIN {
		o.Errno, o.Detail = unix.ETIMEDOUT, "the name server does not answer"
	}
	if !o.Works {
		return a, o
	}
	a, ok := firstAddress(unsafe.Slice((*byte)(answer), min(r.Value(5), size)), len(query))
	if !ok {
		o.Detail = "the name server answers, and knows no address"
		if r.relayed { // by the policy
			o = Outcome{Errno: unix.ENOENT, Detail: "the policy does not name it"}
		}
	}
	return a, o
}

// content is the beginning of a file, or empty.
func (r *runner) content(name string) string {
	const size = 4096
	p := r.Space(size)
	o := r.Run(0, r.open(name, unix.O_RDONLY), attempt.Call{Nr: unix.SYS_READ, Args: [6]uintptr{0, uintptr(p), size}})
	if !o.Works {
		return ""
	}
	return string(unsafe.Slice((*byte)(p), min(r.Value(1), size)))
}

// question is a query for the IPv4 addresses of a name: RFC 1035.
func question(name string) []byte {
	b := []byte{0x5b, 0x78, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0} // a number, recursion desired, one question
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0, 0, 1, 0, 1)
}

// firstAddress is the first IPv4 address of an answer, whose question ends at n.
func firstAddress(b []byte, n int) (a netip.Addr, ok bool) {
	for n+12 <= len(b) && b[n]&0xc0 == 0xc0 { // names in answers point to the question
		kind, size := binary.BigEndian.Uint16(b[n+2:]), int(binary.BigEndian.Uint16(b[n+10:]))
		if n += 12; n+size > len(b) {
			break
		}
		if kind == 1 && size == 4 {
			return netip.AddrFrom4([4]byte(b[n:])), true
		}
		n += size
	}
	return a, false
}
