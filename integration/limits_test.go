package integration

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLimitKills kills launchers that have, or are about to have, a cgroup, at
// any instant: the janitor removes it. Where no cgroup is to be had there is
// nothing that could be left; the guests of the kernel matrix have them.
func TestLimitKills(t *testing.T) {
	const kills = 40
	if guestFacts == "" {
		return
	}
	dir := t.TempDir()
	const text = `version = 1
summary = "a cgroup"
extends = ["default"]
[limits]
memory = "64M"
processes = 10
[expect]
`
	if err := os.WriteFile(filepath.Join(dir, "p.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	before := hostState(t)
	// How long a launch takes here is how long there is to choose from.
	begin := time.Now()
	run(t, call{args: []string{binary("sbx"), "--policy", "./p.toml", "--", "true"}, dir: dir}).want(t, 0)
	whole := time.Since(begin)
	for range kills {
		cmd := exec.Command(binary("sbx"), "--policy", "./p.toml", "--", "sleep", "0.05")
		cmd.Dir, cmd.Env = dir, userEnv()
		cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rand.N(whole * 3 / 2))
		// The whole group, as a shell or a service manager would.
		if err := unix.Kill(-cmd.Process.Pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if _, err := exitStatus(cmd.Wait()); err != nil {
			t.Fatal(err)
		}
	}
	noStrays(t)
	before.compare(t, hostState(t))
}
