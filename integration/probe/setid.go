package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setid tries every way of leaving a set-id or a device file in DIR, and says
// of each file that came of it whether it is one.
func setid(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want DIR")
	}
	const mode = unix.S_ISUID | 0o755
	for _, way := range append(setidWays(), oldSetidWays()...) {
		p := filepath.Join(args[0], "setid-"+way.name)
		if way.file {
			if err := os.WriteFile(p, []byte("#!/bin/true\n"), 0o755); err != nil {
				return err
			}
		}
		err := way.run(p, mode)
		say("setid "+way.name, err)
		var st unix.Stat_t
		if unix.Lstat(p, &st) == nil {
			dir := st.Mode&unix.S_IFMT == unix.S_IFDIR
			bad := !dir && st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 || st.Mode&unix.S_IFMT == unix.S_IFCHR
			fmt.Printf("left %s: %v\n", way.name, bad)
		}
	}
	return nil
}

// setidWay is one of them; file says that it changes a file that is there.
type setidWay struct {
	name string
	file bool
	run  func(p string, mode uint32) error
}

func setidWays() []setidWay {
	ptr := func(p string) uintptr {
		b, err := unix.BytePtrFromString(p)
		if err != nil {
			panic(err)
		}
		return uintptr(unsafe.Pointer(b))
	}
	cwd := uintptr(^uint(99)) // AT_FDCWD, -100
	raw := func(nr uintptr, args ...uintptr) error {
		var a [6]uintptr
		copy(a[:], args)
		_, _, errno := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		return errnoOrNil(errno)
	}
	made := func(fd int, err error) error {
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
	return []setidWay{
		{"chmod", true, func(p string, m uint32) error { return unix.Chmod(p, m) }},
		{"chmod gid", true, func(p string, m uint32) error { return unix.Chmod(p, unix.S_ISGID|0o755) }},
		{"fchmod", true, func(p string, m uint32) error {
			fd, err := unix.Open(p, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Fchmod(fd, m)
		}},
		{"fchmodat", true, func(p string, m uint32) error { return raw(unix.SYS_FCHMODAT, cwd, ptr(p), uintptr(m)) }},
		{"fchmodat high", true, func(p string, m uint32) error {
			return raw(unix.SYS_FCHMODAT, cwd, ptr(p), 1<<40|1<<16|uintptr(m))
		}},
		{"fchmodat2", true, func(p string, m uint32) error { return raw(unix.SYS_FCHMODAT2, cwd, ptr(p), uintptr(m), 0) }},
		{"openat", false, func(p string, m uint32) error {
			return made(unix.Openat(unix.AT_FDCWD, p, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, m))
		}},
		{"tmpfile", false, func(p string, m uint32) error {
			fd, err := unix.Openat(unix.AT_FDCWD, filepath.Dir(p), unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, m)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, p, unix.AT_SYMLINK_FOLLOW)
		}},
		{"openat2", false, func(p string, m uint32) error {
			return made(unix.Openat2(unix.AT_FDCWD, p,
				&unix.OpenHow{Flags: unix.O_CREAT | unix.O_WRONLY | unix.O_CLOEXEC, Mode: uint64(m)}))
		}},
		{"mknodat", false, func(p string, m uint32) error { return unix.Mknodat(unix.AT_FDCWD, p, unix.S_IFREG|m, 0) }},
		{"mkdir", false, func(p string, m uint32) error { return unix.Mkdir(p, m|unix.S_ISGID) }},
		{"chmod directory", false, func(p string, m uint32) error {
			if err := unix.Mkdir(p, 0o755); err != nil {
				return err
			}
			return unix.Chmod(p, unix.S_ISUID|0o755)
		}},
		{"whiteout", false, func(p string, m uint32) error { return unix.Mknodat(unix.AT_FDCWD, p, unix.S_IFCHR|0o600, 0) }},
		{"rename whiteout", true, func(p string, m uint32) error {
			return unix.Renameat2(unix.AT_FDCWD, p, unix.AT_FDCWD, p+"-moved", unix.RENAME_WHITEOUT)
		}},
		{"device", false, func(p string, m uint32) error {
			return unix.Mknodat(unix.AT_FDCWD, p, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3)))
		}},
	}
}

