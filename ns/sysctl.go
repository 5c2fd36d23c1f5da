package ns

import (
	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// NoUserNS forbids user namespaces below the new one to all processes in it:
// it sets the new namespace's user.max_user_namespaces to 0 (Linux 4.9,
// namespaces(7)). Raising that again takes CAP_SYS_RESOURCE in the namespace.
type NoUserNS struct{}

func (NoUserNS) String() string { return "allow no user namespaces inside" }

func (NoUserNS) Kind() string { return "no-user-namespaces" }

func (NoUserNS) Hint(err error) string { return procHint(err) }

// Compile writes the file below step.SlotProc.
func (NoUserNS) Compile(a *step.Asm) { write(a, "sys/user/max_user_namespaces", "0") }

// write writes text to a file below step.SlotProc. It does not follow a link at
// the end of the path.
func write(a *step.Asm, file, text string) {
	fd := a.Temp()
	a.Sys(unix.SYS_OPENAT, step.SlotProc.Arg(), a.Str(file),
		step.Int(unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW)).To(fd)
	a.Sys(unix.SYS_WRITE, fd.Arg(), a.Str(text), step.Int(len(text))).Expect(len(text))
	a.Sys(unix.SYS_CLOSE, fd.Arg())
}
