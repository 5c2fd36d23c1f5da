package notify

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/policy/explain"
	"sbx/policy/seccomp"
)

// maxAttempts is how many different ones are kept.
const maxAttempts = 500

// attemptKey is what makes two attempts one.
type attemptKey struct {
	call, address, exe, needs, limit string
	idle, outside                    bool
}

// attempt looks at a call that is allowed and made rarely, before it is made.
func (l *Listener) attempt(call string) {
	r := &l.request
	k := attemptKey{call: call}
	switch {
	case explain.MayNeed(call):
		if k.needs = l.needs(call); k.needs == "" || !l.mountPoint(call) {
			return
		}
	case explain.Signals(call):
		if k.outside = l.outside(explain.Process(call, r.Args)); !k.outside {
			return
		}
		k.address = strconv.Itoa(int(explain.Process(call, r.Args)))
	default:
		k.address = l.address(r.Args[1], r.Args[2])
		if k.address == "" || !l.valid() {
			return
		}
	}
	if call == "connect" && strings.HasPrefix(k.address, "/") {
		if l.files.seen != nil {
			l.noteFile(fileKey{path: k.address}, call)
		}
		return
	}
	to, err := netip.ParseAddrPort(k.address)
	if err != nil && k.needs == "" && !k.outside {
		return
	}
	if call == "connect" && to.Addr().Unmap().IsLoopback() {
		k.idle = l.idle(to.Port(), r.Args[0])
	}
	l.noteAttempt(k)
}

// noteAttempt records it.
func (l *Listener) noteAttempt(k attemptKey) {
	k.exe = l.exe()
	if !l.valid() {
		return
	}
	if a := l.attempts[k]; a != nil {
		a.Count++
		return
	}
	if len(l.attempts) == maxAttempts {
		l.record.Coarse = true
		return
	}
	a := &explain.Attempt{Call: k.call, Address: k.address, Needs: k.needs, Idle: k.idle, Outside: k.outside,
		Limit: k.limit, Exe: k.exe, Count: 1}
	d := explain.Denial{Arch: seccomp.Native(), Number: l.request.Number, Args: l.request.Args}
	if _, d.Text = l.arguments(); l.valid() {
		a.Said = d.Call()
	}
	if _, pid := l.pids(); l.valid() {
		a.PID = pid
	}
	l.attempts[k] = a
	l.attemptOrder = append(l.attemptOrder, a)
}

// needs is the capability that the call takes of the process that makes it, or "".
func (l *Listener) needs(call string) string {
	status, err := sys.ReadFile(l.proc("status"))
	if err != nil {
		return ""
	}
	c := explain.Caller{UIDs: ids(status, "Uid:"), GIDs: ids(status, "Gid:")}
	switch call {
	case "setpriority":
		if !l.nice(&c, field(status, "NStgid:", 10), field(status, "NSpid:", 10)) {
			return ""
		}
	case "sched_setscheduler", "sched_setattr":
		var realtime unix.Rlimit
		if unix.Prlimit(int(l.request.PID), unix.RLIMIT_RTPRIO, nil, &realtime) != nil {
			return ""
		}
		c.Realtime = realtime.Cur > 0
		if call == "sched_setattr" { // struct sched_attr: its size, and the policy
			if b := l.read(l.request.Args[1], 8, false); len(b) == 8 {
				c.Policy = binary.NativeEndian.Uint32(b[4:])
			}
		}
	}
	if !l.valid() {
		return ""
	}
	return explain.Needs(call, l.request.Args, c)
}

// nice finds out what setpriority(2) is judged by, where a process calls it that has these pids
// inside. It is false where that cannot be told.
func (l *Listener) nice(c *explain.Caller, process, thread int) bool {
	r := &l.request
	var limit unix.Rlimit
	if unix.Prlimit(int(r.PID), unix.RLIMIT_NICE, nil, &limit) != nil {
		return false
	}
	// What is not the asking one's own began with the launcher's, and was not made less.
	about := 0
	if who := int(int32(r.Args[1])); who == 0 || who == process || who == thread {
		about = int(r.PID)
	}
	const least = 20 // which getpriority(2) and the limit count from
	now, err := unix.Getpriority(unix.PRIO_PROCESS, about)
	c.Nice, c.LeastNice = least-now, least-int(min(limit.Cur, 2*least))
	return err == nil
}

// mountPoint says that what mount(2) or umount2(2) is about is there: else that is what the
// call fails with. Other calls are about nothing of the kind.
func (l *Listener) mountPoint(call string) bool {
	at, ok := map[string]int{"mount": 1, "umount2": 0}[call]
	if !ok {
		return true
	}
	full := l.fullPath(explain.FileArg{Path: at, Dir: -1})
	root, err := unix.Open(l.proc("root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(root)
	var st unix.Stat_t
	return full != "" && (full == "/" || statIn(root, full, &st))
}

// idle says that nothing listens at the port in the network of the one who asks: no TCP
// socket, and none of UDP where the one who asks connects one of these.
func (l *Listener) idle(port uint16, fd uint64) bool {
	link := make([]byte, 64)
	n, err := unix.Readlink(l.proc("fd/"+strconv.Itoa(int(int32(fd)))), link)
	if err != nil {
		return false
	}
	inode := strings.TrimSuffix(strings.TrimPrefix(string(link[:n]), "socket:["), "]")
	const listening, unconnected = "0A", "07"
	state := listening
	for _, file := range [...]string{"net/udp", "net/udp6"} {
		table, err := sys.ReadFile(l.proc(file))
		if err != nil {
			return false
		}
		if strings.Contains(table, " "+inode+" ") {
			state = unconnected
		}
	}
	files := [...]string{"net/tcp", "net/tcp6"}
	if state == unconnected {
		files = [...]string{"net/udp", "net/udp6"}
	}
	for _, file := range files {
		table, err := sys.ReadFile(l.proc(file))
		if err != nil || hasPort(table, port, state, inode) {
			return false
		}
	}
	return true
}

// hasPort says whether a table of sockets, as in /proc/net/tcp, has one in that state at
// the port, other than that of the inode.
func hasPort(table string, port uint16, state, inode string) bool {
	want := ":" + strings.ToUpper(hex.EncodeToString([]byte{byte(port >> 8), byte(port)}))
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) > 9 && strings.HasSuffix(f[1], want) && f[3] == state && f[9] != inode {
			return true
		}
	}
	return false
}
