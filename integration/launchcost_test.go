package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestLaunchCost bounds what a launch costs by what does not depend on how busy the
// machine is: page faults, and system calls of all its processes and threads. A
// change that goes past a bound makes every launch slower: docs/bench.md says what
// is known about where the time goes. If it is worth that, raise the bound here.
func TestLaunchCost(t *testing.T) {
	if guestFacts != "" {
		return // other kernels, and no strace
	}
	dir := t.TempDir()
	// The runtime's threads make a few more, or fewer: the least of some runs counts.
	least := func(n int, count func() int) int {
		best := count()
		for range n - 1 {
			best = min(best, count())
		}
		return best
	}
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent"}
		return cmd
	}
	faults := func(args ...string) int {
		return least(10, func() int {
			cmd := command(append([]string{binary("sbx")}, args...)...)
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			return int(cmd.ProcessState.SysUsage().(*syscall.Rusage).Minflt)
		})
	}
	// What waits, and what the runtime does by the clock, is left out.
	const timed = "trace=!futex,nanosleep,clock_nanosleep,sched_yield,tgkill,rt_sigreturn,restart_syscall,madvise"
	calls := func(args ...string) int {
		return least(3, func() int {
			trace := filepath.Join(dir, "trace")
			cmd := command(append([]string{"strace", "-f", "-qq", "-o", trace, "-e", timed, binary("sbx")}, args...)...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			lines, err := os.ReadFile(trace)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for line := range strings.Lines(string(lines)) {
				if !strings.Contains(line, "resumed>") && !strings.Contains(line, "+++") && !strings.Contains(line, "---") {
					n++
				}
			}
			return n
		})
	}
	for _, c := range []struct {
		what  string
		count func(...string) int
		args  []string
		most  int
	}{
		{"page faults", faults, []string{"--policy", "open", "--dry-run", "--", "/bin/true"}, 450},
		{"page faults", faults, []string{"--policy", "pure", "--dry-run", "--", "/bin/true"}, 490},
		{"page faults", faults, []string{"--policy", "project", "--dry-run", "--", "/bin/true"}, 520},
		{"system calls", calls, []string{"--policy", "open", "--", "/bin/true"}, 940},
		{"system calls", calls, []string{"--policy", "pure", "--", "/bin/true"}, 1230},
		{"system calls", calls, []string{"--policy", "project", "--", "/bin/true"}, 1370},
	} {
		if n := c.count(c.args...); n > c.most {
			t.Errorf("%s of sbx %s: %d, more than %d", c.what, strings.Join(c.args, " "), n, c.most)
		} else {
			t.Logf("%s of sbx %s: %d", c.what, strings.Join(c.args, " "), n)
		}
	}
}
