package host

import (
	"errors"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestTryListener: below another listener there can be none.
func TestTryListener(t *testing.T) {
	before, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	first, below := make(chan Listener), make(chan Listener)
	go func() {
		runtime.LockOSThread() // the thread ends with its filters
		first <- tryListener()
		filter := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
		program := unix.SockFprog{Len: 1, Filter: &filter}
		fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER,
			uintptr(unsafe.Pointer(&program)))
		if errno != 0 {
			below <- Listener{Err: errno}
			return
		}
		defer unix.Close(int(fd))
		below <- tryListener()
	}()
	if l := <-first; l.Err != nil {
		t.Fatal(l.Err)
	}
	if l := <-below; !errors.Is(l.Err, unix.EBUSY) {
		t.Errorf("%v, want EBUSY", l.Err)
	}
	if after, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || after != before {
		t.Errorf("no_new_privs was %d and is %d, %v", before, after, err)
	}
}
