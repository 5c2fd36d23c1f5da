package integration

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestDump reads the filter of a running target, as root, and finds the
// policy's; a user is told what it takes.
func TestDump(t *testing.T) {
	cmd := exec.Command(binary("sbx"), "--", "/bin/sh", "-c", "echo ready; exec cat")
	cmd.Dir, cmd.Env = t.TempDir(), userEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	target := 0
	for _, p := range descendants(t, cmd.Process.Pid) {
		if p.name == "cat" || p.name == "sh" {
			target = p.pid
		}
	}
	r := sbx(t, "seccomp", "dump", strconv.Itoa(target))
	if asRoot() {
		want := sbx(t, "seccomp", "dump", "default")
		// Below it lies the one that some kernels need against Unix sockets.
		if r.status != 0 || !strings.HasSuffix(r.stdout, want.stdout) || !strings.Contains(r.stdout, "KILL_PROCESS") {
			t.Errorf("process %d: %v\nwant %v", target, r, want)
		}
	} else if r.status == 0 || !strings.Contains(r.stderr, "CAP_SYS_ADMIN") {
		t.Errorf("process %d: %v", target, r)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestDumpNone: a process without a filter has none, and that is what is said.
func TestDumpNone(t *testing.T) {
	if !asRoot() {
		return // a user is told what reading takes, above
	}
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := sbx(t, "seccomp", "dump", strconv.Itoa(cmd.Process.Pid))
	if r.status == 0 || !strings.Contains(r.stderr, "it has none") {
		t.Error(r)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the process was not killed")
	}
}
