package timerslack

import (
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// slack is the calling thread's.
func slack(t *testing.T) int {
	t.Helper()
	n, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestRestore: this test's own program was started with a slack, which its threads
// have not got before Restore, and the one that calls it has afterwards.
func TestRestore(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if os.Getenv("SLACK_CHILD") == "" {
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 123456, 0, 0, 0); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run=TestRestore")
		cmd.Env = append(os.Environ(), "SLACK_CHILD=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("child: %v\n%s", err, out)
		}
		return
	}
	if n := slack(t); n != 50_000_000 {
		t.Errorf("the slack is %d at first, want 50 ms", n)
	}
	if err := Restore(); err != nil {
		t.Fatal(err)
	}
	if n := slack(t); n != 123456 {
		t.Errorf("the slack is %d afterwards, want 123456", n)
	}
}
