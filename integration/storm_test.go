package integration

import (
	"bufio"
	"os/exec"
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

// TestStorm: a target that forks, stops, continues and orphans as fast as it
// can is given its signals, ended at its time, and gone with its launcher.
func TestStorm(t *testing.T) {
	const limit = 3 * time.Second
	for name, policy := range pidModes(t, "[limits]\ntime = \"3s\"\n") {
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
			// The median: other tests and the machine have their say too.
			slices.Sort(took)
			if took[2] > patient(100*time.Millisecond) {
				t.Errorf("signals arrived after %v", took)
			}
			status, err := exitStatus(cmd.Wait())
			if err != nil || status != 137 || !strings.Contains(stderr.String(), "sbx: note: time limit 3s reached, killed\n") {
				t.Errorf("status %d, %v\n%s", status, err, stderr)
			}
			// A second of it for a thousand processes to be gone.
			if ended := time.Since(begin); ended < limit || ended > limit+limit/10+200*time.Millisecond+patient(time.Second) {
				t.Errorf("it ended after %v, want %v", ended, limit)
			}
			noStrays(t)
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
			if gone := time.Since(killed); gone > patient(time.Second) {
				t.Errorf("gone after %v", gone)
			}
			if _, err := exitStatus(cmd.Wait()); err != nil {
				t.Fatal(err)
			}
			noStrays(t)
		})
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
