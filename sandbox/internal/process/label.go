package process

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// Label makes the target's exec change the label of its security module. The
// label is written to the target's own attributes, see proc_pid_attr(5), below
// step.SlotProc, because the /proc inside is read-only.
type Label struct {
	// Module is "AppArmor" or "SELinux".
	Module string
	// Name is the profile or the context.
	Name string
	// Stack combines an AppArmor profile with the caller's own, which stays in
	// force. With no_new_privs the kernel allows no other change of a profile.
	Stack bool
}

func (l Label) String() string {
	what := "profile"
	if l.Module == "SELinux" {
		what = "context"
	}
	s := fmt.Sprintf("execute under %s %s %s", l.Module, what, text.Quote(l.Name))
	if l.Stack {
		s += ", and the caller's own"
	}
	return s
}

func (Label) Kind() string { return "set-exec-label" }

func (l Label) Hint(err error) string {
	switch errno := step.Errno(err); {
	case l.Module == "AppArmor" && errno == unix.ENOENT:
		return "no profile of that name is loaded: apparmor_parser -r FILE loads one, aa-status lists them"
	case l.Module == "SELinux" && errno == unix.EINVAL:
		return "the loaded policy knows no such context"
	case errno == unix.EACCES, errno == unix.EPERM:
		return l.Module + " does not let sbx's own label change to that one; run sbx unconfined, or allow it the change"
	}
	return ""
}

// Compile opens the file of the calling thread and writes to it. The kernel
// refuses a profile that is not loaded, or a change that is not allowed, here
// or at the exec.
func (l Label) Compile(a *step.Asm) {
	file, text := "thread-self/attr/exec", l.Name
	if l.Module == "AppArmor" {
		file, text = "thread-self/attr/apparmor/exec", "exec "+l.Name
		if l.Stack {
			text = "stack " + l.Name
		}
	}
	fd := a.Temp()
	a.Sys(unix.SYS_OPENAT, step.SlotProc.Arg(), a.Str(file), step.Int(unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW)).To(fd)
	a.Sys(unix.SYS_WRITE, fd.Arg(), a.Str(text), step.Int(len(text))).Expect(len(text))
	a.Sys(unix.SYS_CLOSE, fd.Arg())
}
