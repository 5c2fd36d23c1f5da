package integration

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pidModes are the policies by which the sandbox's processes are ended in two
// ways: by the kernel with the pid namespace, or by the init.
func pidModes(t *testing.T, limits string) map[string]string {
	t.Helper()
	modes := map[string]string{"new": limits}
	host := "[namespaces]\npid = \"host\"\n" + limits
	if !refusedBefore(t, 6, boxedArgs(t, t.TempDir(), host)) {
		modes["host"] = host
	}
	return modes
}

// stormy starts a target that does what it can to keep the init busy, and
// waits until it is at its worst. It is not ready if it ended before.
func stormy(t *testing.T, policy string) (cmd *exec.Cmd, lines *bufio.Reader, stderr *lockedBuffer, ready bool) {
	t.Helper()
	dir := t.TempDir()
	args := append(boxedArgs(t, dir, policy), binary("probe"), "storm", "1000")
	cmd, stderr = exec.Command(args[0], args[1:]...), &lockedBuffer{}
	cmd.Dir, cmd.Env, cmd.Stderr = dir, userEnv(), stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines = bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if err != io.EOF && (err != nil || line != "ready\n") {
		t.Fatalf("%q, %v\n%s", line, err, stderr)
	}
	return cmd, lines, stderr, err == nil
}

// stormLimit is the limit on time of the storms. Where a storm was ended before it had its
// signals, since others had the processors, it gets slowLimit.
const (
	stormLimit = 2 * time.Second
	slowLimit  = 20 * time.Second
)

// limited is the policy with a limit on time.
func limited(policy string, limit time.Duration) string {
	return fmt.Sprintf("%s[limits]\ntime = \"%v\"\n", policy, limit)
}

// TestStorm: a target that forks, stops, continues and orphans as fast as it
// can is given its signals, ended at its time, and gone with its launcher.
func TestStorm(t *testing.T) {
	for name, policy := range pidModes(t, "") {
		storms(t, name, policy)
		noStrays(t)
	}
}

// TestStormJoined: in a pid namespace that is joined, too.
func TestStormJoined(t *testing.T) {
	_, policy := joinPID(t)
	if !refusedBefore(t, 6, boxedArgs(t, t.TempDir(), policy)) {
		storms(t, "joined", policy)
	}
}

