package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attempts are run each in a process of its own, since a filter may kill.
func attempts(verb string, kinds []string) error {
	for _, kind := range kinds {
		cmd := exec.Command(self(), verb, kind)
		out, err := cmd.Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
				fmt.Printf("%s: killed by %s\n", kind, unix.SignalName(ws.Signal()))
				continue
			}
		}
		if err != nil {
			fmt.Printf("%s: cannot ask: %v\n", kind, err)
			continue
		}
		os.Stdout.Write(out)
	}
	return nil
}

func nest([]string) error {
	return attempts("nest-one", []string{
		"unshare user", "unshare mnt", "unshare pid", "unshare net", "unshare high",
		"clone user", "clone pid", "clone3 user", "clone3 plain",
		"setns user", "setns mnt", "setns pidfd",
		"x32 unshare user", "int80 unshare user", "int80 clone user",
	})
}

const nsFlags = unix.CLONE_NEWUSER

func nestOne(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want one kind")
	}
	runtime.LockOSThread()
	kind := args[0]
	switch kind {
	case "unshare user":
		say(kind, raw(unix.SYS_UNSHARE, unix.CLONE_NEWUSER))
	case "unshare mnt":
		say(kind, raw(unix.SYS_UNSHARE, unix.CLONE_NEWNS))
	case "unshare pid":
		say(kind, raw(unix.SYS_UNSHARE, unix.CLONE_NEWPID))
	case "unshare net":
		say(kind, raw(unix.SYS_UNSHARE, unix.CLONE_NEWNET))
	case "unshare high":
		// The kernel cuts flags to 64 bits here, a filter may look at 32.
		say(kind, raw(unix.SYS_UNSHARE, uintptr(1)<<40|unix.CLONE_NEWUSER))
	case "clone user":
		say(kind, fork(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD), 0))
	case "clone pid":
		say(kind, fork(unix.SYS_CLONE, unix.CLONE_NEWPID|uintptr(unix.SIGCHLD), 0))
	case "clone3 user":
		arg := cloneArgs{flags: unix.CLONE_NEWUSER, exitSignal: uint64(unix.SIGCHLD)}
		say(kind, fork(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&arg)), unsafe.Sizeof(arg)))
	case "clone3 plain":
		arg := cloneArgs{exitSignal: uint64(unix.SIGCHLD)}
		say(kind, fork(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&arg)), unsafe.Sizeof(arg)))
	case "setns user", "setns mnt":
		fd, err := unix.Open("/proc/1/ns/"+kind[len("setns "):], unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			say(kind, err)
			return nil
		}
		say(kind, unix.Setns(fd, 0))
	case "setns pidfd":
		fd, err := unix.PidfdOpen(1, 0)
		if err != nil {
			say(kind, err)
			return nil
		}
		say(kind, unix.Setns(fd, unix.CLONE_NEWNS|unix.CLONE_NEWUSER))
	case "x32 unshare user":
		say(kind, raw(x32(unix.SYS_UNSHARE), unix.CLONE_NEWUSER))
	case "int80 unshare user":
		say(kind, compat(310, nsFlags, 0))
	case "int80 clone user":
		// In the child, int80 returns 0 and the process would go on twice.
		say(kind, compatFork(120, nsFlags|int(unix.SIGCHLD)))
	default:
		return fmt.Errorf("unknown kind %q", kind)
	}
	return nil
}

// cloneArgs is struct clone_args as of Linux 5.7.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

func raw(nr, a uintptr) error {
	_, _, errno := unix.RawSyscall(nr, a, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// fork makes a child by clone or clone3; the child leaves at once.
//
//go:nosplit
//go:norace
func fork(nr, a, b uintptr) error {
	pid, _, errno := unix.RawSyscall6(nr, a, b, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	if errno != 0 {
		return errno
	}
	_, err := unix.Wait4(int(pid), nil, 0, nil)
	return err
}

func abi([]string) error {
	return attempts("abi-one", []string{"x32 getpid", "int80 getpid", "int80 socketcall", "int80 ipc", "native getpid",
		"native unknown"})
}

func abiOne(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want one kind")
	}
	switch kind := args[0]; kind {
	case "x32 getpid":
		say(kind, raw(x32(unix.SYS_GETPID), 0))
	case "int80 getpid":
		say(kind, compat(20, 0, 0))
	case "int80 socketcall":
		say(kind, compat(102, 1, 0))
	case "int80 ipc":
		say(kind, compat(117, 23, 0))
	case "native getpid":
		say(kind, raw(unix.SYS_GETPID, 0))
	case "native unknown":
		say(kind, raw(1023, 0))
	default:
		return fmt.Errorf("unknown kind %q", kind)
	}
	return nil
}
