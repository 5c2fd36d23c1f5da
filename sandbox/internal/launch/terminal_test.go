package launch

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"

	"sbx/internal/ptytest"
	"sbx/internal/step"
	"sbx/policy"
	"sbx/sandbox/internal/process"
	"sbx/sandbox/internal/terminal"
)

// TestFaultsAtTerminal starts this test once more at a terminal, and makes
// every call fail by which the target gets one of its own.
func TestFaultsAtTerminal(t *testing.T) {
	launches(t)
	if os.Getenv("SBX_AT_TERMINAL") == "" {
		args := []string{"-test.run=^TestFaultsAtTerminal$", "-test.v"}
		if testing.Short() {
			args = append(args, "-test.short")
		}
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), "SBX_AT_TERMINAL=1")
		file, err := pty.Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := ptytest.Copy(&out, file); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "--- PASS") {
			t.Errorf("%v\n%s", err, &out)
		}
		return
	}
	plan := planWith(t, "default", func(p *policy.Policy) { p.Process.Terminal = "pty" }, "/bin/touch", "ran")
	if plan.PTY == nil || plan.PTY.Streams != [3]bool{true, true, true} {
		t.Fatalf("the terminal was not found: %+v", plan.PTY)
	}
	if s := plan.String(); !strings.Contains(s, "setup    make a pseudo-terminal for descriptors 0, 1 and 2, "+
		"relayed by the launcher\n") ||
		!strings.Contains(s, "cleanup  restore the modes of the caller's terminal\n") {
		t.Errorf("the plan does not say so:\n%s", s)
	}
	sweep(t, plan, func(s step.Step) bool {
		switch s.(type) {
		case process.OwnSession, process.OwnGroup, terminal.Open, terminal.Foreground:
			return true
		}
		return false
	})
}
