package integration

import (
	"bufio"
	"fmt"
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
// waits until it is at its worst.
func stormy(t *testing.T, policy string) (cmd *exec.Cmd, lines *bufio.Reader, stderr *lockedBuffer) {
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
	if line, err := lines.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("%q, %v\n%s", line, err, stderr)
	}
	return cmd, lines, stderr
}

// stormLimit is the limit on time of the storms.
const stormLimit = 2 * time.Second

// TestStorm: a target that forks, stops, continues and orphans as fast as it
// can is given its signals, ended at its time, and gone with its launcher.
func TestStorm(t *testing.T) {
	for name, policy := range pidModes(t, "[limits]\ntime = \"2s\"\n") {
		storms(t, name, policy)
		noStrays(t)
	}
}

// TestStormJoined: in a pid namespace that is joined, too.
func TestStormJoined(t *testing.T) {
	_, policy := joinPID(t)
	policy += "[limits]\ntime = \"2s\"\n"
	if !refusedBefore(t, 6, boxedArgs(t, t.TempDir(), policy)) {
		storms(t, "joined", policy)
	}
}

func storms(t *testing.T, name, policy string) {
	t.Run(name, func(t *testing.T) {
		begin := time.Now()
		cmd, lines, stderr := stormy(t, policy)
		var took []time.Duration
		for range 5 {
			time.Sleep(200 * time.Millisecond)
			sent := time.Now()
			if err := cmd.Process.Signal(unix.SIGUSR1); err != nil {
				t.Fatal(err)
			}
			if line, err := lines.ReadString('\n'); err != nil || line != "got SIGUSR1\n" {
				t.Fatalf("%q, %v\n%s", line, err, stderr)
			}
			took = append(took, time.Since(sent))
		}
		stormSignals(t, took)
		status, err := exitStatus(cmd.Wait())
		if err != nil || status != 137 || !strings.Contains(stderr.String(), "sbx: note: time limit 2s reached, killed\n") {
			t.Errorf("status %d, %v\n%s", status, err, stderr)
		}
		stormEnded(t, time.Since(begin))
	})
	t.Run(name+", launcher killed", func(t *testing.T) {
		cmd, _, _ := stormy(t, policy)
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
func stormEnded(t *testing.T, took time.Duration) {
	t.Helper()
	t.Logf("a limit of %v ended it after %v", stormLimit, took)
	if took < stormLimit || took > stormLimit+stormLimit/10+200*time.Millisecond+patient(time.Second) {
		t.Errorf("it ended after %v, want %v", took, stormLimit)
	}
}

// TestStormAtTerminal: the limit holds at a terminal, too, in the ways that have a
// session of their own. The kernel gives each session its share of the processors
// (sched(7), autogroup), so that when the target comes to a signal says nothing of sbx.
func TestStormAtTerminal(t *testing.T) {
	for _, mode := range []string{"new-session", "pty"} {
		file := filepath.Join(t.TempDir(), "p.toml")
		text := fmt.Sprintf("version = 1\nsummary = \"A test's\"\nextends = [\"shell\"]\n[process]\nterminal = %q\n"+
			"[limits]\ntime = \"2s\"\n[expect]\n", mode)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		term := atTerminal(t, binary("sbx"), "--policy", file, "--read", binary("probe"), "--",
			binary("probe"), "storm", "1000")
		term.shows("ready", 1)
		term.ends(137)
		stormEnded(t, time.Since(begin))
		noStrays(t)
	}
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
