package gateway

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Tap hands the launcher a packet socket (packet(7)) on the loopback device, which shows it
// what no listener catches: connections that the kernel refuses, UDP, and all else. It only
// looks, and its filter lets hardly anything of ordinary traffic through.
type Tap struct{}

func (Tap) String() string { return "hand a socket that sees refused packets to the launcher" }

// Kind is the name in --json.
func (Tap) Kind() string { return "hand-over-tap" }

const kindTap = 'p'

// snap is how much of a packet is looked at: two headers of IPv6 and a few more bytes.
const snap = 128

// Compile makes the socket with its filter before it sees anything.
func (Tap) Compile(a *step.Asm) {
	fd, one := a.Temp(), a.Words(step.Int(1))
	a.Sys(unix.SYS_SOCKET, step.Int(unix.AF_PACKET), step.Int(unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC),
		step.Int(0)).To(fd)
	filter := tapFilter()
	code := unsafe.Slice((*byte)(unsafe.Pointer(&filter[0])), len(filter)*int(unsafe.Sizeof(filter[0])))
	program := a.Words(step.Int(len(filter)), a.Bytes(code)) // struct sock_fprog
	a.Sys(unix.SYS_SETSOCKOPT, fd.Arg(), step.Int(unix.SOL_SOCKET), step.Int(unix.SO_ATTACH_FILTER), program, step.Int(16))
	// Each packet is received after it was sent: once is enough.
	a.Sys(unix.SYS_SETSOCKOPT, fd.Arg(), step.Int(unix.SOL_PACKET), step.Int(unix.PACKET_IGNORE_OUTGOING), one, step.Int(4))
	var addr [unix.SizeofSockaddrLinklayer]byte
	binary.NativeEndian.PutUint16(addr[0:], unix.AF_PACKET)
	binary.BigEndian.PutUint16(addr[2:], unix.ETH_P_ALL)
	binary.NativeEndian.PutUint32(addr[4:], loopback)
	a.Sys(unix.SYS_BIND, fd.Arg(), a.Bytes(addr[:]), step.Int(len(addr)))
	a.SendFD(a.Notify, []byte{step.MsgNetwork, kindTap}, fd.Arg())
	a.Sys(unix.SYS_CLOSE, fd.Arg())
}

// tapFilter is a program of classic BPF, whose packets begin with the header of IP. It lets
// through what the kernel answers where nobody listens: resets of TCP without a sequence
// number, which answer the first packet of a connection, and errors of ICMP; and echo requests.
func tapFilter() []unix.SockFilter {
	const (
		ldb, ldbx, ldx = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, unix.BPF_LD | unix.BPF_B | unix.BPF_IND, 0xb1 // BPF_MSH
		ldw, ldwx      = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_LD | unix.BPF_W | unix.BPF_IND
		and, shift     = unix.BPF_ALU | unix.BPF_AND, unix.BPF_ALU | unix.BPF_RSH
		jeq, ret       = unix.BPF_JMP | unix.BPF_JEQ, unix.BPF_RET
	)
	type line struct {
		code     uint16
		k        uint32
		yes, no  string // "" is the next line
		labelled string
	}
	lines := []line{
		{ldb, 0, "", "", ""}, {shift, 4, "", "", ""},
		{jeq, 4, "", "six", ""},
		{ldb, 9, "", "", ""}, {ldx, 0, "", "", ""}, // the protocol, and the length of the header
		{jeq, unix.IPPROTO_TCP, "", "icmp", ""},
		{ldbx, 13, "", "", ""}, {and, 0x17, "", "", ""}, // FIN, SYN, RST, ACK
		{jeq, 0x14, "", "drop", ""},
		{ldwx, 4, "", "", ""}, {jeq, 0, "take", "drop", ""},
		{jeq, unix.IPPROTO_ICMP, "", "drop", "icmp"},
		{ldbx, 0, "", "", ""}, {jeq, unreachable4, "take", "", ""}, {jeq, echo4, "take", "drop", ""},
		{jeq, 6, "", "drop", "six"},
		{ldb, 6, "", "", ""},
		{jeq, unix.IPPROTO_TCP, "", "icmp6", ""},
		{ldb, headerSix + 13, "", "", ""}, {and, 0x17, "", "", ""},
		{jeq, 0x14, "", "drop", ""},
		{ldw, headerSix + 4, "", "", ""}, {jeq, 0, "take", "drop", ""},
		{jeq, unix.IPPROTO_ICMPV6, "", "drop", "icmp6"},
		{ldb, headerSix, "", "", ""}, {jeq, unreachable6, "take", "", ""}, {jeq, problem6, "take", "", ""},
		{jeq, echo6, "take", "drop", ""},
		{ret, snap, "", "", "take"}, {ret, 0, "", "", "drop"},
	}
	to := func(from int, label string) uint8 {
		if label == "" {
			return 0
		}
		return uint8(slices.IndexFunc(lines, func(l line) bool { return l.labelled == label }) - from - 1)
	}
	out := make([]unix.SockFilter, len(lines))
	for i, l := range lines {
		out[i] = unix.SockFilter{Code: l.code, K: l.k, Jt: to(i, l.yes), Jf: to(i, l.no)}
	}
	return out
}

