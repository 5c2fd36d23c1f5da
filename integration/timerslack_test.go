package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTimerSlack: what sbx does to its own timer slack, to start quicker, reaches
// neither the target nor sbx's own processes that stay, the janitor among them: they
// have the caller's.
func TestTimerSlack(t *testing.T) {
	runtime.LockOSThread() // the slack is the thread's, and the child takes it over
	before, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, slack := range []int{before, 123456} {
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0); err != nil {
			t.Fatal(err)
		}
		want := strconv.Itoa(slack)
		r := run(t, call{args: []string{binary("sbx"), "--policy", "open", "--", "cat", "/proc/self/timerslack_ns"}})
		if got := strings.TrimSpace(r.stdout); r.status != 0 || got != want {
			t.Errorf("the target's slack is %q, want %s: %v", got, want, r)
		}
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(before), 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	runtime.UnlockOSThread()
	if !asRoot() {
		return // the others' are for root to read
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out")) // a file of the caller's takes a janitor
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(binary("sbx"), "--policy", "open", "--", "sh", "-c", "echo here; exec sleep 60")
	cmd.Stdout, cmd.Env = out, userEnv()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the target", func() bool {
		data, err := os.ReadFile(out.Name())
		return err == nil && len(data) > 0
	})
	seen := map[string]bool{}
	for _, p := range descendants(t, cmd.Process.Pid) {
		seen[p.name] = true
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/timerslack_ns", p.pid))
		if got := strings.TrimSpace(string(data)); err != nil || got != strconv.Itoa(before) {
			t.Errorf("the slack of %s is %q (%v), want %d", p.name, got, err, before)
		}
	}
	if !seen["sbx-janitor"] || !seen["sleep"] || len(seen) < 3 {
		t.Errorf("looked at %v", seen)
	}
	// The thread that supervises has its own back, and is the one that waits longest:
	// the others are the runtime's.
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	exact := 0
	for _, thread := range threads {
		data, err := os.ReadFile("/proc/" + filepath.Base(thread) + "/timerslack_ns")
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(string(data)) == strconv.Itoa(before) {
			exact++
		}
	}
	if exact == 0 || exact == len(threads) {
		t.Errorf("%d of the launcher's %d threads have the caller's slack", exact, len(threads))
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the target ended well")
	}
}
