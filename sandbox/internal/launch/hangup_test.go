package launch

import (
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHangUp holds that the sandbox ends with the launcher's socket, whether a
// death signal comes or not: it goes by one thread, and may have gone before
// anybody listened.
func TestHangUp(t *testing.T) {
	ps, err := Start(planFor(t, "default", "/bin/sleep", "1000"))
	if err != nil {
		t.Fatal(err)
	}
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	// Before that a step looks.
	until(t, "the target forked", func() bool { return atomic.LoadUint32(&ps.status.Forked) != 0 })
	if err := unix.Dup3(null, ps.notify, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	fds := []unix.PollFd{{Fd: int32(ps.pidfd), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, 30_000); n != 1 || err != nil {
		t.Errorf("the init is still there: %d, %v", n, err)
		unix.PidfdSendSignal(ps.pidfd, unix.SIGKILL, nil, 0)
	}
	if _, err := ps.Wait(); err == nil {
		t.Error("the sandbox ended as if nothing had been")
	}
}
