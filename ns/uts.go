package ns

import (
	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// Hostname sets the hostname of the new UTS namespace; see uts_namespaces(7).
type Hostname struct{ Name string }

func (h Hostname) String() string { return "set the hostname " + text.Quote(h.Name) }

func (Hostname) Kind() string { return "set-hostname" }

// Compile is one sethostname(2).
func (h Hostname) Compile(a *step.Asm) {
	a.Sys(unix.SYS_SETHOSTNAME, a.Str(h.Name), step.Int(len(h.Name)))
}
