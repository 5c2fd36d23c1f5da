package integration

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// underFilter puts on the filter that SBX_IT_FILTER describes ("nr=action,"
// ...) and becomes the program of its arguments. It is how runFiltered gets a
// program below a filter without a helper in C.
func underFilter(spec string) error {
	runtime.LockOSThread()
	if asRoot() {
		// A filter that only pretends to make mounts private must not have the
		// machine's root covered where that is shared, as systemd makes it.
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
	}
	program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // seccomp_data.nr
	for entry := range strings.SplitSeq(spec, ",") {
		var nr, action uint32
		if _, err := fmt.Sscanf(entry, "%d=%d", &nr, &action); err != nil {
			return err
		}
		program = append(program,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: nr},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action})
	}
	program = append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	flags := uintptr(unix.SECCOMP_FILTER_FLAG_TSYNC)
	listens := strings.Contains(spec, fmt.Sprintf("=%d", unix.SECCOMP_RET_USER_NOTIF))
	if listens {
		flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER // of this thread, which executes
	}
	fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return errno
	}
	if listens { // for as long as the program lives
		if _, err := unix.FcntlInt(fd, unix.F_SETFD, 0); err != nil {
			return err
		}
	}
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SBX_IT_FILTER=") {
			env = append(env, v)
		}
	}
	return unix.Exec(os.Args[1], os.Args[1:], env)
}
