package notify

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// outside says that there is a process of that number, and that it is not in the sandbox: the
// one who asks sees other numbers, or is kept from signals to it. It is the caller's own, so
// that without the sandbox the call would have been made.
func (l *Listener) outside(pid int32) bool {
	if pid <= 1 || l.request.PID == 0 {
		return false
	}
	host := "/proc/" + strconv.Itoa(int(pid))
	var st unix.Stat_t
	if _, err := os.Readlink(host + "/exe"); err != nil || unix.Stat(host, &st) != nil || int(st.Uid) != unix.Geteuid() {
		return false
	}
	inside := l.proc("root/proc/")
	switch own := link("/proc/self/ns/pid"); {
	case own == "" || link(l.proc("ns/pid")) == "":
		return false
	case own != link(l.proc("ns/pid")):
		// Where the sandbox has a /proc it has number 1.
		return unix.Stat(inside+"1", &st) == nil && unix.Stat(inside+strconv.Itoa(int(pid)), &st) == unix.ENOENT
	}
	theirs := link(host + "/ns/user")
	return theirs != "" && theirs != link(l.proc("ns/user")) && link("/proc/self/ns/user") != link(l.proc("ns/user"))
}

// link is where a link of /proc leads, or "".
func link(name string) string {
	to, err := os.Readlink(name)
	if err != nil {
		return ""
	}
	return to
}
