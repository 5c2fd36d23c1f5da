package launch

import (
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPollNow: signals that the runtime handles, as it sends itself to stop a busy
// goroutine, do not make it fail.
func TestPollNow(t *testing.T) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var done atomic.Bool
	ended := make(chan struct{})
	me := unix.Gettid()
	go func() {
		defer close(ended)
		for !done.Load() {
			if unix.Tgkill(unix.Getpid(), me, unix.SIGURG) != nil {
				return
			}
		}
	}()
	for range 20_000 {
		n, err := pollNow([]unix.PollFd{{Fd: int32(pipe[0]), Events: unix.POLLIN}})
		if n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
			break
		}
	}
	done.Store(true)
	<-ended
}
