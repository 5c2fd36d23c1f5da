package host

import (
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// Handed is a descriptor of the caller's that the target gets: 0 to 2, those of
// LISTEN_FDS, and those that the caller keeps on purpose.
type Handed struct {
	// FD is its number in the target.
	FD int
	// Mode is its file type as in st_mode. Path says that it is open by O_PATH
	// only, Listen that it is one of LISTEN_FDS and not kept on purpose as well.
	Mode         uint32
	Path, Listen bool
	// Socket is what a socket is, the zero value for anything else.
	Socket Socket
	// Anonymous is what a descriptor is that is no file: see Stdio.
	Anonymous string
	// Memory says that it is a memfd that is not sealed against writing, and Write that it
	// is open for that.
	Memory, Write bool
}

// Acts says that by the descriptor more than its own reader can be reached: another
// process (its memory, pidfd, userfaultfd, perf_event, seccomp notify), files of the host (io_uring,
// fanotify, inotify, fscontext, a namespace, a ruleset that others enforce) or the kernel (bpf, kvm). By
// an epoll whoever shares it gets events with data that the target has made up, which is
// mostly a pointer. Harmless are those that count and wait; what is not known is not.
func (f Handed) Acts() bool {
	switch f.Anonymous {
	case "", "eventfd", "timerfd", "signalfd", "sync_file":
		return false
	}
	return true
}

// Ring says that it is an io_uring. No filter sees what is put into its memory, and a
// thread of the kernel does it with the rights of who made the ring, on the host's files.
func (f Handed) Ring() bool { return f.Anonymous == "io_uring" }

// Socket is what a socket is: its AF_* family, SOCK_* type and IPPROTO_*
// protocol. It belongs to the network namespace that it was made in for as long
// as it lives, wherever it is used.
type Socket struct {
	Family, Type, Protocol int
	// Listening says that it accepts connections, Connected that it has a peer.
	Listening, Connected bool
}

// MaxListenFDs bounds LISTEN_FDS.
const MaxListenFDs = 1 << 16

// ListenFDs is how many descriptors, from 3 on, a service manager hands over to
// this process; see sd_listen_fds(3). A rule of the policy's process.env that
// sets LISTEN_FDS takes them away.
func (t Target) ListenFDs(rules []string) int {
	if _, set := Lookup(rules, "LISTEN_FDS"); set {
		return 0
	}
	if pid, ok := Lookup(t.Env, "LISTEN_PID"); !ok || pid != strconv.Itoa(t.PID) {
		return 0
	}
	fds, _ := Lookup(t.Env, "LISTEN_FDS")
	n, err := strconv.Atoi(fds)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// crossing are the descriptors above 2 that the target gets, each once: those of
// LISTEN_FDS, how many these are, and then those that the caller keeps on purpose.
func (t Target) crossing(p *policy.Policy) (fds []int, listen int) {
	listen = min(t.ListenFDs(p.Process.Env), MaxListenFDs)
	for fd := 3; fd < 3+listen; fd++ {
		fds = append(fds, fd)
	}
	for _, fd := range t.KeepFDs {
		if fd >= 3+listen && !slices.Contains(fds[listen:], fd) {
			fds = append(fds, fd)
		}
	}
	return fds, listen
}

// probeHanded describes the descriptors that the target gets, which probeStreams has
// looked at.
func (h *Facts) probeHanded(p *policy.Policy, _ *policy.Tree, t Target) error {
	for i := range h.Stdio {
		h.hand(&h.Stdio[i], false)
	}
	_, listen := t.crossing(p)
	for i := range h.Kept {
		s := &h.Kept[i]
		h.hand(s, i < listen && !slices.Contains(t.KeepFDs, s.FD))
	}
	return nil
}

// hand adds one, unless it is closed, which crosses as that.
func (h *Facts) hand(s *Stdio, listen bool) {
	if s.Mode == 0 && !s.Path && s.Anonymous == "" {
		return
	}
	d := Handed{FD: s.As, Mode: s.Mode, Path: s.Path, Listen: listen, Anonymous: s.Anonymous, Memory: s.Memory,
		Write: s.Write}
	if d.Mode == unix.S_IFSOCK && !d.Path {
		d.Socket = lookAtSocket(s.FD)
	}
	h.Handed = append(h.Handed, d)
}

// lookAtSocket asks the kernel what a socket is. What it does not say stays
// zero, which is no family that anybody knows a protection for.
func lookAtSocket(fd int) (s Socket) {
	for _, x := range [...]struct {
		option int
		to     *int
	}{{unix.SO_DOMAIN, &s.Family}, {unix.SO_TYPE, &s.Type}, {unix.SO_PROTOCOL, &s.Protocol}} {
		if n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, x.option); err == nil {
			*x.to = n
		}
	}
	accepts, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	s.Listening = err == nil && accepts != 0
	// An address of an unknown family is an address.
	_, err = unix.Getpeername(fd)
	s.Connected = err == nil || err == unix.EAFNOSUPPORT
	return s
}
