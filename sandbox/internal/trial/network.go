package trial

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// network connects to, or binds, "HOST:PORT", the path of a Unix socket, or
// "@NAME", an abstract one.
func (r *runner) network(verb, where string) Outcome {
	family, address, o := r.address(where)
	if address == nil {
		return o
	}
	p := r.bytes(address)
	sock := call{nr: unix.SYS_SOCKET, args: [6]uintptr{uintptr(family),
		unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK}, from: -1}
	if verb == "bind" {
		o := r.run(sock, call{nr: unix.SYS_BIND, args: [6]uintptr{0, p, uintptr(len(address))}})
		switch {
		case o.Errno == unix.EADDRINUSE:
			return Outcome{Works: true, Detail: "it is in use"}
		case o.Errno == unix.EADDRNOTAVAIL:
			return Outcome{Untried: "it is no address of this machine", Errno: o.Errno}
		case o.Works && family == unix.AF_UNIX && where[0] == '/':
			r.run(call{nr: unix.SYS_UNLINKAT, args: [6]uintptr{at, r.text(where)}, from: -1})
		}
		return o
	}
	return r.connect(sock, p, len(address))
}

// trialFD is the number that a trial gives its socket, which is nobody else's.
const trialFD = 100

// connect waits up to two seconds for an answer.
func (r *runner) connect(sock call, p uintptr, n int) Outcome {
	// struct pollfd: the descriptor, events and revents. SO_ERROR and its size. A timespec.
	pollfd := (*[2]uint32)(r.space(8))
	answer := (*[2]uint32)(r.space(8))
	wait := (*[2]uint64)(r.space(16))
	*pollfd, *answer, *wait = [2]uint32{trialFD, unix.POLLOUT}, [2]uint32{0, 4}, [2]uint64{2, 0}
	calls := []call{
		sock,
		call{nr: unix.SYS_DUP3, args: [6]uintptr{0, trialFD, unix.O_CLOEXEC}},
		call{nr: unix.SYS_CONNECT, args: [6]uintptr{0, p, uintptr(n)}, pass: unix.EINPROGRESS},
		call{nr: unix.SYS_PPOLL, args: [6]uintptr{uintptr(unsafe.Pointer(pollfd)), 1, uintptr(unsafe.Pointer(wait))},
			from: -1},
		call{nr: unix.SYS_GETSOCKOPT, args: [6]uintptr{0, unix.SOL_SOCKET, unix.SO_ERROR,
			uintptr(unsafe.Pointer(&answer[0])), uintptr(unsafe.Pointer(&answer[1]))}},
	}
	// Whoever accepts for another one hangs up later where that does not accept.
	closing := (*[2]uint32)(r.space(8))
	later := (*[2]uint32)(r.space(8))
	patient := (*[2]uint64)(r.space(16))
	*closing, *later, *patient = [2]uint32{trialFD, unix.POLLIN | unix.POLLRDHUP}, [2]uint32{0, 4}, [2]uint64{1, 0}
	if r.relayed {
		calls = append(calls,
			call{nr: unix.SYS_PPOLL, args: [6]uintptr{uintptr(unsafe.Pointer(closing)), 1, uintptr(unsafe.Pointer(patient))},
				from: -1},
			call{nr: unix.SYS_GETSOCKOPT, args: [6]uintptr{0, unix.SOL_SOCKET, unix.SO_ERROR,
				uintptr(unsafe.Pointer(&later[0])), uintptr(unsafe.Pointer(&later[1]))}})
	}
	o := r.run(calls...)
	switch done := r.page.done; {
	case o.Signal != 0, done < 3, done == 3 && o.Errno != 0:
		return o
	case done >= 5 && r.page.value[3] == 0:
		return Outcome{Errno: unix.ETIMEDOUT}
	case done >= 5:
		errno := unix.Errno(answer[0])
		if done == 7 && errno == 0 {
			errno = unix.Errno(later[0])
		}
		return Outcome{Works: errno == 0, Errno: errno}
	}
	return Outcome{Works: r.page.errno[2] == 0, Errno: unix.Errno(r.page.errno[2])}
}

// address is a struct sockaddr. Without one the outcome says why.
func (r *runner) address(where string) (family int, b []byte, o Outcome) {
	if where[0] == '/' || where[0] == '@' {
		b = binary.NativeEndian.AppendUint16(nil, unix.AF_UNIX)
		if where[0] == '@' {
			return unix.AF_UNIX, append(append(b, 0), where[1:]...), o
		}
		if len(where) > 107 {
			return 0, nil, Outcome{Untried: "the path is too long for a socket's"}
		}
		return unix.AF_UNIX, append(append(b, where...), 0), o
	}
	i := strings.LastIndexByte(where, ':')
	host := strings.TrimSuffix(strings.TrimPrefix(where[:i], "["), "]")
	a, err := netip.ParseAddr(host)
	if err != nil {
		var o Outcome
		if a, o = r.lookUp(host); !o.Works {
			o.Detail = "the name cannot be resolved"
			return 0, nil, o
		}
	}
	var port uint16
	for _, c := range where[i+1:] {
		port = port*10 + uint16(c-'0')
	}
	if a.Unmap().Is4() {
		b = binary.NativeEndian.AppendUint16(nil, unix.AF_INET)
		b = binary.BigEndian.AppendUint16(b, port)
		four := a.Unmap().As4()
		return unix.AF_INET, append(append(b, four[:]...), make([]byte, 8)...), o
	}
	b = binary.NativeEndian.AppendUint16(nil, unix.AF_INET6)
	b = binary.BigEndian.AppendUint16(b, port)
	six := a.As16()
	return unix.AF_INET6, append(append(append(b, 0, 0, 0, 0), six[:]...), 0, 0, 0, 0), o
}
