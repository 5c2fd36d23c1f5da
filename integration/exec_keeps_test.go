package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// keepsScript says what a process is given by who starts it. The program of the other tests
// is one in Go, which changes some of it.
const keepsScript = `
import ctypes, os, resource, signal
print("umask", oct(os.umask(0)), "nice", os.nice(0), "files", resource.getrlimit(resource.RLIMIT_NOFILE))
for line in open("/proc/self/status"):
    if line.startswith(("SigBlk", "SigIgn", "ShdPnd", "Threads", "THP_enabled")): print(line, end="")
print("slack", ctypes.CDLL(None).prctl(30, 0, 0, 0, 0))
print("timer", signal.getitimer(signal.ITIMER_VIRTUAL)[1])
`

// TestExecInPlaceKeeps: what a process hands on by its exec is handed on, as if sbx were not
// there: umask, limits, priority, signals ignored, blocked and pending, timers and the signal
// for the parent's death; and file locks that the process held.
func TestExecInPlaceKeeps(t *testing.T) {
	starter := `
import os, resource, signal, sys
os.umask(0o027); os.nice(3)
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))
signal.signal(signal.SIGPIPE, signal.SIG_DFL); signal.signal(signal.SIGUSR2, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH, signal.SIGHUP])
os.kill(os.getpid(), signal.SIGWINCH)
signal.setitimer(signal.ITIMER_VIRTUAL, 100, 200)
os.execv(sys.argv[1], sys.argv[1:])
`
	modes := inPlaceModes(t)
	for _, mode := range modes[:min(len(modes), 1)] { // the other way does not differ in this
		program := []string{"/usr/bin/python3", "-c", keepsScript}
		var said [2]string
		for i, args := range [][]string{program, inPlaceArgs(t, mode, program...)} {
			r := run(t, call{args: append([]string{"python3", "-c", starter}, args...), dir: t.TempDir()})
			r.want(t, 0, "timer 200.0")
			said[i] = r.stdout
		}
		if said[0] != said[1] {
			t.Errorf("%s: without sbx:\n%s\nwith it:\n%s", mode, said[0], said[1])
		}
		dies := `
import ctypes, os, sys
if os.fork() == 0:
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
    os.execv(sys.argv[1], sys.argv[1:])
os.wait()
`
		args := append([]string{"/usr/bin/python3", "-c", dies}, inPlaceArgs(t, mode, "/bin/sh", "-c", "echo $$; exec sleep 1000")...)
		cmd, _, _, first := inPlace(t, args)
		pid, err := strconv.Atoi(first)
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it was killed
		eventually(t, mode+": the program dies with its parent", func() bool {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err != nil || strings.Contains(string(text), ") Z ")
		})
		locks(t, mode)
	}
}

// locks checks that a lock of fcntl(2) stays, which belongs to the process.
func locks(t *testing.T, mode string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "lock")
	locker := `
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o666)
os.dup2(fd, 9) # closing any descriptor of the file would give up the lock
os.close(fd)
fcntl.lockf(9, fcntl.LOCK_EX)
os.execv(sys.argv[2], sys.argv[2:])
`
	flags := []string{"--keep-fd", "9"}
	more := "[seccomp]\ndeny = [\"chmod\", \"fchmod\", \"fchmodat\", \"fchmodat2\", \"chown\", \"fchown\", \"lchown\", " +
		"\"fchownat\", \"utime\", \"utimes\", \"futimesat\", \"utimensat\", \"setxattr\", \"lsetxattr\", \"fsetxattr\", " +
		"\"setxattrat\", \"removexattr\", \"lremovexattr\", \"fremovexattr\", \"removexattrat\", \"file_setattr\"]\n"
	args := append([]string{"/usr/bin/python3", "-c", locker, file, binary("sbx"), "--policy",
		inPlacePolicy(t, mode, false, more)}, append(flags, "--", "/bin/sh", "-c", "echo $$; read x")...)
	cmd, in, _, first := inPlace(t, args)
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock); err != nil || lock.Type != unix.F_WRLCK ||
		strconv.Itoa(int(lock.Pid)) != first {
		t.Errorf("the lock is %+v, %v, of process %s", lock, err, first)
	}
	in.Close()
	_ = cmd.Wait() // read has failed
}
