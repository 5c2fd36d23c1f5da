package host

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// Listener says what the kernel offers for filters that ask a listener; see
// seccomp_unotify(2).
type Listener struct {
	// Err is why there can be none, or nil.
	Err error
	// WaitKillable says that only a deadly signal interrupts a call that the listener
	// has been asked about (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, Linux 5.19).
	WaitKillable bool
}

// probeListener loads a filter with a listener, and that allows everything, in a
// thread that ends with it. There is no other way to know: below another listener, as
// that of an outer sandbox, the kernel takes none (EBUSY).
func (h *Facts) probeListener(_ *policy.Policy, _ *policy.Tree, t Target) error {
	if !t.Explain && !filtered() {
		h.Listener.WaitKillable = waitKillable()
		return nil
	}
	done := make(chan Listener)
	go func() {
		runtime.LockOSThread() // and never unlocks it, so that the thread ends
		done <- tryListener()
	}()
	h.Listener = <-done
	return nil
}

// filtered says whether this process is under a seccomp filter, without which there is
// no listener either. Where it may not be asked it is.
func filtered() bool {
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return err != nil || mode != unix.SECCOMP_MODE_DISABLED
}

// waitKillable asks for a filter at address 0: a kernel that does not know the flag
// says so first.
func waitKillable() bool {
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, 0)
	return errno == unix.EFAULT
}

func tryListener() (l Listener) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return Listener{Err: fmt.Errorf("set no_new_privs: %w", err)}
	}
	filter := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
	program := unix.SockFprog{Len: 1, Filter: &filter}
	load := func(flags uintptr) unix.Errno {
		fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
			unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|flags, uintptr(unsafe.Pointer(&program)))
		if errno == 0 {
			unix.Close(int(fd))
		}
		return errno
	}
	errno := load(unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
	l.WaitKillable = errno == 0
	if errno == unix.EINVAL {
		errno = load(0)
	}
	switch errno {
	case 0:
	case unix.EBUSY:
		l.Err = fmt.Errorf("an outer sandbox has a listener already: %w", errno)
	default:
		l.Err = fmt.Errorf("load a seccomp filter with a listener: %w", errno)
	}
	return l
}
