package process

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// These steps are for a pid namespace that the sandbox shares. Its init is not
// pid 1 there, so the kernel kills no process when the init ends.

// Subreaper makes the init the parent of all orphans among its descendants
// (prctl(2), PR_SET_CHILD_SUBREAPER, Linux 3.4) and opens the list of its
// children, which it kills at the end. The list needs a kernel with
// CONFIG_PROC_CHILDREN.
type Subreaper struct{}

func (Subreaper) String() string { return "become the parent of all orphans inside" }

func (Subreaper) Kind() string { return "set-child-subreaper" }

// Compile leaves the list's descriptor under the number that the launcher's end
// of the socket had, and the init's pid in step.SlotInit.
func (Subreaper) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_CHILD_SUBREAPER), step.Int(1))
	got := a.Space(8)
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_GET_CHILD_SUBREAPER), got)
	a.Compare(got, binary.NativeEndian.AppendUint32(nil, 1))
	fd := a.Temp()
	a.Sys(unix.SYS_OPENAT, step.SlotProc.Arg(), a.Str("thread-self/children"),
		step.Int(unix.O_RDONLY|unix.O_CLOEXEC)).To(fd)
	// EINVAL: fd has that number already. Otherwise CloseAll closes fd.
	a.Sys(unix.SYS_DUP3, fd.Arg(), step.Fd(a.Launcher), step.Int(unix.O_CLOEXEC)).Or(unix.EINVAL)
	a.Sys(unix.SYS_GETPID).To(step.SlotInit)
}

// DieWithInit makes the kernel kill the target when the init dies, and checks that
// it has not died already.
type DieWithInit struct{}

func (DieWithInit) String() string { return "die with the init" }

func (DieWithInit) Kind() string { return "die-with-init" }

// Compile sets the signal first and only then compares the parent with the init.
func (DieWithInit) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_PDEATHSIG), step.Int(int(unix.SIGKILL)))
	parent, is, want := a.Temp(), a.Space(8), a.Space(8)
	a.Sys(unix.SYS_GETPPID).To(parent)
	a.Store(is, parent.Arg())
	a.Store(want, step.SlotInit.Arg())
	a.Same(is, want, 4)
}

// LeaveDir changes the init's directory from the caller's to the root.
type LeaveDir struct{}

func (LeaveDir) String() string { return "leave the caller's directory" }

func (LeaveDir) Kind() string { return "chdir-root" }

// Compile is one chdir(2).
func (LeaveDir) Compile(a *step.Asm) { a.Sys(unix.SYS_CHDIR, a.Str("/")) }
