package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNothingSurvives: the launcher is killed at every millisecond of its
// first 50, then any process inside that the host can see. Each time all of
// it is gone, and nothing was left on the host.
func TestNothingSurvives(t *testing.T) {
	before := hostState(t)
	start := func(dir string) *exec.Cmd {
		cmd := exec.Command(binary("sbx"), "--policy", "project", "--read", binary("probe"), "--", binary("probe"),
			"daemon", "alive")
		cmd.Dir, cmd.Env = dir, userEnv()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	for after := range 50 {
		cmd := start(t.TempDir())
		time.Sleep(time.Duration(after) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil && err != os.ErrProcessDone {
			t.Fatal(err)
		}
		if _, err := exitStatus(cmd.Wait()); err != nil {
			t.Fatal(err)
		}
		noStrays(t)
	}
	before.compare(t, hostState(t))
}

// TestInsideKilled: each process of a running sandbox is killed in turn from
// outside; everything else goes, and the launcher says so by its status.
func TestInsideKilled(t *testing.T) {
	for n := range 4 {
		dir := t.TempDir()
		cmd := exec.Command(binary("sbx"), "--policy", "project", "--read", binary("probe"), "--", binary("probe"),
			"tick", "alive")
		cmd.Dir, cmd.Env = dir, userEnv()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the target to run", func() bool { _, err := os.Stat(filepath.Join(dir, "alive")); return err == nil })
		inside := descendants(t, cmd.Process.Pid)
		if n >= len(inside) {
			if n == 0 {
				t.Error("the target is nobody's child")
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if _, err := exitStatus(cmd.Wait()); err != nil {
				t.Fatal(err)
			}
			noStrays(t)
			break
		}
		victim := inside[n]
		if err := syscall.Kill(victim.pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		status, err := exitStatus(cmd.Wait())
		if err != nil {
			t.Fatal(err)
		}
		if status == 0 {
			t.Errorf("%s (%d) was killed, and the status is 0", victim.name, victim.pid)
		}
		noStrays(t)
	}
}

// TestLauncherIsOutOfReach: from inside, pid 1 and everything else seen can
// be neither traced, read, signalled nor overwritten. Run by root it is no
// different.
func TestLauncherIsOutOfReach(t *testing.T) {
	policies := []string{"default", "project", "build", "fetch", "shell", "web"}
	for _, policy := range policies {
		r := sbxProbe(t, []string{"--policy", policy}, "trace")
		r.want(t, 0)
		asked := 0
		for what, said := range r.answers() {
			if !strings.HasPrefix(what, "pid 1 ") {
				continue
			}
			asked++
			if said == "ok" {
				t.Errorf("%s: %s is allowed", policy, what)
			}
		}
		if asked < 10 {
			t.Errorf("%s: only %d answers about pid 1: %v", policy, asked, r)
		}
	}
}

// TestOwnBinaryIsSafe: sbx's file is the same afterwards, whatever the target
// tries through /proc/*/exe.
func TestOwnBinaryIsSafe(t *testing.T) {
	before, err := os.ReadFile(binary("sbx"))
	if err != nil {
		t.Fatal(err)
	}
	script := `for p in /proc/[0-9]*/exe /proc/self/exe; do
  case $(readlink $p) in */sbx) echo "sees $p";; esac
  (echo evil >$p) 2>/dev/null && echo "wrote $p"
  (exec 3<>$p) 2>/dev/null && echo "opened $p"
done; echo end`
	r := sbx(t, "--", "sh", "-c", script)
	r.want(t, 0, "end")
	for line := range strings.Lines(r.stdout) {
		if strings.HasPrefix(line, "wrote") || strings.HasPrefix(line, "opened") {
			t.Errorf("%s", line)
		}
	}
	after, err := os.ReadFile(binary("sbx"))
	if err != nil || string(after) != string(before) {
		t.Errorf("bin/sbx changed (%v)", err)
	}
}
