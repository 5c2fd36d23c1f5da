package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDeathBySignal: sbx dies of what the target died of, without a core of
// its own, however it was started; with the receipt written before.
func TestDeathBySignal(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGABRT, unix.SIGKILL, unix.SIGUSR1,
		unix.SIGSEGV, unix.SIGPIPE, unix.SIGTERM, unix.SIGSYS, unix.Signal(34), unix.Signal(64)} {
		for _, start := range []string{"", "trap '' HUP INT QUIT USR1 PIPE TERM; ulimit -c unlimited; "} {
			dir := t.TempDir()
			line := fmt.Sprintf("%sexec %s --report 9 --read %[3]s -- %[3]s die %d 9>receipt.json",
				start, binary("sbx"), binary("probe"), sig)
			cmd := exec.Command("/bin/sh", "-c", line)
			cmd.Dir, cmd.Env = dir, userEnv()
			out, err := cmd.CombinedOutput()
			var ended *exec.ExitError
			if !errors.As(err, &ended) {
				t.Fatalf("%s: %v\n%s", line, err, out)
			}
			ws, ok := ended.Sys().(syscall.WaitStatus)
			if !ok || !ws.Signaled() || ws.Signal() != sig || ws.CoreDump() || len(out) > 0 {
				t.Errorf("%s: %v\n%s", line, ended, out)
			}
			var got receipt
			text, err := os.ReadFile(filepath.Join(dir, "receipt.json"))
			if err == nil {
				err = json.Unmarshal(text, &got)
			}
			if err != nil || got.Status != 128+int(sig) || !got.Ran {
				t.Errorf("%s: receipt %+v, %v", line, got, err)
			}
		}
	}
	noStrays(t)
}

// TestCtrlCEndsTheLoop: a shell that runs one sbx after the other ends with the
// one that the key ended, as with any program.
func TestCtrlCEndsTheLoop(t *testing.T) {
	for _, args := range [][]string{{binary("sbx"), "--"}, ownTerminal(t), newSession(t)} {
		script := `for i in 1 2 3; do "$@" sh -c 'echo ready; exec sleep 60'; done; echo went on`
		term := atTerminal(t, append([]string{"/bin/bash", "--norc", "--noprofile", "-c", script, "bash"}, args...)...)
		term.shows("ready", 1)
		term.running("sleep")
		time.Sleep(100 * time.Millisecond)
		term.types("\x03")
		term.ends(130)
		if out := term.out.String(); strings.Contains(out, "went on") || strings.Count(out, "ready") != 1 {
			t.Errorf("%v: the loop went on\n%s", args, out)
		}
	}
}

// TestDeathOfFirst: as the first process of a pid namespace, which no signal of
// its own ends, sbx says it by its status.
func TestDeathOfFirst(t *testing.T) {
	if !asRoot() {
		return // it takes root to be the first
	}
	cmd := exec.Command(binary("sbx"), "--read", binary("probe"), "--", binary("probe"), "die",
		strconv.Itoa(int(unix.SIGTERM)))
	cmd.Dir, cmd.Env = t.TempDir(), userEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	err := cmd.Run()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.ExitCode() != 143 {
		t.Errorf("%v", err)
	}
}
