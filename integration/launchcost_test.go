package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
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
				if strings.Contains(line, `"/proc/self/cgroup"`) && !strings.Contains(line, "= -1 EMFILE") {
					t.Errorf("the Go runtime reads cgroups at its start, and then the mounts: %s", line)
				}
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

// TestRestingMemory bounds what launcher and init of a sandbox have in memory once they
// have nothing to do but wait, each page that both have counted once.
func TestRestingMemory(t *testing.T) {
	if guestFacts != "" || !asRoot() {
		return // as a user nobody may look at them
	}
	cmd := exec.Command(binary("sbx"), "--policy", "pure", "--", "/bin/cat")
	cmd.Dir, cmd.Env = t.TempDir(), []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent"}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	pss := func(pid string) (kB int) {
		text, err := os.ReadFile("/proc/" + pid + "/smaps_rollup")
		if err != nil {
			return 0 // it has just begun
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); f[0] == "Pss:" {
				kB, _ = strconv.Atoi(f[1])
			}
		}
		return kB
	}
	const most = 3300 // measured: 2870
	launcher := strconv.Itoa(cmd.Process.Pid)
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		children, err := os.ReadFile("/proc/" + launcher + "/task/" + launcher + "/children")
		if err != nil {
			t.Fatal(err)
		}
		init := strings.TrimSpace(string(children))
		a, b := pss(launcher), pss(init)
		if a > 0 && b > 0 && a+b <= most {
			t.Logf("launcher %d kB, init %d kB", a, b)
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("launcher %d kB, init %q %d kB, more than %d together", a, init, b, most)
		}
	}
}
