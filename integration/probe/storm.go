package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// storm keeps the sandbox's init as busy as it can: so many orphans that do
// nothing, others that are stopped and continued in turn, and others that
// are born and die all the time. It says when SIGUSR1 comes, and heeds nothing
// else.
func storm(args []string) error {
	idle, err := one(args)
	if err != nil {
		return err
	}
	const (
		groups = 6
		each   = 50
		makers = 2
	)
	c := make(chan os.Signal, 16)
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGALRM)
	signal.Notify(c, unix.SIGUSR1)
	runtime.LockOSThread()
	orphans(idle)
	for range groups {
		if rawFork() == 0 {
			stopAndContinue(each)
		}
	}
	for range makers {
		if rawFork() == 0 {
			makeOrphans()
		}
	}
	fmt.Println("ready")
	deadline := time.After(2 * time.Minute)
	for {
		select {
		case <-c:
			fmt.Println("got SIGUSR1")
		case <-deadline:
			return fmt.Errorf("nobody ended it for two minutes")
		}
	}
}

// rawFork is fork(2). The child has one thread, and makes system calls only.
//
//go:nosplit
//go:norace
func rawFork() uintptr {
	r, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return ^uintptr(0)
	}
	return r
}

//go:nosplit
//go:norace
func rawExit() {
	for {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0)
	}
}

//go:nosplit
//go:norace
func idleOn() {
	for {
		syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
}

// orphans leaves n processes behind, in a process group of their own, whose
// number it returns.
//
//go:nosplit
//go:norace
func orphans(n int) uintptr {
	pid := rawFork()
	if pid == 0 {
		syscall.RawSyscall6(unix.SYS_SETPGID, 0, 0, 0, 0, 0, 0)
		for range n {
			if rawFork() == 0 {
				idleOn()
			}
		}
		rawExit()
	}
	syscall.RawSyscall6(unix.SYS_WAIT4, pid, 0, 0, 0, 0, 0)
	return pid
}

//go:nosplit
//go:norace
func stopAndContinue(n int) {
	group := orphans(n)
	for {
		syscall.RawSyscall6(unix.SYS_KILL, -group, uintptr(unix.SIGSTOP), 0, 0, 0, 0)
		syscall.RawSyscall6(unix.SYS_KILL, -group, uintptr(unix.SIGCONT), 0, 0, 0, 0)
	}
}

//go:nosplit
//go:norace
func makeOrphans() {
	for {
		pid := rawFork()
		if pid == 0 {
			rawFork()
			rawExit()
		}
		syscall.RawSyscall6(unix.SYS_WAIT4, pid, 0, 0, 0, 0, 0)
	}
}
