package ns

import (
	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Hold waits until the launcher lets this process go: it looks at the namespaces, or
// waits for somebody else to map the ids of the user namespace, as IDs says.
// Before that it closes the descriptors Without.
type Hold struct {
	IDs     bool
	Without []int
}

func (h Hold) String() string {
	if h.IDs {
		return "wait until somebody else has mapped the ids"
	}
	return "wait until the launcher has looked at the namespaces"
}

// Kind is in the plan as JSON.
func (Hold) Kind() string { return "hold" }

// Compile waits for the launcher's step.MsgMapped. This process has closed the
// launcher's end of the socket, so the wait ends if the launcher dies.
func (h Hold) Compile(a *step.Asm) {
	for _, fd := range h.Without {
		a.Sys(unix.SYS_CLOSE, step.Fd(fd))
	}
	awaitMapped(a)
}

func awaitMapped(a *step.Asm) {
	buf := a.Space(8)
	a.Sys(unix.SYS_RECVFROM, step.Fd(a.Notify), buf, step.Int(1), step.Int(0), step.Int(0), step.Int(0)).Expect(1)
	a.Compare(buf, []byte{step.MsgMapped})
}
