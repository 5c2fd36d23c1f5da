package process

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// HandOver makes a process that sends the listener of the filter to the launcher when
// the target has executed its program. The target cannot do that itself: the descriptor
// comes with the filter, and the filter may deny every call by which it could be sent.
type HandOver struct{}

func (HandOver) String() string {
	return "make a process that hands the filter's listener to the launcher"
}

func (HandOver) Kind() string { return "hand-over-listener" }

func (HandOver) Hint(err error) string {
	if step.Errno(err) == unix.EAGAIN {
		return "an explained run has one process more for a moment; allow one more by processes in the policy's [limits]"
	}
	return ""
}

// Compile is a set_tid_address(2) and a clone(2).
func (HandOver) Compile(a *step.Asm) { a.HandOver(a.Notify, []byte{step.MsgListener}) }

// Listener loads one filter in the place of several: it does what they do, but where
// they deny a call it asks the launcher, which says what they would have said. See
// seccomp_unotify(2).
type Listener struct {
	// Names are those of the filters, in their order.
	Names   []string
	Program string // sock_filter structures, 8 bytes each
	Flags   int    // SECCOMP_FILTER_FLAG_*
}

func (l Listener) String() string {
	names := make([]string, len(l.Names))
	for i, name := range l.Names {
		names[i] = text.Quote(name)
	}
	return fmt.Sprintf("load seccomp filter %s with a listener for denied calls, %d instructions",
		strings.Join(names, " and "), len(l.Program)/8)
}

func (Listener) Kind() string { return "load-seccomp-listener" }

// Compile is one seccomp(2). The listener needs Linux 5.0.
func (l Listener) Compile(a *step.Asm) {
	fprog := a.Words(step.Int(len(l.Program)/8), a.Bytes([]byte(l.Program)))
	fd := a.Temp()
	a.Sys(unix.SYS_SECCOMP, step.Int(unix.SECCOMP_SET_MODE_FILTER),
		step.Int(l.Flags|unix.SECCOMP_FILTER_FLAG_NEW_LISTENER), fprog).To(fd)
	a.Handed(fd)
}
