package compile

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/policy/seccomp"
)

func TestMain(m *testing.M) {
	if action := os.Getenv("SBX_LIVE"); action != "" {
		fmt.Println(live(action))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// live loads, on a thread of its own, a filter that answers getpriority with an
// action, makes that call and says what came of it.
func live(action string) string {
	a, err := seccomp.ParseAction(action)
	if err != nil {
		return err.Error()
	}
	p := &seccomp.Policy{
		Default: seccomp.Action{Kind: seccomp.Allow},
		Rules:   []seccomp.Rule{{Syscalls: []string{"getpriority"}, Action: a}},
	}
	programs, err := Compile(p, seccomp.Native(), nil)
	if err != nil {
		return err.Error()
	}
	said := make(chan string)
	go func() {
		runtime.LockOSThread()
		said <- func() string {
			if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
				return err.Error()
			}
			for _, code := range programs {
				prog := unix.SockFprog{Len: uint16(len(code) / 8), Filter: (*unix.SockFilter)(unsafe.Pointer(&code[0]))}
				_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
				if errno != 0 {
					return "load: " + errno.Error()
				}
			}
			if _, _, errno := unix.Syscall(unix.SYS_GETPRIORITY, 0, 0, 0); errno != 0 {
				return "errno " + unix.ErrnoName(errno)
			}
			return "made"
		}()
	}()
	select {
	case s := <-said:
		return s
	case <-time.After(patience(a)):
		return "thread gone"
	}
}

// patience is how long to wait for an answer: forever, nearly, unless none is
// to come.
func patience(a seccomp.Action) time.Duration {
	if a.Kind == seccomp.KillThread {
		return time.Second
	}
	return time.Minute
}

// TestLive has each action taken by the kernel, in a process of its own.
func TestLive(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for action, want := range map[string]string{
		"allow":        "made",
		"log":          "made",
		"errno:EXDEV":  "errno EXDEV",
		"errno:ENOSYS": "errno ENOSYS",
		"notify":       "errno ENOSYS", // nobody listens
		"kill-process": "signal: bad system call",
		"kill-thread":  "thread gone",
		"trap":         "SIGSYS: bad system call", // as Go's handler has it
	} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), "SBX_LIVE="+action)
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			out, err := cmd.CombinedOutput()
			got := string(out)
			if err != nil {
				got += err.Error()
			}
			if first, _, _ := strings.Cut(got, "\n"); first != want && !strings.HasPrefix(first, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
