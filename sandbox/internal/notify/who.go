package notify

import (
	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/policy/seccomp"
)

// who is the thread that asked last, and what was read of it: most questions come from the
// one that has asked the one before. It is forgotten when the thread executes a program or
// changes its ids. Changes that no observed call makes are missed: it is for the record.
type who struct {
	pid         uint32
	exe, status string // "": not read yet
}

// asks is what is known of the one who asks.
func (l *Listener) asks() *who {
	if l.who.pid != l.request.PID {
		l.who = who{pid: l.request.PID}
	}
	return &l.who
}

// status is /proc/PID/status of the one who asks, as far as it is about its ids and
// capabilities, or "".
func (l *Listener) status() string {
	if s := l.asks().status; s != "" {
		return s
	}
	status, err := sys.ReadFile(l.proc("status"))
	if err != nil {
		return ""
	}
	if (l.files.seen != nil || l.learner != nil) && l.native() && l.valid() {
		l.who.status = status
	}
	return status
}

// native says that the call is one of the machine's own architecture: of others none is
// observed.
func (l *Listener) native() bool { return l.request.Audit == seccomp.Native().Audit() }

// changes says that the call changes which program the one who asks executes, or with which
// rights.
func changes(number uint32) bool {
	switch number {
	case unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_SETREUID, unix.SYS_SETREGID,
		unix.SYS_SETRESUID, unix.SYS_SETRESGID, unix.SYS_SETFSUID, unix.SYS_SETFSGID, unix.SYS_SETGROUPS,
		unix.SYS_CAPSET, unix.SYS_SET_TID_ADDRESS:
		return true
	}
	return false
}
