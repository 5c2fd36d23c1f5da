package ns

import (
	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Unshare moves the thread into new namespaces (unshare(2)), for a target that is executed
// in place. Only a process of one thread could make a user or time namespace so, and of a pid
// namespace only its children are members.
type Unshare struct{ Set Set }

func (u Unshare) String() string { return "enter new namespaces: " + u.Set.String() }

func (Unshare) Kind() string { return "unshare-namespaces" }

func (Unshare) Hint(err error) string {
	switch errno := step.Errno(err); errno {
	case unix.ENOSPC, unix.EPERM, unix.EINVAL, unix.ENOSYS:
		return DeniedHint(errno)
	}
	return ""
}

// Compile is one unshare(2).
func (u Unshare) Compile(a *step.Asm) { a.Sys(unix.SYS_UNSHARE, step.Int(uint64(u.Set))) }
