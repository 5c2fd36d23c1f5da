package launch

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestClosedAtOnce: a terminal that is closed before the launcher supervises the target, which runs by
// then, ends the target as one that is closed later.
func TestClosedAtOnce(t *testing.T) {
	t.Parallel()
	plan := planFor(t, "default", "/bin/sleep", "1000")
	plan.SharesJob = true // the kernel tells the target
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ps, err := start(plan, hooks{atTerminal: true})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the target forked", func() bool { return atomic.LoadUint32(&ps.status.Forked) != 0 })
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	var info [128]byte // as of signalfd(2): ssi_signo, and SI_KERNEL as its ssi_code
	binary.NativeEndian.PutUint32(info[0:], uint32(unix.SIGHUP))
	binary.NativeEndian.PutUint32(info[8:], 0x80)
	if _, err := unix.Write(p[1], info[:]); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(time.Minute, func() { unix.Kill(ps.pid, unix.SIGKILL) })
	exit, err := ps.Supervise(p[0])
	if err != nil || !stuck.Stop() || exit.Code() != 128+int(unix.SIGTERM) {
		t.Errorf("exit %+v, %v", exit, err)
	}
}
