package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// pids are the processes that can be seen, this one left out; with no /proc,
// the first few numbers.
func pids() []int {
	var list []int
	entries, err := os.ReadDir("/proc")
	if err != nil || len(entries) == 0 {
		list = []int{1, 2, 3}
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() {
			list = append(list, pid)
		}
	}
	if len(list) == 0 || list[0] != 1 {
		list = append([]int{1}, list...)
	}
	if ppid := os.Getppid(); ppid > 1 {
		list = append(list, ppid)
	}
	return list
}

// trace tries on each process what a debugger or an attacker would. A process
// that is this one's own pid 1 (no init of sbx's) is skipped: nobody is
// protected from itself.
func trace([]string) error {
	for _, pid := range pids() {
		if pid == os.Getpid() {
			continue
		}
		what := func(s string) string { return fmt.Sprintf("pid %d %s", pid, s) }
		say(what("ptrace"), ptraceSeize(pid))
		say(what("process_vm_readv"), vmRead(pid))
		say(what("pidfd_getfd"), pidfdGetfd(pid))
		say(what("kill"), kill(pid))
		for _, file := range []struct {
			name  string
			flags int
		}{{"mem", unix.O_RDONLY}, {"mem", unix.O_RDWR}, {"environ", unix.O_RDONLY}, {"maps", unix.O_RDONLY},
			{"exe", unix.O_RDONLY}, {"exe", unix.O_WRONLY}, {"exe", unix.O_RDWR | unix.O_TRUNC}, {"fd", unix.O_RDONLY},
			{"root", unix.O_RDONLY}, {"cwd", unix.O_RDONLY}, {"ns/user", unix.O_RDONLY}} {
			fd, err := unix.Open(fmt.Sprintf("/proc/%d/%s", pid, file.name), file.flags|unix.O_CLOEXEC, 0)
			mode := "read"
			if file.flags&unix.O_ACCMODE != unix.O_RDONLY {
				mode = "write"
			}
			if err == nil {
				if file.name == "environ" || file.name == "maps" || file.name == "fd" {
					err = hasContent(fd, file.name)
				}
				unix.Close(fd)
			}
			say(what(mode+" "+file.name), err)
		}
	}
	return nil
}

// hasContent tells an opened but empty file from one that shows something.
func hasContent(fd int, name string) error {
	buf := make([]byte, 4096)
	if name == "fd" {
		return openEntries(fd, buf)
	}
	n, err := unix.Read(fd, buf)
	if err != nil {
		return err
	}
	if len(bytes.Trim(buf[:max(n, 0)], "\x00")) == 0 {
		return unix.ENODATA
	}
	return nil
}

// openEntries opens what a /proc/PID/fd lists: the names alone tell nothing.
func openEntries(dir int, buf []byte) error {
	n, err := unix.Getdents(dir, buf)
	if err != nil {
		return err
	}
	err = unix.ENODATA
	_, _, names := unix.ParseDirent(buf[:n], -1, nil) // without . and ..
	for _, name := range names {
		var fd int
		if fd, err = unix.Openat(dir, name, unix.O_PATH|unix.O_CLOEXEC, 0); err == nil {
			return unix.Close(fd)
		}
	}
	return err
}

func ptraceSeize(pid int) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func vmRead(pid int) error {
	var buf [8]byte
	local := []unix.Iovec{{Base: &buf[0], Len: 8}}
	// The address need not be mapped: a refusal comes first, EFAULT says that
	// reading was allowed.
	remote := []unix.RemoteIovec{{Base: uintptr(0x400000), Len: 8}}
	_, err := unix.ProcessVMReadv(pid, local, remote, 0)
	if err == unix.EFAULT {
		return nil
	}
	return err
}

func pidfdGetfd(pid int) error {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	for fd := range 10 {
		got, getErr := unix.PidfdGetfd(pidfd, fd, 0)
		if getErr == nil {
			unix.Close(got)
			return nil
		}
		err = getErr
	}
	return err
}

// kill asks whether a signal would be let through. Only pid 1 gets a real one:
// the kernel keeps the first process of any pid namespace from dying of it, so
// that even a probe let loose on the host does no harm.
func kill(pid int) error {
	if pid != 1 {
		return unix.Kill(pid, 0)
	}
	for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGSTOP, unix.SIGKILL} {
		if err := unix.Kill(pid, s); err != nil {
			return err
		}
	}
	unix.Nanosleep(&unix.Timespec{Nsec: 50e6}, nil)
	if err := unix.Kill(pid, 0); err != nil {
		return nil
	}
	return fmt.Errorf("survives")
}

// canary looks for a string in the environments and command lines of all
// processes, this one's own command line left out (it names the string).
func canary(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want one string")
	}
	// The string is given with a "%" in it, so that this command line does
	// not hold it.
	want := bytes.ReplaceAll([]byte(args[0]), []byte("%"), nil)
	found := 0
	list := append(pids(), os.Getpid())
	for _, pid := range list {
		for _, file := range []string{"environ", "cmdline", "comm", "stat", "maps", "mountinfo"} {
			data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
			if err == nil && bytes.Contains(data, want) {
				found++
				fmt.Printf("found in /proc/%d/%s\n", pid, file)
			}
		}
	}
	// The stack and environment of this very process as execve left them.
	if bytes.Contains(ownStack(), want) {
		found++
		fmt.Println("found on the own stack")
	}
	fmt.Printf("canary: %d places, %d processes\n", found, len(list))
	return nil
}

// ownStack is the initial stack: argv, envp, auxv strings, and whatever the
// launcher might have left there.
func ownStack() []byte {
	data, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil
	}
	for line := range bytes.Lines(data) {
		if !bytes.Contains(line, []byte("[stack]")) {
			continue
		}
		var from, to uintptr
		if _, err := fmt.Sscanf(string(line), "%x-%x", &from, &to); err != nil {
			return nil
		}
		mem, err := os.Open("/proc/self/mem")
		if err != nil {
			return nil
		}
		defer mem.Close()
		buf := make([]byte, to-from)
		n, err := mem.ReadAt(buf, int64(from))
		if err != nil {
			return nil
		}
		return buf[:n]
	}
	return nil
}
