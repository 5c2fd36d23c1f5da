package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sbx/integration/kernels/job"
)

const (
	reports  = "/dev/ttyS1"
	jobsHere = "/run/jobs.json" // what job.File was in the initramfs
)

// The control groups are as systemd lays them out: a service with
// Delegate=yes for what runs as root, and below the user's own manager, where
// all is delegated to the user, a scope.
const (
	cgroups   = "/sys/fs/cgroup"
	rootGroup = cgroups + "/system.slice/tests.service"
	manager   = cgroups + "/user.slice/user-61042.slice/user@61042.service"
	userGroup = manager + "/app.slice/tests.scope"
)

// controlGroups makes them, with every controller handed down as far as
// processes allow it.
func controlGroups() error {
	names, err := os.ReadFile(cgroups + "/cgroup.controllers")
	if err != nil {
		return err
	}
	enable := "+" + strings.Join(strings.Fields(string(names)), " +")
	for _, leaf := range []string{rootGroup, userGroup} {
		if err := os.MkdirAll(leaf, 0o755); err != nil {
			return err
		}
		dir := cgroups
		for _, part := range strings.Split(strings.TrimPrefix(leaf, cgroups+"/"), "/") {
			if err := os.WriteFile(dir+"/cgroup.subtree_control", []byte(enable), 0); err != nil {
				return err
			}
			dir += "/" + part
		}
	}
	for dir := userGroup; ; dir = filepath.Dir(dir) {
		for _, name := range []string{"", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control"} {
			if err := os.Chown(dir+name, job.User, job.User); err != nil {
				return err
			}
		}
		if dir == manager {
			break
		}
	}
	// How systemd says that what lies below is the owner's affair.
	for _, dir := range []string{rootGroup, manager} {
		for _, name := range []string{"trusted.delegate", "user.delegate"} {
			// Before 5.7 there are no such attributes; we are told by ENOTSUP.
			if err := unix.Setxattr(dir, name, []byte("1"), 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
				return fmt.Errorf("set %s of %s: %w", name, dir, err)
			}
		}
	}
	return nil
}

// runJobs runs all jobs and reports them.
func runJobs() error {
	text, err := os.ReadFile(jobsHere)
	if err != nil {
		return err
	}
	var jobs []job.Job
	if err := json.Unmarshal(text, &jobs); err != nil {
		return err
	}
	port, err := os.OpenFile(reports, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	// As it is, nothing translated or echoed.
	raw := unix.Termios{Cflag: unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200, Ispeed: unix.B115200,
		Ospeed: unix.B115200}
	raw.Cc[unix.VMIN] = 1
	if err := unix.IoctlSetTermios(int(port.Fd()), unix.TCSETS, &raw); err != nil {
		return err
	}
	w := job.NewWriter(port)
	for _, j := range jobs {
		w.Begin(j.Name)
		start := time.Now()
		status, err := run(j, w)
		if err != nil {
			fmt.Fprintf(w, "guest: %v\n", err)
		}
		w.End(j.Name, status, time.Since(start))
	}
	if err := w.Done(); err != nil {
		return err
	}
	// What was written is sent before the machine stops.
	return unix.IoctlSetInt(int(port.Fd()), unix.TCSBRK, 1)
}

// run runs one job.
func run(j job.Job, w *job.Writer) (int, error) {
	group, home := rootGroup, "/root"
	attr := &syscall.SysProcAttr{UseCgroupFD: true, Setsid: true}
	if j.User {
		group, home = userGroup, "/home/user"
		attr.Credential = &syscall.Credential{Uid: job.User, Gid: job.User}
	}
	dir, err := os.Open(group)
	if err != nil {
		return -1, err
	}
	defer dir.Close()
	attr.CgroupFD = int(dir.Fd())
	cmd := exec.Command(j.Args[0], j.Args[1:]...)
	cmd.Dir = j.Dir
	cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
		"TERM=linux",
		"HOME=" + home, "SBX_IT_CGROUP_user=" + userGroup}, j.Env...)
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = attr
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return -1, err
	}
	// A Go program's answer to QUIT says where it hangs.
	var timedOut atomic.Bool
	quit := time.AfterFunc(j.Timeout, func() { timedOut.Store(true); cmd.Process.Signal(unix.SIGQUIT) })
	kill := time.AfterFunc(j.Timeout+10*time.Second, func() { syscall.Kill(-cmd.Process.Pid, unix.SIGKILL) })
	err = cmd.Wait()
	quit.Stop()
	kill.Stop()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return -1, err
	}
	if timedOut.Load() {
		err = fmt.Errorf("%s took longer than %v", j.Name, j.Timeout)
	} else {
		err = nil
	}
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return 128 + int(s.Signal()), err
	}
	return cmd.ProcessState.ExitCode(), err
}