// Types of ICMP (RFC 792) and ICMPv6 (RFC 4443), and the length of a header of IPv6.
const (
	unreachable4, echo4           = 3, 8
	unreachable6, problem6, echo6 = 1, 4, 128
	headerSix                     = 40
)

// tap is the socket's end here.
type tap struct {
	g  *Gateway
	fd int
}

func (t *tap) handle(uint32) { t.look(64) }

// look reads so many packets at most.
func (t *tap) look(most int) {
	var b [snap]byte
	for range most {
		n, err := unix.Read(t.fd, b[:])
		if err == unix.EAGAIN {
			return
		}
		if err != nil {
			continue // the device went down, or a signal
		}
		if x, ok := parseRefused(b[:n]); ok && !x.to.Addr().IsLoopback() && !x.to.Addr().IsUnspecified() {
			t.g.refused(x)
		}
	}
}

// refused is something that nobody inside caught.
type refused struct {
	proto byte
	to    netip.AddrPort // the port is 0 where the protocol has none that is known here
	from  uint16         // the port
}

// parseRefused reads a packet that the filter has let through.
func parseRefused(b []byte) (x refused, ok bool) {
	h, ok := parseIP(b)
	if !ok {
		return x, false
	}
	p := h.payload
	switch {
	case h.proto == unix.IPPROTO_TCP && len(p) >= 20: // the answer, so from there
		return refused{h.proto, netip.AddrPortFrom(h.src, binary.BigEndian.Uint16(p)), binary.BigEndian.Uint16(p[2:])}, true
	case len(p) < 8:
		return x, false
	case h.proto == unix.IPPROTO_ICMP && p[0] == echo4, h.proto == unix.IPPROTO_ICMPV6 && p[0] == echo6:
		return refused{h.proto, netip.AddrPortFrom(h.dst, 0), 0}, true
	case h.proto == unix.IPPROTO_ICMP && p[0] == unreachable4,
		h.proto == unix.IPPROTO_ICMPV6 && (p[0] == unreachable6 || p[0] == problem6):
		in, ok := parseIP(p[8:]) // what it is the answer to, cut short
		if !ok || in.proto == unix.IPPROTO_ICMP || in.proto == unix.IPPROTO_ICMPV6 {
			return x, false
		}
		x = refused{in.proto, netip.AddrPortFrom(in.dst, 0), 0}
		if len(in.payload) >= 4 && (in.proto == unix.IPPROTO_UDP || in.proto == unix.IPPROTO_UDPLITE) {
			x.from = binary.BigEndian.Uint16(in.payload)
			x.to = netip.AddrPortFrom(in.dst, binary.BigEndian.Uint16(in.payload[2:]))
		}
		return x, true
	}
	return x, false
}

// header is what is of interest in a header of IP.
type header struct {
	proto    byte
	src, dst netip.Addr
	payload  []byte
}

func parseIP(b []byte) (h header, ok bool) {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		length := int(b[0]&15) * 4
		if length < 20 || len(b) < length {
			return h, false
		}
		return header{b[9], netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:])), b[length:]}, true
	case len(b) >= headerSix && b[0]>>4 == 6:
		return header{b[6], netip.AddrFrom16([16]byte(b[8:])).Unmap(), netip.AddrFrom16([16]byte(b[24:])).Unmap(),
			b[headerSix:]}, true
	}
	return h, false
}

// refused notes what was tried.
func (g *Gateway) refused(x refused) {
	d := Denied{Host: x.to.Addr().String(), Port: x.to.Port(), Refused: true}
	if name, ok := g.names.pool.name(x.to.Addr()); ok {
		d.Host = name
	}
	switch x.proto {
	case unix.IPPROTO_TCP:
	case unix.IPPROTO_UDP:
		d.Proto = "UDP"
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		d.Proto = "ICMP"
	default:
		d.Proto = "protocol " + strconv.Itoa(int(x.proto))
	}
	from := sender{port: x.from}
	if x.proto != unix.IPPROTO_UDP {
		from.port = 0 // of TCP nothing is left that could be found
	}
	g.deny(d, from)
}
