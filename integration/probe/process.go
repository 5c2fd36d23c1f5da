package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// errnoName is "EPERM" rather than a sentence.
func errnoName(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		if name := unix.ErrnoName(errno); name != "" {
			return name
		}
		return "errno " + strconv.Itoa(int(errno))
	}
	return err.Error()
}

func args(list []string) error {
	digest := sha256.New()
	for _, a := range list {
		digest.Write([]byte(a))
		digest.Write([]byte{0})
	}
	fmt.Printf("count: %d\ndigest: %x\n", len(list), digest.Sum(nil))
	if len(list) <= 100 {
		for i, a := range list {
			fmt.Printf("%d: %q\n", i, a)
		}
	}
	return nil
}

func env([]string) error {
	list := os.Environ()
	slices.Sort(list)
	for _, v := range list {
		fmt.Printf("%q\n", v)
	}
	return nil
}

func cwd([]string) error {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Getcwd(buf) // the kernel's word; os.Getwd believes $PWD
	if err != nil {
		return err
	}
	fmt.Printf("%s\n", bytes.TrimRight(buf[:n], "\x00"))
	return nil
}

// fds asks the kernel about each number, since /proc may be missing or lie.
func fds([]string) error {
	for fd := range 70000 {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil {
			continue
		}
		target, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err != nil {
			target = "?"
		}
		note := ""
		if flags&unix.FD_CLOEXEC != 0 {
			note = " (close-on-exec)"
		}
		fmt.Printf("fd %d: %s%s\n", fd, target, note)
	}
	return nil
}

// status is one field of /proc/self/status.
func status(field string) string {
	data, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return errnoName(err)
	}
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, ":"); ok && name == field {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return "absent"
}

func prctl(option int, arg uintptr) string {
	r, _, errno := unix.RawSyscall6(unix.SYS_PRCTL, uintptr(option), arg, 0, 0, 0, 0)
	if errno != 0 {
		return errnoName(errno)
	}
	return strconv.Itoa(int(r))
}

func caps([]string) error {
	for _, field := range []string{"Uid", "Gid", "Groups"} {
		fmt.Printf("%s: %s\n", field, status(field))
	}
	for _, field := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		fmt.Printf("%s: %s\n", field, capNames(status(field)))
	}
	fmt.Printf("NoNewPrivs: %s\n", prctl(unix.PR_GET_NO_NEW_PRIVS, 0))
	fmt.Printf("Seccomp: %s\n", status("Seccomp"))
	fmt.Printf("Seccomp_filters: %s\n", status("Seccomp_filters"))
	fmt.Printf("securebits: %s\n", prctl(unix.PR_GET_SECUREBITS, 0))
	fmt.Printf("dumpable: %s\n", prctl(unix.PR_GET_DUMPABLE, 0))
	fmt.Printf("pid: %d\nppid: %d\n", os.Getpid(), os.Getppid())
	return nil
}

// capNames turns the kernel's hexadecimal set into names.
func capNames(hex string) string {
	bits, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		return hex
	}
	const known = "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable " +
		"net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot " +
		"sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease " +
		"audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read " +
		"perfmon bpf checkpoint_restore"
	names := strings.Fields(known)
	var set []string
	for bit := range 64 {
		if bits&(1<<bit) == 0 {
			continue
		}
		if bit < len(names) {
			set = append(set, names[bit])
		} else {
			set = append(set, strconv.Itoa(bit))
		}
	}
	if len(set) == 0 {
		return "none"
	}
	return strings.Join(set, " ")
}

func namespaces([]string) error {
	for _, kind := range []string{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"} {
		link, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			link = errnoName(err)
		}
		fmt.Printf("%s: %s\n", kind, link)
	}
	return nil
}

func limits([]string) error {
	for _, l := range []struct {
		name string
		id   int
	}{{"core", unix.RLIMIT_CORE}, {"fsize", unix.RLIMIT_FSIZE}, {"nofile", unix.RLIMIT_NOFILE},
		{"nproc", unix.RLIMIT_NPROC}, {"stack", unix.RLIMIT_STACK}, {"as", unix.RLIMIT_AS}, {"cpu", unix.RLIMIT_CPU}} {
		var r unix.Rlimit
		if err := unix.Prlimit(0, l.id, nil, &r); err != nil {
			say("rlimit "+l.name, err)
			continue
		}
		fmt.Printf("rlimit %s: %d %d\n", l.name, int64(r.Cur), int64(r.Max))
	}
	mask := unix.Umask(0)
	unix.Umask(mask)
	nice, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return err
	}
	fmt.Printf("umask: %04o\nnice: %d\n", mask, 20-nice)
	// SigCgt is Go's own doing; what an exec hands on is blocked and ignored.
	fmt.Printf("SigBlk: %s\nSigIgn: %s\n", status("SigBlk"), status("SigIgn"))
	return nil
}
