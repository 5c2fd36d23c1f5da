package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sock tries every way out. ADDR is host:port of a TCP and UDP listener, PATH
// a Unix socket, ABSTRACT an abstract one's name without the @.
func sock(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("want ADDR PATH ABSTRACT")
	}
	addr, err := net.ResolveTCPAddr("tcp", args[0])
	if err != nil {
		return err
	}
	sa := &unix.SockaddrInet4{Port: addr.Port}
	copy(sa.Addr[:], addr.IP.To4())

	say("tcp connect", dial(unix.AF_INET, unix.SOCK_STREAM, 0, sa))
	say("mptcp connect", dial(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP, sa))
	say("tcp fastopen", send(unix.AF_INET, unix.SOCK_STREAM, 0, unix.MSG_FASTOPEN, sa))
	say("udp send", send(unix.AF_INET, unix.SOCK_DGRAM, 0, 0, sa))
	say("sctp", dial(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP, sa))
	say("raw", open(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP))
	say("ping", open(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP))
	say("packet", open(unix.AF_PACKET, unix.SOCK_RAW, 0))
	say("netlink route", open(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE))
	say("netlink netfilter", open(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER))
	say("vsock", open(unix.AF_VSOCK, unix.SOCK_STREAM, 0))
	say("vsock 64-bit", rawSocket(1<<32|unix.AF_VSOCK, unix.SOCK_STREAM, 0))
	say("alg", open(unix.AF_ALG, unix.SOCK_SEQPACKET, 0))
	say("alg 64-bit", rawSocket(1<<32|unix.AF_ALG, unix.SOCK_SEQPACKET, 0))
	say("bluetooth", open(unix.AF_BLUETOOTH, unix.SOCK_RAW, 0))
	say("can", open(unix.AF_CAN, unix.SOCK_RAW, 1))
	say("tipc", open(unix.AF_TIPC, unix.SOCK_SEQPACKET, 0))
	say("unix path", dial(unix.AF_UNIX, unix.SOCK_STREAM, 0, &unix.SockaddrUnix{Name: args[1]}))
	say("unix abstract", dial(unix.AF_UNIX, unix.SOCK_STREAM, 0, &unix.SockaddrUnix{Name: "@" + args[2]}))
	say("unix pair", func() error {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err == nil {
			unix.Close(pair[0])
			unix.Close(pair[1])
		}
		return err
	}())
	interfaces, err := net.Interfaces()
	if err != nil {
		fmt.Printf("interfaces: %v\n", errnoName(err))
		return nil
	}
	names := []string{}
	for _, i := range interfaces {
		names = append(names, i.Name)
	}
	fmt.Printf("interfaces: %s\n", strings.Join(names, " "))
	return nil
}

func open(family, kind, proto int) error {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func rawSocket(family, kind, proto uintptr) error {
	fd, _, errno := unix.RawSyscall(unix.SYS_SOCKET, family, kind|unix.SOCK_CLOEXEC, proto)
	if errno != 0 {
		return errno
	}
	return unix.Close(int(fd))
}

// withTimeout keeps a swallowed packet from holding the test up.
func withTimeout(fd int) error {
	tv := unix.Timeval{Sec: 2}
	return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv)
}

func dial(family, kind, proto int, sa unix.Sockaddr) error {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := withTimeout(fd); err != nil {
		return err
	}
	return unix.Connect(fd, sa)
}

func send(family, kind, proto, flags int, sa unix.Sockaddr) error {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := withTimeout(fd); err != nil {
		return err
	}
	return unix.Sendto(fd, []byte("probe"), flags, sa)
}

