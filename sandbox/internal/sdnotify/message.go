// Package sdnotify relays what a program in a sandbox tells its service manager; see
// sd_notify(3). The manager listens to the main process of a unit alone, which is sbx, and
// knows no pids of the sandbox. So the program is given a socket of the sandbox's own. sbx
// checks what comes there, and sends on what is valid.
package sdnotify

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxSize is how long a datagram may be, and MaxFDs how many descriptors it may carry: more
// than that a service manager does not take either.
const (
	MaxSize = 4096
	MaxFDs  = 253 // SCM_MAX_FD
)

// ErrMalformed is a datagram that is not sent on.
var ErrMalformed = errors.New("malformed notification")

// message is a datagram that was checked.
type message struct {
	lines []string
	// mainPID is the index of the line MAINPID, or -1, and pid its value.
	mainPID, pid int
	// fds says that the descriptors go with it.
	fds bool
}

// parse checks a datagram that carries n descriptors. What is not known to sd_notify(3) is
// left out; one that is malformed makes all of it malformed.
func parse(datagram []byte, n int) (m message, err error) {
	m.mainPID = -1
	if len(datagram) > MaxSize || n > MaxFDs || !utf8.Valid(datagram) || strings.ContainsRune(string(datagram), 0) {
		return m, ErrMalformed
	}
	barrier, stores := false, false
	for line := range strings.SplitSeq(strings.TrimSuffix(string(datagram), "\n"), "\n") {
		name, value, ok := strings.Cut(line, "=")
		if !ok || name == "" {
			return m, ErrMalformed
		}
		right, known := right(name, value)
		if !known {
			continue
		}
		if !right {
			return m, ErrMalformed
		}
		switch name {
		case "MAINPID":
			if m.mainPID >= 0 {
				return m, ErrMalformed
			}
			m.mainPID = len(m.lines)
			m.pid, _ = strconv.Atoi(value) // isPID has looked
		case "BARRIER":
			barrier = true
		case "FDSTORE":
			stores = true
		}
		m.lines = append(m.lines, line)
	}
	switch {
	case barrier && (len(m.lines) != 1 || n != 1):
		return m, ErrMalformed // the manager takes it alone
	case stores && n == 0:
		return m, ErrMalformed
	}
	m.fds = barrier || stores
	return m, nil
}

// right says whether the value is one that the variable can have, and whether there is such
// a variable. NOTIFYACCESS is not known: who else may speak to the manager is the unit's to
// say.
func right(name, value string) (right, known bool) {
	switch name {
	case "READY", "RELOADING", "STOPPING", "FDSTORE", "FDSTOREREMOVE", "BARRIER":
		return value == "1", true
	case "STATUS":
		return isText(value), true
	case "BUSERROR", "EXIT_STATUS":
		return isName(value), true
	case "ERRNO", "MONOTONIC_USEC", "EXTEND_TIMEOUT_USEC", "WATCHDOG_USEC":
		return isNumber(value), true
	case "WATCHDOG":
		return value == "1" || value == "trigger", true
	case "FDPOLL":
		return value == "0" || value == "1", true
	case "FDNAME":
		return isName(value) && !strings.Contains(value, ":"), true
	case "MAINPID":
		return isPID(value), true
	}
	return false, false
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil && s[0] != '+'
}

func isPID(s string) bool {
	n, err := strconv.ParseInt(s, 10, 32)
	return err == nil && n > 0 && s[0] != '+'
}

// isText has no characters that drive a terminal.
func isText(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

func isName(s string) bool { return s != "" && len(s) <= 255 && isText(s) }
