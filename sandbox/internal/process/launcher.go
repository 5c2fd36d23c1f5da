package process

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// DieWithLauncher makes the kernel kill the child when the launcher dies
// (prctl(2), PR_SET_PDEATHSIG), and checks that it has not died already.
type DieWithLauncher struct {
	// Left says that LeaveLauncher has closed the launcher's end of the socket.
	Left bool
}

func (DieWithLauncher) String() string { return "die with the launcher" }

func (DieWithLauncher) Kind() string { return "die-with-launcher" }

// Compile sets the signal first and only then checks: the launcher's end of the
// socket hangs up when the launcher is gone. The kernel sends the death signal
// when one thread of the launcher ends, which may be before the process has ended.
// Such a signal could come before it is set here, and the hang-up later. So the
// socket sends a signal (SIGIO) as well, at which the init ends.
func (d DieWithLauncher) Compile(a *step.Asm) {
	self := a.Temp()
	a.Sys(unix.SYS_GETPID).To(self)
	a.Sys(unix.SYS_FCNTL, step.Fd(a.Notify), step.Int(unix.F_SETOWN), self.Arg())
	a.Sys(unix.SYS_FCNTL, step.Fd(a.Notify), step.Int(unix.F_SETFL), step.Int(unix.O_ASYNC))
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_PDEATHSIG), step.Int(int(unix.SIGKILL)))
	if !d.Left {
		a.Sys(unix.SYS_CLOSE, step.Fd(a.Launcher))
	}
	checkLauncher(a)
}

// checkLauncher checks that the launcher's end of the socket has not hung up.
func checkLauncher(a *step.Asm) {
	pollfd := binary.NativeEndian.AppendUint32(nil, uint32(a.Notify))
	pollfd = binary.NativeEndian.AppendUint32(pollfd, 0) // only POLLHUP and POLLERR
	a.Sys(unix.SYS_PPOLL, a.Bytes(pollfd), step.Int(1), a.Space(16), step.Int(0), step.Int(0)).Expect(0)
}

// LeaveLauncher closes the launcher's end of the socket in this process. So the
// socket hangs up when the launcher ends, even while this process lives.
type LeaveLauncher struct{}

func (LeaveLauncher) String() string { return "close the launcher's end of the socket" }

func (LeaveLauncher) Kind() string { return "close-launcher-socket" }

// Compile is one close(2).
func (LeaveLauncher) Compile(a *step.Asm) { a.Sys(unix.SYS_CLOSE, step.Fd(a.Launcher)) }

// OutliveLauncher makes the kernel send the init a signal when the launcher dies,
// instead of killing it, so that it can kill the other processes first.
type OutliveLauncher struct{}

func (OutliveLauncher) String() string {
	return "get a signal when the launcher dies, to kill all processes inside first"
}

func (OutliveLauncher) Kind() string { return "outlive-launcher" }

// Compile changes the signal, which is blocked, and then checks the launcher as
// DieWithLauncher does. The target is still waiting at that time.
func (OutliveLauncher) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_PDEATHSIG), step.Int(int(unix.SIGTERM)))
	checkLauncher(a)
}
