package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

func mounts([]string) error {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 10 {
			continue
		}
		fmt.Printf("%s %s\n", f[4], f[5])
	}
	return nil
}

// peel tries what undoes mounts: unmounting, remounting, covering,
// moving and re-rooting.
func peel([]string) error {
	for _, p := range []string{"/", "/usr", "/proc", "/tmp", "/dev"} {
		say("umount "+p, unix.Unmount(p, unix.MNT_DETACH))
		say("remount rw "+p, unix.Mount("", p, "", unix.MS_REMOUNT|unix.MS_BIND, ""))
		say("mount_setattr rw "+p, unix.MountSetattr(unix.AT_FDCWD, p, unix.AT_RECURSIVE,
			&unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}))
		say("cover "+p, unix.Mount("tmpfs", p, "tmpfs", 0, ""))
	}
	say("bind /proc to /tmp", unix.Mount("/proc", "/tmp", "", unix.MS_BIND|unix.MS_REC, ""))
	say("new proc", unix.Mount("proc", "/tmp", "proc", 0, ""))
	fd, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err == nil {
		unix.Close(fd)
	}
	say("open_tree", err)
	fd, err = unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err == nil {
		unix.Close(fd)
	}
	say("fsopen", err)
	say("move_mount", unix.MoveMount(unix.AT_FDCWD, "/usr", unix.AT_FDCWD, "/tmp", 0))
	say("pivot_root", unix.PivotRoot("/tmp", "/tmp"))
	say("chroot", unix.Chroot("/tmp"))
	say("mknod", unix.Mknod("/tmp/probe-node", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
	return nil
}

// hidden tries everything one can do to a name. What is hidden must be
// neither read nor changed by any of it.
func hidden(paths []string) error {
	for _, p := range paths {
		try := func(op string, err error) { say(op+" "+p, err) }
		var st unix.Stat_t
		try("stat", unix.Lstat(p, &st))
		data, err := os.ReadFile(p)
		try("read", err)
		if err == nil {
			fmt.Printf("content %s: %q\n", p, bytes.TrimSpace(data[:min(len(data), 200)]))
		}
		entries, err := os.ReadDir(p)
		try("list", err)
		if err == nil {
			fmt.Printf("entries %s: %d\n", p, len(entries))
		}
		fd, err := unix.Open(p, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			unix.Close(fd)
		}
		try("write", err)
		try("truncate", unix.Truncate(p, 0))
		try("chmod", unix.Chmod(p, 0o777))
		try("chown", unix.Lchown(p, os.Getuid(), os.Getgid()))
		try("utime", unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{{Sec: 1}, {Sec: 1}}, 0))
		try("setxattr", unix.Lsetxattr(p, "user.probe", []byte("x"), 0))
		try("link", unix.Link(p, "/tmp/probe-link"))
		try("rename", unix.Rename(p, p+".moved"))
		try("unlink", unix.Unlink(p))
		try("rmdir", unix.Rmdir(p))
	}
	return nil
}

// walkproc opens every regular file below the directories for writing and
// names those that let it. Opening writes nothing.
func walkproc(dirs []string) error {
	if len(dirs) == 0 {
		dirs = []string{"/proc", "/sys"}
	}
	own := fmt.Sprintf("/proc/%d/", os.Getpid())
	for _, dir := range dirs {
		seen, writable := 0, 0
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil // a directory that cannot be listed shows nothing
			}
			if d.IsDir() && d.Name() == "task" {
				return fs.SkipDir
			}
			if !d.Type().IsRegular() {
				return nil
			}
			seen++
			fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
			if err != nil {
				return nil
			}
			unix.Close(fd)
			writable++
			if rest, ok := strings.CutPrefix(path, own); ok {
				path = "/proc/PID/" + rest
			} else if rest, ok := strings.CutPrefix(path, "/proc/self/"); ok {
				path = "/proc/PID/" + rest
			}
			fmt.Printf("writable: %s\n", path)
			return nil
		})
		if err != nil {
			return err
		}
		fmt.Printf("%s: %d files, %d writable\n", dir, seen, writable)
	}
	return nil
}

// secrets reads what tells about the host: a file that opens and has
// something in it is reported with its size.
func secrets(paths []string) error {
	if len(paths) == 0 {
		paths = []string{
			"/etc/shadow", "/etc/gshadow", "/etc/ssh", "/root", "/home", "/proc/kcore", "/proc/keys", "/proc/key-users",
			"/proc/kallsyms", "/proc/timer_list", "/proc/sched_debug", "/proc/latency_stats", "/proc/sysrq-trigger",
			"/proc/kmsg", "/proc/kpagecount", "/proc/acpi", "/proc/scsi", "/proc/asound", "/proc/interrupts", "/proc/config.gz",
			"/sys/firmware", "/sys/kernel/debug", "/sys/kernel/security", "/sys/fs/cgroup", "/sys/devices/virtual/powercap",
			"/run/dbus/system_bus_socket", "/run/systemd", "/var/run/docker.sock", "/dev/mem", "/dev/kmsg", "/dev/sda",
			"/dev/vda",
			"/proc/1/environ", "/proc/1/root/etc", "/proc/1/cwd", "/lost+found", "/boot", "/var/log", "/var/lib",
		}
	}
	for _, p := range paths {
		fi, err := os.Lstat(p)
		if err != nil {
			fmt.Printf("%s: %s\n", p, errnoName(err))
			continue
		}
		if fi.IsDir() {
			entries, err := os.ReadDir(p)
			if err != nil {
				fmt.Printf("%s: %s\n", p, errnoName(err))
				continue
			}
			fmt.Printf("%s: %d entries\n", p, len(entries))
			continue
		}
		f, err := os.Open(p)
		if err != nil {
			fmt.Printf("%s: %s\n", p, errnoName(err))
			continue
		}
		buf := make([]byte, 4096)
		unix.SetNonblock(int(f.Fd()), true)
		n, err := unix.Read(int(f.Fd()), buf)
		f.Close()
		if err != nil {
			fmt.Printf("%s: opens, read %s\n", p, errnoName(err))
			continue
		}
		fmt.Printf("%s: %d bytes\n", p, n)
	}
	return nil
}
