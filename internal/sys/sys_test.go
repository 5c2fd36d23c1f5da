package sys

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// interrupting makes SIGUSR1 interrupt system calls, until the test is over: Go
// has them restarted.
func interrupting(t *testing.T) {
	t.Helper()
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGUSR1)
	t.Cleanup(func() { signal.Stop(c) })
	const restart = 0x10000000 // SA_RESTART
	var action [4]uint64       // the kernel's struct sigaction: handler, flags, restorer, mask
	call := func(set, get *[4]uint64) {
		if _, _, errno := unix.Syscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGUSR1), uintptr(unsafe.Pointer(set)),
			uintptr(unsafe.Pointer(get)), 8, 0, 0); errno != 0 {
			t.Fatal(errno)
		}
	}
	call(nil, &action)
	was := action
	t.Cleanup(func() { call(&was, nil) })
	action[1] &^= restart
	call(&action, nil)
}

// TestWait: signals that come meanwhile do not end the wait, and the status is the child's.
func TestWait(t *testing.T) {
	interrupting(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/bin/sh", "-c", "read x; exit 7")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tid := unix.Gettid()
	done := make(chan error)
	go func() {
		for range 50 { // enough of them meet the wait
			if err := unix.Tgkill(os.Getpid(), tid, unix.SIGUSR1); err != nil {
				done <- err
			}
			time.Sleep(time.Millisecond)
		}
		done <- in.Close()
	}()
	ws, err := Wait(cmd.Process.Pid)
	if err != nil || !ws.Exited() || ws.ExitStatus() != 7 {
		t.Errorf("%#x, %v, want an exit with 7", ws, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := Wait(cmd.Process.Pid); err != unix.ECHILD {
		t.Errorf("nobody to wait for: %v, want ECHILD", err)
	}
}

// TestReadFile: files are read whole, longer ones than a read brings as well.
func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	for _, want := range []string{"", "x", strings.Repeat("abc", 5000)} {
		name := filepath.Join(dir, "f")
		if err := os.WriteFile(name, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadFile(name); err != nil || got != want {
			t.Errorf("%d bytes, %v, want %d", len(got), err, len(want))
		}
	}
	if s, err := ReadFile("/proc/self/comm"); err != nil || s == "" {
		t.Errorf("comm: %q, %v", s, err)
	}
	if _, err := ReadFile(dir + "/none"); err != unix.ENOENT {
		t.Errorf("no file: %v", err)
	}
	if _, err := ReadFile(dir); err != unix.EISDIR {
		t.Errorf("a directory: %v", err)
	}
	if err := os.Symlink("f", dir+"/l"); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if s, err := ReadFileAt(fd, "f", unix.O_NOFOLLOW); err != nil || len(s) != 15000 {
		t.Errorf("f: %d bytes, %v", len(s), err)
	}
	if _, err := ReadFileAt(fd, "l", unix.O_NOFOLLOW); err != unix.ELOOP {
		t.Errorf("a link: %v, want ELOOP", err)
	}
}
