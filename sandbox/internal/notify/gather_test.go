package notify

import (
	"fmt"
	"os/exec"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/policy/seccomp"
)

// TestGather: a question is received while another one waits for its answer, from when on no signal
// ends the call. Two shells ask, for their parent's pid.
func TestGather(t *testing.T) {
	ended := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with its filter
		ended <- gatherTwo()
	}()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func gatherTwo() error {
	allow := seccomp.Program{6, 0, 0, 0, 0, 0, 0xff, 0x7f} // return SECCOMP_RET_ALLOW
	l, err := New([]Filter{{Program: allow}}, []uint32{unix.SYS_GETPPID}, false)
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	filter := [...]unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_GETPPID},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER,
		uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	l.Attach(int(fd))
	defer l.Close()
	shells := [2]*exec.Cmd{}
	for i := range shells {
		shells[i] = exec.Command("/bin/sh", "-c", "echo $PPID")
		if err := shells[i].Start(); err != nil {
			return err
		}
	}
	for end := time.Now().Add(20 * time.Second); len(l.received) < len(shells); {
		l.crowd = len(shells)
		if err := l.gather(len(shells)); err != nil || time.Now().After(end) {
			return fmt.Errorf("%d questions are received, %w", len(l.received), err)
		}
	}
	for len(l.received) > 0 {
		l.request, l.received = l.received[0], l.received[1:]
		if err := l.answer(); err != nil {
			return err
		}
	}
	for i := range shells {
		if err := shells[i].Wait(); err != nil {
			return err
		}
	}
	return nil
}
