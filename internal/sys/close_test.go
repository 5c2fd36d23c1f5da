package sys

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestCloseAll: those of the list are closed, in whatever order they stand there, and
// none between them.
func TestCloseAll(t *testing.T) {
	const high = 700 // above what the test's own program opens meanwhile
	pipe := make([]int, 2)
	if err := unix.Pipe2(pipe, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[1])
	defer unix.Close(pipe[0])
	open := func(fd int) bool {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		return err == nil
	}
	for fd := high; fd < high+20; fd++ {
		if err := unix.Dup3(pipe[0], fd, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	}
	CloseAll(nil)
	CloseAll([]int{high + 9, high, high + 2, high + 1, high + 12, high + 8, -1, high + 2})
	for fd := high; fd < high+20; fd++ {
		closed := fd <= high+2 || fd == high+8 || fd == high+9 || fd == high+12
		if open(fd) == closed {
			t.Errorf("%d is open: %v", fd, open(fd))
		}
	}
}
