package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sbx/integration/kernels/job"
)

// rootKind is what the kernel was told by sbx.root=: "disk", an ordinary
// system; "small", a root of one busybox in memory, as on an appliance;
// "initramfs", the same without leaving the initramfs.
func rootKind() (string, error) {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return "", err
	}
	for _, word := range strings.Fields(string(line)) {
		if kind, ok := strings.CutPrefix(word, "sbx.root="); ok {
			return kind, nil
		}
	}
	return "disk", nil
}

// changeRoot makes the root that the kernel was told. An initramfs cannot be
// left by pivot_root(2); the new root is moved over it, as every initramfs
// does, and from then on the root is one that sandboxes can pivot from.
func changeRoot() error {
	kind, err := rootKind()
	if err != nil {
		return err
	}
	if err := disksThere(); err != nil {
		return err
	}
	tests := mount{"/dev/vdb", "/disk/tests", "ext4", unix.MS_RDONLY, ""}
	switch kind {
	case "disk":
		err = mount{"/dev/vda", "/disk", "ext4", unix.MS_NOATIME, ""}.do()
	case "small":
		err = mount{"tmpfs", "/disk", "tmpfs", 0, "mode=755"}.do()
	case "initramfs":
		tests.target = "/tests"
		return errors.Join(tests.do(), smallRoot("/", tests.target))
	default:
		err = fmt.Errorf("unknown: sbx.root=%s", kind)
	}
	if err != nil {
		return err
	}
	if err := tests.do(); err != nil {
		return err
	}
	if kind == "small" {
		if err := smallRoot("/disk", tests.target); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/dev", "/proc", "/sys"} {
		if err := (mount{dir, "/disk" + dir, "", unix.MS_MOVE, ""}).do(); err != nil {
			return err
		}
	}
	if err := os.Chdir("/disk"); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return err
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return os.Chdir("/")
}

// disksThere waits for the disks, half a minute at most.
func disksThere() error {
	for _, disk := range []string{"/dev/vda", "/dev/vdb"} {
		for wait := 0; ; wait++ {
			if _, err := os.Stat(disk); err == nil {
				break
			} else if wait == 3000 {
				return err
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}

// smallRoot lays out a root of one static program in dir, and below /base what
// the integration tests lay out for themselves where there is more.
func smallRoot(dir, tests string) error {
	for _, sub := range []string{"bin", "usr/bin", "etc", "root", "home/user", "base/bin", "base/root", "base/user",
		"tmp", "var/tmp", "var/cache", "run"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	for _, sub := range []string{"tmp", "var/tmp"} {
		if err := os.Chmod(filepath.Join(dir, sub), 0o777|fs.ModeSticky); err != nil {
			return err
		}
	}
	for from, to := range map[string]string{"busybox": "bin/busybox", "sbx": "base/bin/sbx", "probe": "base/bin/probe"} {
		if err := copyProgram(filepath.Join(tests, "bin", from), filepath.Join(dir, to)); err != nil {
			return err
		}
	}
	for _, name := range []string{"bin/sh", "bin/cat", "bin/id", "bin/ls", "bin/touch", "usr/bin/env"} {
		if err := os.Symlink("/bin/busybox", filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return os.Chown(filepath.Join(dir, "base/user"), job.User, job.User)
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
