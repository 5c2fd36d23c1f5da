package trial

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/sandbox/internal/attempt"
)

// network connects to, or binds, "HOST:PORT", the path of a Unix socket, or
// "@NAME", an abstract one.
func (r *runner) network(verb, where string) Outcome {
	family, address, o := r.address(where)
	if address == nil {
		return o
	}
	p := r.Bytes(address)
	sock := attempt.Call{Nr: unix.SYS_SOCKET, Args: [6]uintptr{uintptr(family),
		unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK}, From: -1}
	if verb == "bind" {
		o := r.Run(0, sock, attempt.Call{Nr: unix.SYS_BIND, Args: [6]uintptr{0, p, uintptr(len(address))}})
		switch {
		case o.Errno == unix.EADDRINUSE:
			return Outcome{Works: true, Detail: "it is in use"}
		case o.Errno == unix.EADDRNOTAVAIL:
			return Outcome{Untried: "it is no address of this machine", Errno: o.Errno}
		case o.Works && family == unix.AF_UNIX && where[0] == '/':
			r.Run(0, attempt.Call{Nr: unix.SYS_UNLINKAT, Args: [6]uintptr{at, r.Text(where)}, From: -1})
		}
		return o
	}
	return r.connect(sock, p, len(address))
}

// socketFD is the number that a trial gives its socket: one that the limit on open files
// allows. The trial has a process of its own, so it is nobody else's.
func socketFD() uint32 {
	const most = 100
	var l unix.Rlimit
	if unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &l) != nil {
		return most // a filter denies asking
	}
	return uint32(min(most, max(l.Cur, 1)-1))
}

// connect waits up to two seconds for an answer.
func (r *runner) connect(sock attempt.Call, p uintptr, n int) Outcome {
	// struct pollfd: the descriptor, events and revents. SO_ERROR and its size. A timespec.
	fd := socketFD()
	pollfd := (*[2]uint32)(r.Space(8))
	answer := (*[2]uint32)(r.Space(8))
	wait := (*[2]uint64)(r.Space(16))
	*pollfd, *answer, *wait = [2]uint32{fd, unix.POLLOUT}, [2]uint32{0, 4}, [2]uint64{2, 0}
	calls := []attempt.Call{
		sock,
		// EINVAL: it has that number already.
		attempt.Call{Nr: unix.SYS_DUP3, Args: [6]uintptr{0, uintptr(fd), unix.O_CLOEXEC}, Pass: unix.EINVAL},
		attempt.Call{Nr: unix.SYS_CONNECT, Args: [6]uintptr{0, p, uintptr(n)}, Pass: unix.EINPROGRESS},
		attempt.Call{Nr: unix.SYS_PPOLL, Args: [6]uintptr{uintptr(unsafe.Pointer(pollfd)), 1, uintptr(unsafe.Pointer(wait))},
			From: -1},
		attempt.Call{Nr: unix.SYS_GETSOCKOPT, Args: [6]uintptr{0, unix.SOL_SOCKET, unix.SO_ERROR,
			uintptr(unsafe.Pointer(&answer[0])), uintptr(unsafe.Pointer(&answer[1]))}},
	}
	// Whoever accepts for another one hangs up later where that does not accept.
	closing := (*[2]uint32)(r.Space(8))
	later := (*[2]uint32)(r.Space(8))
	patient := (*[2]uint64)(r.Space(16))
	*closing, *later, *patient = [2]uint32{fd, unix.POLLIN | unix.POLLRDHUP}, [2]uint32{0, 4}, [2]uint64{1, 0}
	if r.relayed {
		calls = append(calls,
			attempt.Call{Nr: unix.SYS_PPOLL, Args: [6]uintptr{uintptr(unsafe.Pointer(closing)), 1,
				uintptr(unsafe.Pointer(patient))},
				From: -1},
			attempt.Call{Nr: unix.SYS_GETSOCKOPT, Args: [6]uintptr{0, unix.SOL_SOCKET, unix.SO_ERROR,
				uintptr(unsafe.Pointer(&later[0])), uintptr(unsafe.Pointer(&later[1]))}})
	}
	// No error is not yet a connection: one that has a peer is.
	peer, size := r.Space(unix.SizeofSockaddrAny), (*[2]uint32)(r.Space(8))
	size[0] = unix.SizeofSockaddrAny
	asked := len(calls)
	calls = append(calls, attempt.Call{Nr: unix.SYS_GETPEERNAME,
		Args: [6]uintptr{0, uintptr(peer), uintptr(unsafe.Pointer(&size[0]))}})
	o := r.Run(0, calls...)
	switch done := r.Done(); {
	case o.Signal != 0 && done < asked, done < 3, done == 3 && o.Errno != 0:
		return o
	case done >= 5 && r.Value(3) == 0:
		return Outcome{Errno: unix.ETIMEDOUT}
	case done >= 5:
		errno := unix.Errno(answer[0])
		if r.relayed && done >= 7 && errno == 0 {
			errno = unix.Errno(later[0])
		}
		if errno == 0 && done > asked && r.Errno(asked) == unix.ENOTCONN {
			errno = unix.ENOTCONN
		}
		return Outcome{Works: errno == 0, Errno: errno}
	}
	return Outcome{Works: r.Errno(2) == 0, Errno: r.Errno(2)}
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