func storms(t *testing.T, name, policy string) {
	t.Run(name, func(t *testing.T) {
		if !endures(t, policy, stormLimit) && !endures(t, policy, slowLimit) {
			t.Errorf("%v ended it before its signals came", slowLimit)
		}
	})
	t.Run(name+", launcher killed", func(t *testing.T) {
		cmd, _, stderr, ready := stormy(t, limited(policy, slowLimit))
		if !ready {
			t.Errorf("it was not ready after %v\n%s", slowLimit, stderr)
		}
		time.Sleep(500 * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		killed := time.Now()
		eventually(t, "all to be gone", func() bool {
			return !slices.ContainsFunc(processes(t), func(p process) bool { return p.name == "probe" && p.state != "Z" })
		})
		t.Logf("all were gone %v after the launcher was killed", time.Since(killed))
		if gone := time.Since(killed); gone > patient(time.Second) {
			t.Errorf("gone after %v", gone)
		}
		if _, err := exitStatus(cmd.Wait()); err != nil {
			t.Fatal(err)
		}
	})
}

// endures sends a storm signals and waits until the limit ends it. It is false if that came
// before the last signal was taken.
func endures(t *testing.T, policy string, limit time.Duration) bool {
	t.Helper()
	begin := time.Now()
	cmd, lines, stderr, ready := stormy(t, limited(policy, limit))
	var took []time.Duration
	for ready && len(took) < 5 {
		time.Sleep(200 * time.Millisecond)
		sent := time.Now()
		if err := cmd.Process.Signal(unix.SIGUSR1); err != nil && err != os.ErrProcessDone {
			t.Fatal(err)
		}
		line, err := lines.ReadString('\n')
		ready = err != io.EOF
		if ready && (err != nil || line != "got SIGUSR1\n") {
			t.Fatalf("%q, %v\n%s", line, err, stderr)
		}
		if ready {
			took = append(took, time.Since(sent))
		}
	}
	status, err := exitStatus(cmd.Wait())
	if note := fmt.Sprintf("sbx: note: time limit %v reached, killed\n", limit); err != nil || status != 137 ||
		!strings.Contains(stderr.String(), note) {
		t.Errorf("status %d, %v\n%s", status, err, stderr)
	}
	stormEnded(t, limit, time.Since(begin))
	if len(took) == 5 {
		stormSignals(t, took)
	}
	return len(took) == 5
}

// stormSignals looks at the median: other tests and the machine have their say too.
func stormSignals(t *testing.T, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	t.Logf("signals arrived after %v", took)
	if took[2] > patient(100*time.Millisecond) {
		t.Errorf("signals arrived after %v", took)
	}
}

// stormEnded allows a second of it for a thousand processes to be gone.
func stormEnded(t *testing.T, limit, took time.Duration) {
	t.Helper()
	t.Logf("a limit of %v ended it after %v", limit, took)
	if took < limit || took > limit+limit/10+200*time.Millisecond+patient(time.Second) {
		t.Errorf("it ended after %v, want %v", took, limit)
	}
}

// TestStormAtTerminal: the limit holds at a terminal, too, in the ways that have a
// session of their own. The kernel gives each session its share of the processors
// (sched(7), autogroup), so that when the target comes to a signal says nothing of sbx.
func TestStormAtTerminal(t *testing.T) {
	for _, mode := range []string{"new-session", "pty"} {
		if !stormsAt(t, mode, stormLimit) && !stormsAt(t, mode, slowLimit) {
			t.Errorf("%s: it was not ready after %v", mode, slowLimit)
		}
		noStrays(t)
	}
}

// stormsAt says whether the storm was at its worst when its limit came.
func stormsAt(t *testing.T, mode string, limit time.Duration) (ready bool) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "p.toml")
	text := "version = 1\nsummary = \"A test's\"\nextends = [\"shell\"]\n" +
		limited(fmt.Sprintf("[process]\nterminal = %q\n", mode), limit) + "[expect]\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	term := atTerminal(t, binary("sbx"), "--policy", file, "--read", binary("probe"), "--",
		binary("probe"), "storm", "1000")
	term.endsWithin(limit+10*time.Second, 137)
	stormEnded(t, limit, time.Since(begin))
	return strings.Contains(term.out.String(), "ready")
}

// TestInitStopped: the limit on time holds without the init, a second later.
func TestInitStopped(t *testing.T) {
	for name, policy := range pidModes(t, "[limits]\ntime = \"1s\"\n[files]\nwrite = [\".\"]\n") {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			args := append(boxedArgs(t, dir, policy), leaving...)
			stderr := &lockedBuffer{}
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Dir, cmd.Env, cmd.Stderr = dir, userEnv(), stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			eventually(t, "the init to be there", func() bool {
				for _, p := range descendants(t, cmd.Process.Pid) {
					if p.name == "sleep" { // so the init has let the target go
						return true
					}
				}
				return false
			})
			for _, p := range descendants(t, cmd.Process.Pid) {
				if p.name == "sbx-init" {
					if err := unix.Kill(p.pid, unix.SIGSTOP); err != nil {
						t.Fatal(err)
					}
				}
			}
			status, err := exitStatus(cmd.Wait())
			if err != nil || status != 137 || !strings.Contains(stderr.String(), "sbx: note: time limit 1s reached, killed\n") {
				t.Errorf("status %d, %v\n%s", status, err, stderr)
			}
			if took := time.Since(begin); took < 2*time.Second || took > 5*time.Second+patient(time.Second) {
				t.Errorf("it ended after %v", took)
			}
			noStrays(t)
		})
	}
}
