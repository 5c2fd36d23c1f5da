package gateway

import (
	"encoding/binary"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// questions are those that come over UDP, at any address: programs ask servers that they
// choose themselves, too.
type questions struct {
	g  *Gateway
	fd int
}

func (q *questions) handle(uint32) {
	var oob [128]byte
	buf := q.g.buf[:maxMessage+1]
	for range 64 {
		n, rights, _, from, err := unix.Recvmsg(q.fd, buf, oob[:], 0)
		if err == unix.EAGAIN {
			return
		}
		if err != nil || n > maxMessage {
			continue
		}
		q.g.asker = sender{port: addrPort(from).Port()}
		reply := q.g.names.reply(buf[:n], q.g.now)
		if reply == nil {
			continue
		}
		// From the address that was asked. What does not go is asked again.
		_ = unix.Sendmsg(q.fd, reply, source(oob[:rights]), from, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	}
}

// source turns the control message that says where a question came to into the one that
// says where the answer comes from; see ip(7) and ipv6(7).
func source(oob []byte) []byte {
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for _, m := range list {
		switch {
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO &&
			len(m.Data) >= unix.SizeofInet6Pktinfo:
			info := *(*unix.Inet6Pktinfo)(unsafe.Pointer(&m.Data[0]))
			info.Ifindex = 0
			return unix.PktInfo6(&info)
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			info := *(*unix.Inet4Pktinfo)(unsafe.Pointer(&m.Data[0]))
			return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: info.Addr})
		}
	}
	return nil
}

// stream are questions over TCP.
type stream struct {
	conn *conn
	from uint16
	buf  []byte
}

// streamTime is how long one may be idle, in all of its life: a program asks at once.
const streamTime = 20 * time.Second

func (c *conn) questions() {
	c.asked = &stream{conn: c}
	if peer, err := unix.Getpeername(c.in.fd); err == nil {
		c.asked.from = addrPort(peer).Port()
	}
	c.in.conn = c
	c.wait(greeting, false)
	c.deadline = c.g.now.Add(streamTime)
	if err := c.g.watch(c.in.fd, streamEvents, &c.in); err != nil {
		c.abort()
	}
}

// read answers all that is there. Who asks and does not read the answers is hung up on.
func (s *stream) read() {
	c := s.conn
	for range 64 {
		n, err := unix.Read(c.in.fd, c.g.buf[:4096])
		switch {
		case err == unix.EAGAIN:
			return
		case err == unix.EINTR:
			continue
		case err != nil || n == 0:
			c.finish()
			return
		}
		s.buf = append(s.buf, c.g.buf[:n]...)
		for len(s.buf) >= 2 {
			length := int(binary.BigEndian.Uint16(s.buf))
			if length > maxMessage {
				c.abort()
				return
			}
			if len(s.buf) < 2+length {
				break
			}
			c.g.asker = sender{true, s.from}
			reply := c.g.names.reply(s.buf[2:2+length], c.g.now)
			s.buf = s.buf[2+length:]
			if reply == nil {
				c.abort()
				return
			}
			reply = append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)
			if sent, err := unix.Write(c.in.fd, reply); err != nil || sent < len(reply) {
				c.abort()
				return
			}
		}
	}
	c.abort() // a flood of them
}
