package bpf

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/policy/seccomp"
)

// OfProcess gets the programs that a running process (or thread) has loaded,
// in the order in which they were. The process stands still meanwhile. The
// kernel allows it (PTRACE_SECCOMP_GET_FILTER, Linux 4.4) only to those who
// have CAP_SYS_ADMIN in the first user namespace and are not filtered
// themselves: EACCES otherwise.
func OfProcess(pid int) (list []seccomp.Program, err error) {
	// The tracer is a thread, not the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PtraceSeize(pid); err != nil {
		return nil, fmt.Errorf("trace process %d: %w%s", pid, err, needs(err))
	}
	var ws unix.WaitStatus
	defer func() { err = errors.Join(err, detach(pid, ws)) }()
	if err := unix.PtraceInterrupt(pid); err != nil {
		return nil, fmt.Errorf("stop process %d: %w", pid, err)
	}
	for {
		if _, err := unix.Wait4(pid, &ws, unix.WALL, nil); err == nil {
			break
		} else if err != unix.EINTR {
			return nil, fmt.Errorf("stop process %d: %w", pid, err)
		}
	}
	if !ws.Stopped() {
		return nil, fmt.Errorf("stop process %d: it has ended", pid)
	}
	for i := uintptr(0); ; i++ {
		n, errno := getFilter(pid, i, nil)
		// EINVAL: it has no filter at all.
		if errno == unix.ENOENT || errno == unix.EINVAL && i == 0 {
			return list, nil
		}
		if errno != 0 {
			return nil, fmt.Errorf("read filter %d of process %d: %w%s", i, pid, errno, needs(errno))
		}
		p := make(seccomp.Program, 8*n)
		if m, errno := getFilter(pid, i, p); errno != 0 || m != n {
			return nil, fmt.Errorf("read filter %d of process %d: %w", i, pid, errno)
		}
		list = append(list, p)
	}
}

// needs says what is missing where the kernel says no.
func needs(err error) string {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return ", which takes CAP_SYS_ADMIN outside of all containers and no filter of one's own"
	}
	return ""
}

func getFilter(pid int, i uintptr, p seccomp.Program) (uintptr, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SECCOMP_GET_FILTER, uintptr(pid), i,
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), 0, 0)
	return n, errno
}

// detach lets a process go on, with the signal that stopped it if one did
// before the request to stop.
func detach(pid int, ws unix.WaitStatus) error {
	signal := 0
	if ws.Stopped() && ws>>16 == 0 {
		signal = int(ws.StopSignal())
	}
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(pid), 0, uintptr(signal), 0, 0)
	if errno != 0 && errno != unix.ESRCH {
		return fmt.Errorf("let process %d go: %w", pid, errno)
	}
	return nil
}