// reach tries what could be felt by processes outside, or by the init, and
// what a program does to itself and its children all the time.
func reach([]string) error {
	_, _, errno := unix.Syscall(unix.SYS_SETPRIORITY, unix.PRIO_PGRP, 0, 19)
	say("setpriority own group", errnoOrNil(errno))
	_, _, errno = unix.Syscall(unix.SYS_SETPRIORITY, 1<<32|unix.PRIO_PGRP, 1<<32, 19)
	say("setpriority own group high", errnoOrNil(errno))
	_, _, errno = unix.Syscall(unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 0, 1)
	say("setpriority self", errnoOrNil(errno))
	const group, process, idle = 2, 1, 3 << 13 // IOPRIO_WHO_PGRP, _PROCESS, IOPRIO_CLASS_IDLE
	_, _, errno = unix.Syscall(unix.SYS_IOPRIO_SET, group, 0, idle)
	say("ioprio_set own group", errnoOrNil(errno))
	_, _, errno = unix.Syscall(unix.SYS_IOPRIO_SET, process, 0, idle)
	say("ioprio_set self", errnoOrNil(errno))
	lim := unix.Rlimit{Cur: 1000, Max: 1000}
	say("prlimit init", unix.Prlimit(1, unix.RLIMIT_NOFILE, &lim, nil))
	say("prlimit own pid", unix.Prlimit(os.Getpid(), unix.RLIMIT_CORE, &unix.Rlimit{}, nil))
	child := exec.Command(self(), "sig", "0")
	if err := child.Start(); err != nil {
		return err
	}
	say("prlimit child", unix.Prlimit(child.Process.Pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil))
	if err := child.Process.Kill(); err != nil {
		return err
	}
	_ = child.Wait() // it was killed
	return nil
}

// others tries to limit and to slow down the process PID, and all of its user.
func others(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want PID")
	}
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	try := func(what string, nr uintptr, a, b, c uintptr) {
		_, _, errno := unix.Syscall(nr, a, b, c)
		say(what, errnoOrNil(errno))
	}
	who := uintptr(pid)
	const process, user, idle = 1, 3, 3 << 13 // IOPRIO_WHO_PROCESS, _USER, IOPRIO_CLASS_IDLE
	say("prlimit", unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 5, Max: 5}, nil))
	try("setpriority", unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, who, 19)
	try("setpriority user", unix.SYS_SETPRIORITY, unix.PRIO_USER, uintptr(os.Getuid()), 19)
	try("setpriority own user", unix.SYS_SETPRIORITY, unix.PRIO_USER, 0, 19)
	try("ioprio_set", unix.SYS_IOPRIO_SET, process, who, idle)
	try("ioprio_set user", unix.SYS_IOPRIO_SET, user, uintptr(os.Getuid()), idle)
	one := unix.CPUSet{}
	one.Set(0)
	say("sched_setaffinity", unix.SchedSetaffinity(pid, &one))
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_BATCH}
	say("sched_setattr", unix.SchedSetAttr(pid, &attr, 0))
	param := int32(0)
	try("sched_setscheduler", unix.SYS_SCHED_SETSCHEDULER, who, unix.SCHED_BATCH, uintptr(unsafe.Pointer(&param)))
	try("sched_setparam", unix.SYS_SCHED_SETPARAM, who, uintptr(unsafe.Pointer(&param)), 0)
	say("own limit", unix.Prlimit(0, unix.RLIMIT_CORE, &unix.Rlimit{}, nil))
	try("own priority", unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 0, 1)
	say("own affinity", unix.SchedSetaffinity(0, &one))
	return nil
}
