package ns

import (
	"golang.org/x/sys/unix"

	"sbx/internal/text"

	"sbx/internal/step"
)

// NoUsers allows no user namespaces below the new one, whoever asks: its own
// user.max_user_namespaces becomes 0 (Linux 4.9, namespaces(7)). Only who has
// CAP_SYS_RESOURCE in it could raise that again.
type NoUsers struct{}

func (NoUsers) String() string { return "allow no user namespaces inside" }

func (NoUsers) Kind() string { return "no-user-namespaces" }

func (NoUsers) Hint(err error) string { return procHint(err) }

// Compile writes the file below step.SlotProc.
func (NoUsers) Compile(a *step.Asm) { write(a, "sys/user/max_user_namespaces", "0") }

// Hostname names the new UTS namespace.
type Hostname struct{ Name string }

func (h Hostname) String() string { return "set the hostname " + text.Quote(h.Name) }

func (Hostname) Kind() string { return "set-hostname" }

// Compile is one sethostname(2).
func (h Hostname) Compile(a *step.Asm) {
	a.Sys(unix.SYS_SETHOSTNAME, a.Str(h.Name), step.Int(len(h.Name)))
}

// write writes text to a file below step.SlotProc, following no link at its
// end.
func write(a *step.Asm, file, text string) {
	fd := a.Temp()
	a.Sys(unix.SYS_OPENAT, step.SlotProc.Arg(), a.Str(file), step.Int(unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW)).To(fd)
	a.Sys(unix.SYS_WRITE, fd.Arg(), a.Str(text), step.Int(len(text))).Expect(len(text))
	a.Sys(unix.SYS_CLOSE, fd.Arg())
}
