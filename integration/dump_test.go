package integration

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sbx/policies"
)

// TestDump reads the filter of a running target, as root, and finds the
// policy's; a user is told what it takes.
func TestDump(t *testing.T) {
	cmd := exec.Command(binary("sbx"), "--", "/bin/sh", "-c", "echo ready; exec cat")
	cmd.Dir, cmd.Env = t.TempDir(), userEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	target := 0
	for _, p := range descendants(t, cmd.Process.Pid) {
		if p.name == "cat" || p.name == "sh" {
			target = p.pid
		}
	}
	r := sbx(t, "seccomp", "dump", strconv.Itoa(target))
	if asRoot() {
		want := sbx(t, "seccomp", "dump", "default")
		// All of them, with what some kernels need against Unix sockets.
		if r.status != 0 || untitled(r.stdout) != untitled(want.stdout) || !strings.Contains(r.stdout, "KILL_PROCESS") {
			t.Errorf("process %d: %v\nwant %v", target, r, want)
		}
	} else if r.status == 0 || !strings.Contains(r.stderr, "CAP_SYS_ADMIN") {
		t.Errorf("process %d: %v", target, r)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestDumpNone: a process without a filter has none, and that is what is said.
func TestDumpNone(t *testing.T) {
	if !asRoot() {
		return // a user is told what reading takes, above
	}
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := sbx(t, "seccomp", "dump", strconv.Itoa(cmd.Process.Pid))
	if r.status == 0 || !strings.Contains(r.stderr, "it has none") {
		t.Error(r)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the process was not killed")
	}
}

// untitled is a dump without what it says of where the filters are from.
func untitled(dump string) string {
	lines := strings.Split(dump, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "# filter ") {
			lines[i], _, _ = strings.Cut(l, ",")
		}
	}
	return strings.Join(lines, "\n")
}

// TestFiltersAreTheRun: what "seccomp dump" and "seccomp emulate" say of a policy is
// what a launch under it loads, with the filters that are there for this machine.
func TestFiltersAreTheRun(t *testing.T) {
	for _, policy := range policies.Names() {
		if policy == "kernel" || policy == "commit" {
			continue // one lets nothing run, the other needs a repository
		}
		var plan struct{ Steps []struct{ Step string } }
		run := sbx(t, "--policy", policy, "--dry-run", "--json", "--", "true")
		if err := json.Unmarshal([]byte(run.stdout), &plan); err != nil {
			t.Fatal(policy, err, run)
		}
		var loads, says []string
		for _, s := range plan.Steps {
			if name, ok := strings.CutPrefix(s.Step, "load seccomp filter "); ok {
				if quoted, ok := strings.CutPrefix(name, `"`); ok {
					name, _, _ = strings.Cut(quoted, `"`)
				} else {
					name, _, _ = strings.Cut(name, ", ")
				}
				loads = append(loads, strings.Trim(name, `"`))
			}
		}
		var answer struct {
			Filters []struct{ Name, Why, Action string }
		}
		r := sbx(t, "seccomp", "emulate", policy, "-s", "getpid", "--json")
		if err := json.Unmarshal([]byte(r.stdout), &answer); err != nil {
			t.Fatal(policy, err, r)
		}
		for i, f := range answer.Filters {
			says = append(says, f.Name)
			if own := i == len(answer.Filters)-1; own != (f.Why == "") {
				t.Errorf("%s: filter %s is there for %q", policy, f.Name, f.Why)
			}
		}
		if !slices.Equal(loads, says) {
			t.Errorf("%s: emulate speaks of %q, a launch loads %q", policy, says, loads)
		}
		if dump := sbx(t, "seccomp", "dump", policy); len(loads) > 1 && strings.Count(dump.stdout,
			"# filter ") != len(loads) {
			t.Errorf("%s: dumped are %d, a launch loads %q", policy, strings.Count(dump.stdout, "# filter "), loads)
		}
	}
}

// TestEmulateIsTheRun asks for the answer to a call that only another filter than
// the policy's own refuses on some kernels, and makes it.
func TestEmulateIsTheRun(t *testing.T) {
	for _, policy := range []string{"default", "shell", "open", "filter"} {
		r := sbx(t, "seccomp", "emulate", policy, "-s", "socket", "--arg", "AF_UNIX", "--arg", "SOCK_STREAM")
		run := sbx(t, "--policy", policy, "--", "python3", "-c", "import socket; socket.socket(socket.AF_UNIX)")
		if allowed := strings.Contains(r.stdout, ": allow\n"); r.status != 0 || allowed != (run.status == 0) {
			t.Errorf("%s: emulate says\n%v\nand the run\n%v", policy, r, run)
		}
	}
}