// ipc tries the kernel's own mail boxes, which no mount covers.
func ipc([]string) error {
	for _, key := range []int{0x5b0001} {
		_, _, errno := unix.RawSyscall(unix.SYS_SHMGET, uintptr(key), 4096, 0)
		say("shmget existing", errnoOrNil(errno))
		_, _, errno = unix.RawSyscall(unix.SYS_MSGGET, uintptr(key), 0, 0)
		say("msgget existing", errnoOrNil(errno))
		_, _, errno = unix.RawSyscall(unix.SYS_SEMGET, uintptr(key), 1, 0)
		say("semget existing", errnoOrNil(errno))
	}
	name := append([]byte("sbx-probe"), 0)
	_, _, errno := unix.RawSyscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(&name[0])), unix.O_RDWR, 0, 0, 0, 0)
	say("mq_open existing", errnoOrNil(errno))
	_, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	say("keyctl", err)
	_, err = unix.RequestKey("user", "sbx-probe", "", unix.KEY_SPEC_PROCESS_KEYRING)
	say("request_key", err)
	_, err = unix.AddKey("user", "sbx-probe", []byte("x"), unix.KEY_SPEC_PROCESS_KEYRING)
	say("add_key", err)
	_, err = unix.PerfEventOpen(&unix.PerfEventAttr{}, 0, -1, -1, 0)
	say("perf_event_open", err)
	_, _, errno = unix.RawSyscall(unix.SYS_BPF, 0, 0, 0)
	say("bpf", errnoOrNil(errno))
	_, _, errno = unix.RawSyscall(unix.SYS_USERFAULTFD, 1, 0, 0)
	say("userfaultfd", errnoOrNil(errno))
	var params [120]byte
	_, _, errno = unix.RawSyscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params[0])), 0)
	say("io_uring_setup", errnoOrNil(errno))
	_, _, errno = unix.RawSyscall(unix.SYS_KEXEC_LOAD, 0, 0, 0)
	say("kexec_load", errnoOrNil(errno))
	_, _, errno = unix.RawSyscall(unix.SYS_SYSLOG, 3, 0, 0)
	say("syslog", errnoOrNil(errno))
	_, _, errno = unix.RawSyscall(unix.SYS_PERSONALITY, 0x0400000, 0, 0)
	say("personality", errnoOrNil(errno))
	for name, request := range map[string]uint{ // BTRFS_IOC_SNAP_CREATE, _V2, BCH_IOCTL_SUBVOLUME_CREATE
		"snapshot": 0x50009401, "snapshot, v2": 0x50009417, "snapshot, bcachefs": 0x4020bc10,
	} {
		say(name, unix.IoctlSetInt(1, request, 0))
	}
	return nil
}

func errnoOrNil(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// lfds does what sd_listen_fds(3) does, then answers one connection on each
// stream socket it was handed.
func lfds([]string) error {
	pid, fds := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	fmt.Printf("LISTEN_FDS: %s\nLISTEN_FDNAMES: %s\n", fds, os.Getenv("LISTEN_FDNAMES"))
	if pid != strconv.Itoa(os.Getpid()) {
		return fmt.Errorf("LISTEN_PID is %q, the pid is %d", pid, os.Getpid())
	}
	fmt.Println("LISTEN_PID: own")
	n, err := strconv.Atoi(fds)
	if err != nil {
		return err
	}
	for fd := 3; fd < 3+n; fd++ {
		f := os.NewFile(uintptr(fd), "listen")
		l, err := net.FileListener(f)
		if err != nil {
			return fmt.Errorf("fd %d: %w", fd, err)
		}
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		fmt.Fprintf(conn, "hello from fd %d\n", fd)
		if err := conn.Close(); err != nil {
			return err
		}
	}
	return nil
}

// notify does what sd_notify(3) does; "%p" in the message is the pid.
func notify(args []string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return fmt.Errorf("NOTIFY_SOCKET is not set")
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, message := range args {
		message = strings.ReplaceAll(message, "%p", strconv.Itoa(os.Getpid()))
		if _, err := conn.Write([]byte(message)); err != nil {
			return err
		}
	}
	fmt.Println("notified")
	time.Sleep(200 * time.Millisecond) // a manager looks up who sent it
	return nil
}
