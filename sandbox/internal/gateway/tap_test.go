package gateway

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// packet is one of IP, without checksums, from 198.18.0.1 or fd73:6278::1 to the address.
func packet(to string, proto byte, payload ...byte) []byte {
	a := netip.MustParseAddr(to)
	if a.Is4() {
		b := make([]byte, 20)
		b[0], b[9] = 0x45, proto
		copy(b[12:], []byte{198, 18, 0, 1})
		copy(b[16:], a.AsSlice())
		return append(b, payload...)
	}
	b := make([]byte, 40)
	b[0], b[6] = 0x60, proto
	copy(b[8:], []byte{0xfd, 0x73, 0x62, 0x78, 15: 1})
	copy(b[24:], a.AsSlice())
	return append(b, payload...)
}

// reply turns the addresses round.
func reply(b []byte) []byte {
	b = append([]byte{}, b...)
	n := 4
	at := 12
	if b[0]>>4 == 6 {
		n, at = 16, 8
	}
	from, to := append([]byte{}, b[at:at+n]...), append([]byte{}, b[at+n:at+2*n]...)
	copy(b[at:], to)
	copy(b[at+n:], from)
	return b
}

// tcp is a header: from 80 to 4000, with that sequence number and those flags.
func tcp(seq uint32, flags byte) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, 80)
	binary.BigEndian.PutUint16(b[2:], 4000)
	binary.BigEndian.PutUint32(b[4:], seq)
	b[13] = flags
	return b
}

// udp is one from 4000 to 123.
func udp() []byte { return []byte{4000 >> 8, 4000 & 255, 0, 123, 0, 9, 0, 0, 'x'} }

func icmp(kind, code byte, of []byte) []byte {
	return append([]byte{kind, code, 0, 0, 0, 0, 0, 0}, of...)
}

// tapVM runs the filter.
func tapVM(t testing.TB) *bpf.VM {
	var list []bpf.Instruction
	for _, x := range tapFilter() {
		list = append(list, bpf.RawInstruction{Op: x.Code, Jt: x.Jt, Jf: x.Jf, K: x.K}.Disassemble())
	}
	vm, err := bpf.NewVM(list)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

// TestTap: what nobody caught is let through and named, and nothing else.
func TestTap(t *testing.T) {
	vm := tapVM(t)
	const rst, ack, syn = 4, 16, 2
	for what, c := range map[string]struct {
		packet []byte
		want   string // "" is not let through
	}{
		"refused":            {reply(packet("1.2.3.4", 6, tcp(0, rst|ack)...)), "6 1.2.3.4:80 4000"},
		"refused, IPv6":      {reply(packet("2001:db8::1", 6, tcp(0, rst|ack)...)), "6 [2001:db8::1]:80 4000"},
		"reset":              {reply(packet("1.2.3.4", 6, tcp(77, rst|ack)...)), ""},
		"reset, IPv6":        {reply(packet("2001:db8::1", 6, tcp(77, rst|ack)...)), ""},
		"connect":            {packet("1.2.3.4", 6, tcp(0, syn)...), ""},
		"data":               {packet("2001:db8::1", 6, tcp(0, ack)...), ""},
		"UDP":                {packet("1.2.3.4", 17, udp()...), ""},
		"UDP refused":        {packet("198.18.0.1", 1, icmp(3, 3, packet("1.2.3.4", 17, udp()...))...), "17 1.2.3.4:123 4000"},
		"UDP refused, IPv6":  {packet("fd73::1", 58, icmp(1, 4, packet("2001:db8::1", 17, udp()...))...), "17 [2001:db8::1]:123 4000"},
		"SCTP refused":       {packet("198.18.0.1", 1, icmp(3, 2, packet("1.2.3.4", 132, udp()...))...), "132 1.2.3.4:0 0"},
		"SCTP refused, IPv6": {packet("fd73::1", 58, icmp(4, 1, packet("2001:db8::1", 132, udp()...))...), "132 [2001:db8::1]:0 0"},
		"ping":               {packet("1.2.3.4", 1, icmp(8, 0, nil)...), "1 1.2.3.4:0 0"},
		"ping, IPv6":         {packet("2001:db8::1", 58, icmp(128, 0, nil)...), "58 [2001:db8::1]:0 0"},
		"pong":               {packet("1.2.3.4", 1, icmp(0, 0, nil)...), ""},
		"neighbours":         {packet("2001:db8::1", 58, icmp(135, 0, nil)...), ""},
		"no IP":              {make([]byte, 60), ""},
	} {
		n, err := vm.Run(c.packet)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if n > 0 {
			x, ok := parseRefused(c.packet[:min(n, len(c.packet))])
			if got = "not read"; ok {
				got = fmt.Sprintf("%d %v %d", x.proto, x.to, x.from)
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, not %q", what, got, c.want)
		}
	}
	if size := unsafe.Sizeof(unix.SockFilter{}); size != 8 {
		t.Errorf("a line of the filter has %d bytes", size)
	}
}

// FuzzTap: whatever comes is read without harm, and what is named was in it.
func FuzzTap(f *testing.F) {
	f.Add(packet("198.18.0.1", 1, icmp(3, 3, packet("1.2.3.4", 17, udp()...))...))
	f.Add(packet("2001:db8::1", 6, tcp(0, 20)...))
	f.Add(packet("fd73::1", 58, icmp(4, 1, packet("2001:db8::1", 132, udp()...))...))
	vm := tapVM(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 0 {
			if _, err := vm.Run(b); err != nil {
				t.Fatal(err)
			}
		}
		x, ok := parseRefused(b)
		if ok && (!x.to.Addr().IsValid() || x.to.Addr().Is4In6()) {
			t.Errorf("%x: %+v", b, x)
		}
	})
}
