package startstate

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestInherited starts the test binary from a shell that ignores a signal and
// lowers the limit. The Go runtime has changed both by the time the test runs.
func TestInherited(t *testing.T) {
	if os.Getenv("INHERIT_CHILD") != "" {
		if soft, _ := OpenFiles(); soft != 77 {
			t.Errorf("soft limit on open files is %d, want 77", soft)
		}
		if want := uint64(1<<14 | 1<<9); Mask() != want { // SIGTERM is 15, SIGUSR1 10
			t.Errorf("blocked signals %#x, want %#x", Mask(), want)
		}
		if Ignored()&(1<<12) == 0 { // SIGPIPE is 13
			t.Errorf("ignored signals %#x do not have SIGPIPE", Ignored())
		}
		return
	}
	cmd := exec.Command("/bin/sh", "-c",
		`trap "" PIPE; ulimit -S -n 77; exec env --block-signal=TERM,USR1 "$0" -test.run=TestInherited -test.v`, os.Args[0])
	cmd.Env = append(os.Environ(), "INHERIT_CHILD=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestInherited") {
		t.Fatalf("child: %v\n%s", err, out)
	}
}
