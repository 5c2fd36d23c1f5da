package host

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// terminalName is the path of the controlling terminal, which is the first of the
// standard streams that is one, or "". A terminal that is not the controlling one could
// be made so by who opens it.
func terminalName() string {
	session, err := unix.Getsid(0)
	if err != nil {
		return ""
	}
	for fd := range 3 {
		if sid, err := unix.IoctlGetInt(fd, unix.TIOCGSID); err != nil || sid != session {
			continue
		}
		name, err := readlink("/proc/self/fd/" + strconv.Itoa(fd))
		var open, named unix.Stat_t
		if err == nil && strings.HasPrefix(name, "/dev/") && unix.Fstat(fd, &open) == nil && unix.Lstat(name,
			&named) == nil &&
			named.Mode&unix.S_IFMT == unix.S_IFCHR && identity(&named) == identity(&open) {
			return name
		}
	}
	return ""
}

// givesTerminal says whether one of the descriptors is the controlling terminal of this
// process.
func givesTerminal(fds []int) bool {
	session, err := unix.Getsid(0)
	if err != nil {
		return false
	}
	for _, fd := range fds {
		if sid, err := unix.IoctlGetInt(fd, unix.TIOCGSID); err == nil && sid == session {
			return true
		}
	}
	return false
}
