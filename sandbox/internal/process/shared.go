package process

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// The steps for a pid namespace that is not the sandbox's own, where init is
// no pid 1, so that its end is nobody's by itself.

// Adopt makes init the parent of all orphans below it (prctl(2),
// PR_SET_CHILD_SUBREAPER, Linux 3.4) and opens the list of its children, by
// which it ends them. The kernel needs CONFIG_PROC_CHILDREN.
type Adopt struct{}

func (Adopt) String() string { return "become the parent of all orphans inside" }

func (Adopt) Kind() string { return "set-child-subreaper" }

// Compile leaves the list's descriptor under the number that the launcher's
// end of the socket had, and init's pid in step.SlotInit.
func (Adopt) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_CHILD_SUBREAPER), step.Int(1))
	got := a.Space(8)
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_GET_CHILD_SUBREAPER), got)
	a.Compare(got, binary.NativeEndian.AppendUint32(nil, 1))
	fd := a.Temp()
	a.Sys(unix.SYS_OPENAT, step.SlotProc.Arg(), a.Str("thread-self/children"), step.Int(unix.O_RDONLY|unix.O_CLOEXEC)).To(fd)
	// EINVAL: it has that number by chance. Its own is closed with the others.
	a.Sys(unix.SYS_DUP3, fd.Arg(), step.Fd(a.Launcher), step.Int(unix.O_CLOEXEC)).Or(unix.EINVAL)
	a.Sys(unix.SYS_GETPID).To(step.SlotInit)
}

// DieWithInit makes init's death the target's and makes sure that it has not
// happened already.
type DieWithInit struct{}

func (DieWithInit) String() string { return "die with the init" }

func (DieWithInit) Kind() string { return "die-with-init" }

// Compile sets the signal first and only then looks who the parent is.
func (DieWithInit) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_PDEATHSIG), step.Int(int(unix.SIGKILL)))
	parent, is, want := a.Temp(), a.Space(8), a.Space(8)
	a.Sys(unix.SYS_GETPPID).To(parent)
	a.Store(is, parent.Arg())
	a.Store(want, step.SlotInit.Arg())
	a.Same(is, want, 4)
}

// OutliveLauncher lets init notice the launcher's death, in the place of dying
// of it at once, to end the others first.
type OutliveLauncher struct{}

func (OutliveLauncher) String() string {
	return "be told of the launcher's death, to end all others first"
}

func (OutliveLauncher) Kind() string { return "outlive-launcher" }

// Compile changes the signal, which is blocked, and then looks as
// DieWithLauncher does. The target is not let go before.
func (OutliveLauncher) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_PDEATHSIG), step.Int(int(unix.SIGTERM)))
	launcherThere(a)
}

// LeaveDir takes init out of the caller's directory.
type LeaveDir struct{}

func (LeaveDir) String() string { return "leave the caller's directory" }

func (LeaveDir) Kind() string { return "chdir-root" }

// Compile is one chdir(2).
func (LeaveDir) Compile(a *step.Asm) { a.Sys(unix.SYS_CHDIR, a.Str("/")) }
