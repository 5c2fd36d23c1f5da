// Package gateway is the network of a sandbox that may reach some hosts. In its network
// namespace every address is one of the loopback's, so what is sent stays there. Listeners
// on the ports that the policy names are made there and handed to the launcher, which
// accepts what comes, looks at the address that was wanted, and connects to it on the host
// if a rule allows that. Names have addresses of a pool inside; the launcher knows which
// name is meant, and resolves it on the host.
package gateway

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Route makes all addresses those of the loopback, in the sandbox's network namespace.
type Route struct{ IPv6 bool }

func (r Route) String() string {
	if r.IPv6 {
		return "route all addresses of IPv4 and IPv6 to the loopback device"
	}
	return "route all addresses of IPv4 to the loopback device"
}

// Kind is the name in --json.
func (Route) Kind() string { return "route-to-loopback" }

// Compile is a message of rtnetlink(7) for each route and each address, as "ip route add
// local 0.0.0.0/0 dev lo" would send it.
func (r Route) Compile(a *step.Asm) {
	fd := a.Temp()
	a.Sys(unix.SYS_SOCKET, step.Int(unix.AF_NETLINK), step.Int(unix.SOCK_RAW|unix.SOCK_CLOEXEC),
		step.Int(unix.NETLINK_ROUTE)).To(fd)
	messages := [][]byte{addressMessage(Resolver), routeMessage(unix.AF_INET)}
	if r.IPv6 {
		messages = append(messages, addressMessage(Resolver6), routeMessage(unix.AF_INET6))
	}
	for _, m := range messages {
		a.Sys(unix.SYS_SENDTO, fd.Arg(), a.Bytes(m), step.Int(len(m)), step.Int(0), step.Int(0), step.Int(0)).Expect(len(m))
		// The answer is a struct nlmsghdr and the errno, 0 for none.
		reply := a.Scratch()
		a.Sys(unix.SYS_RECVFROM, fd.Arg(), reply, step.Int(256), step.Int(0), step.Int(0), step.Int(0))
		a.Compare(reply.At(unix.SizeofNlMsghdr), make([]byte, 4))
	}
	a.Sys(unix.SYS_CLOSE, fd.Arg())
}

// loopback is the number of lo, the first device of each network namespace.
const loopback = 1

// request is a message to the kernel that is to be acknowledged.
func request(kind uint16, flags uint16, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE|flags)
	b = append(b, make([]byte, 8)...) // sequence number and port
	return append(b, body...)
}

// attribute is a struct rtattr.
func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return append(b, value...) // all values have a multiple of 4 bytes
}

// routeMessage has struct rtmsg: a route to everywhere.
func routeMessage(family byte) []byte {
	b := []byte{family, 0, 0, 0, unix.RT_TABLE_LOCAL, unix.RTPROT_STATIC, unix.RT_SCOPE_HOST, unix.RTN_LOCAL, 0, 0, 0, 0}
	oif := binary.NativeEndian.AppendUint32(nil, loopback)
	return request(unix.RTM_NEWROUTE, 0, append(b, attribute(unix.RTA_OIF, oif)...))
}

// addressMessage has struct ifaddrmsg: one address of lo.
func addressMessage(a netip.Addr) []byte {
	family := byte(unix.AF_INET)
	if a.Is6() {
		family = unix.AF_INET6
	}
	b := []byte{family, byte(a.BitLen()), unix.IFA_F_NODAD, unix.RT_SCOPE_HOST}
	b = binary.NativeEndian.AppendUint32(b, loopback)
	b = append(b, attribute(unix.IFA_LOCAL, a.AsSlice())...)
	b = append(b, attribute(unix.IFA_ADDRESS, a.AsSlice())...)
	return request(unix.RTM_NEWADDR, unix.NLM_F_EXCL, b)
}

// Catch makes the listeners that catch all connections to the ports, and the one that
// catches DNS questions, and hands them to the launcher.
type Catch struct {
	Ports []uint16 // in ascending order
	IPv6  bool
}

func (c Catch) String() string {
	ports := make([]string, len(c.Ports))
	for i, p := range c.Ports {
		ports[i] = strconv.Itoa(int(p))
	}
	return fmt.Sprintf("hand listeners for DNS and TCP port %s to the launcher", strings.Join(ports, ", "))
}

// Kind is the name in --json.
func (Catch) Kind() string { return "hand-over-listeners" }

// MaxPorts is how many ports a policy may name: each has a listener.
const MaxPorts = 128

const dnsPort = 53

// Compile makes one socket for IPv4 and IPv6 together, where there is IPv6.
func (c Catch) Compile(a *step.Asm) {
	s := a.Temp()
	c.open(a, s, unix.SOCK_DGRAM, dnsPort, kindUDP)
	dns := true
	for _, p := range c.Ports {
		dns = dns && p != dnsPort
		c.open(a, s, unix.SOCK_STREAM, p, kindTCP)
	}
	if dns {
		c.open(a, s, unix.SOCK_STREAM, dnsPort, kindTCP)
	}
}

// Kinds of sockets that the launcher gets.
const (
	kindTCP = 't'
	kindUDP = 'u'
)

func (c Catch) open(a *step.Asm, s step.Slot, kind int, port uint16, name byte) {
	zero, one := a.Space(4), a.Words(step.Int(1))
	family := unix.AF_INET
	if c.IPv6 {
		family = unix.AF_INET6
	}
	a.Sys(unix.SYS_SOCKET, step.Int(family), step.Int(kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC), step.Int(0)).To(s)
	set := func(level, option int, value step.Arg) {
		a.Sys(unix.SYS_SETSOCKOPT, s.Arg(), step.Int(level), step.Int(option), value, step.Int(4))
	}
	var addr []byte
	if c.IPv6 {
		set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, zero)
		addr = make([]byte, unix.SizeofSockaddrInet6)
	} else {
		addr = make([]byte, unix.SizeofSockaddrInet4)
	}
	binary.NativeEndian.PutUint16(addr, uint16(family))
	binary.BigEndian.PutUint16(addr[2:], port)
	if kind == unix.SOCK_DGRAM && c.IPv6 {
		set(unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, one)
		set(unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, one) // to answer from the address that was asked
	} else if kind == unix.SOCK_DGRAM {
		set(unix.IPPROTO_IP, unix.IP_PKTINFO, one)
	}
	a.Sys(unix.SYS_BIND, s.Arg(), a.Bytes(addr), step.Int(len(addr)))
	if kind == unix.SOCK_STREAM {
		a.Sys(unix.SYS_LISTEN, s.Arg(), step.Int(4096))
	}
	a.SendFD(a.Notify, []byte{step.MsgNetwork, name}, s.Arg())
	a.Sys(unix.SYS_CLOSE, s.Arg())
}
