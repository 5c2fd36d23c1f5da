package signals

import (
	"os/signal"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCatch(t *testing.T) {
	fd, err := Catch(unix.SIGUSR1, unix.SIGWINCH)
	if err != nil {
		t.Fatal(err)
	}
	defer signal.Reset()
	for _, want := range []unix.Signal{unix.SIGUSR1, unix.SIGWINCH, unix.SIGUSR1} {
		if err := unix.Kill(unix.Getpid(), want); err != nil {
			t.Fatal(err)
		}
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for deadline := time.Now().Add(5 * time.Second); ; {
			if n, err := unix.Poll(p, 1000); n == 1 {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("no signal: %v", err)
			}
		}
		got, ok := Read(fd)
		if !ok || got.Signal != want || got.Code != 0 { // SI_USER
			t.Fatalf("got %+v %v, want %v from a user", got, ok, want)
		}
	}
	if _, ok := Read(fd); ok {
		t.Fatal("a signal too many")
	}
}
