package launch

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeSource polls some descriptors and notes what it gets back.
type fakeSource struct {
	poll    []int
	timeout int
	got     [][]unix.PollFd
	end     error
}

func (s *fakeSource) fds(list []unix.PollFd) ([]unix.PollFd, int) {
	for _, fd := range s.poll {
		list = append(list, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	return list, s.timeout
}

func (s *fakeSource) ready(list []unix.PollFd) (bool, error) {
	s.got = append(s.got, slices.Clone(list))
	return s.end == nil && len(list) > 0 && list[0].Revents != 0, s.end
}

// TestLoop: each source gets its own entries, the shortest timeout counts, and
// the first that is done or fails ends it.
func TestLoop(t *testing.T) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	none := &fakeSource{timeout: 3_600_000}
	two := &fakeSource{poll: []int{-1, p[0]}, timeout: 1}
	one := &fakeSource{poll: []int{p[0]}, timeout: -1}
	go func() {
		time.Sleep(20 * time.Millisecond)
		unix.Close(p[1]) // which hangs up
	}()
	if err := loop([]source{none, two, one}); err != nil {
		t.Fatal(err)
	}
	for _, got := range two.got {
		if len(got) != 2 || got[0].Fd != -1 || got[1].Fd != int32(p[0]) {
			t.Fatalf("entries of another: %v", got)
		}
	}
	last := len(one.got) - 1
	if len(none.got[0]) != 0 || last < 1 || one.got[last][0].Revents == 0 || one.got[0][0].Revents != 0 {
		t.Errorf("%v, %v", none.got, one.got)
	}
	two.end = errors.New("on purpose")
	if err := loop([]source{none, two, one}); err != two.end || len(one.got)-1 != last {
		t.Errorf("%v, then asked %d times more", err, len(one.got)-1-last)
	}
}

// TestLeft: what a target leaves running is counted and told of, but not where
// it did not end by itself.
func TestLeft(t *testing.T) {
	for _, c := range []struct {
		script string
		left   int
		note   string
	}{
		{"true", 0, ""},
		{"sleep 1000 & setsid sleep 1000 & exit 3", 2, "sh ended and left 2 processes running, which were ended; "},
		{"(sleep .03 &)", 0, ""}, // it has a moment to end by itself
		{"(setsid sleep 1000 &)", 1, "sh ended and left 1 process running, which was ended; "},
		{"sleep 1000 & kill -9 $$", 1, ""},
	} {
		ps, err := Start(planFor(t, "default", "/bin/sh", "-c", c.script))
		if err != nil {
			t.Fatal(err)
		}
		exit, err := ps.Wait()
		if err != nil || exit.Left != c.left || len(exit.Notes) > 1 ||
			!strings.HasPrefix(strings.Join(exit.Notes, ""), c.note) ||
			c.note == "" && len(exit.Notes) > 0 {
			t.Errorf("%s: %+v, %v", c.script, exit, err)
		}
	}
	// One that was asked to end has ended what it wants to.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ps, err := Start(planFor(t, "default", "/bin/sh", "-c", "trap 'exit 0' TERM; sleep 1000 & kill -STOP $$; wait"))
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the target to be stopped", func() bool {
		by, err := ps.readControl()
		return err != nil || by == unix.SIGSTOP
	})
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGCONT} {
		if err := ps.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	if exit, err := ps.Wait(); err != nil || exit.Code() != 0 || exit.Left != 1 || len(exit.Notes) != 0 {
		t.Errorf("%+v, %v", exit, err)
	}
}
