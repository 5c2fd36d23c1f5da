// Command guest is process 1 of the machines of the kernel matrix. In the
// initramfs it finds the disks and changes to the root on them; it then
// mounts what a system has, runs the jobs of job.File one after the other,
// and reports them over the second serial port.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"sbx/integration/kernels/job"
)

func main() {
	if os.Getpid() != 1 {
		if err := runJobs(); err != nil {
			fmt.Fprintln(os.Stderr, "guest: run the jobs:", err)
			os.Exit(1)
		}
		return
	}
	if err := boot(); err != nil {
		fmt.Fprintln(os.Stderr, "guest: start:", err)
	}
	// The host sees from the reports whether all went well.
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART); err != nil {
		fmt.Fprintln(os.Stderr, "guest: restart:", err)
	}
	select {}
}

// boot makes a system of the initramfs, and waits until the jobs are done.
func boot() error {
	// As systemd has it; the kernel's own limit is 4096, where views end.
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 1024, Max: 524288}); err != nil {
		return fmt.Errorf("raise the limit on open files: %w", err)
	}
	for _, m := range []mount{{"devtmpfs", "/dev", "devtmpfs", 0, ""}, {"proc", "/proc", "proc", secure, ""},
		{"sysfs", "/sys", "sysfs", secure, ""}} {
		if err := m.do(); err != nil {
			return err
		}
	}
	if err := loadModules("/modules"); err != nil {
		return err
	}
	jobs, err := os.ReadFile(job.File)
	if err != nil {
		return err
	}
	if err := changeRoot(); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := system(); err != nil {
		return err
	}
	if err := controlGroups(); err != nil {
		return fmt.Errorf("control groups: %w", err)
	}
	if err := os.WriteFile(jobsHere, jobs, 0o600); err != nil {
		return err
	}
	runner, err := os.StartProcess("/tests/guest", []string{"guest"},
		&os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		return err
	}
	// Process 1 reaps what nobody else does.
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if pid == runner.Pid {
			return nil
		}
	}
}

// secure are the flags of file systems that hold no programs.
const secure = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

func (m mount) do() error {
	if err := os.MkdirAll(m.target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", m.kind, m.target, err)
	}
	return nil
}

// loadModules loads what is in dir. Which module needs which is found out by
// trying: as long as one more can be loaded, others may follow.
func loadModules(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.ko"))
	if err != nil {
		return err
	}
	for len(files) > 0 {
		var later []string
		var last error
		for _, name := range files {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			err = unix.FinitModule(int(f.Fd()), "", 0)
			f.Close()
			if err != nil && !errors.Is(err, unix.EEXIST) {
				later = append(later, name)
				last = fmt.Errorf("load %s: %w", name, err)
			}
		}
		if len(later) == len(files) {
			return last
		}
		files = later
	}
	return nil
}

// system is what an ordinary start does for everybody.
func system() error {
	for _, m := range []mount{
		// As systemd has it: mounts are shared, and sandboxes must not rely
		// on their being private.
		{"", "/", "", unix.MS_SHARED | unix.MS_REC, ""},
		{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
		{"tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"devpts", "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "gid=5,mode=620,ptmxmode=666"},
		{"securityfs", "/sys/kernel/security", "securityfs", secure, ""},
		{"cgroup2", "/sys/fs/cgroup", "cgroup2", secure, "nsdelegate"},
	} {
		if err := m.do(); err != nil {
			return err
		}
	}
	// Typing into a terminal by TIOCSTI, which 6.2 and later can refuse by
	// themselves, is to be refused by sandboxes.
	const sti = "/proc/sys/dev/tty/legacy_tiocsti"
	if err := os.WriteFile(sti, []byte("1"), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// mount(8) makes it for its notes when it first runs; tests see what appears.
	if err := os.Mkdir("/run/mount", 0o755); err != nil {
		return err
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink(to, "/dev/"+name); err != nil {
			return err
		}
	}
	if err := os.Chown("/home/user", job.User, job.User); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte("guest")); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}
