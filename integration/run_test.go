package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// call is one command line and what surrounds it.
type call struct {
	args  []string
	dir   string
	env   []string
	stdin string
	attr  *syscall.SysProcAttr
	files []*os.File
	limit time.Duration
}

// result is how a call ended: status is the exit status, or 128+n for a
// death by signal n, as a shell has it.
type result struct {
	stdout, stderr string
	status         int
}

func (r result) String() string {
	return fmt.Sprintf("status %d\n--- stdout\n%s--- stderr\n%s", r.status, r.stdout, r.stderr)
}

// run runs a call to its end, 30 seconds at most.
func run(t testing.TB, c call) result {
	t.Helper()
	if c.limit == 0 {
		c.limit = patient(30 * time.Second)
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Stdin = strings.NewReader(c.stdin)
	cmd.Dir, cmd.Env, cmd.SysProcAttr, cmd.ExtraFiles = c.dir, c.env, c.attr, c.files
	if cmd.Env == nil {
		cmd.Env = userEnv()
	}
	// What keeps a pipe open after its parent's end is found by strays, not
	// waited for.
	cmd.WaitDelay = 2 * time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%q did not end within %v\n%s%s", c.args, c.limit, &stdout, &stderr)
	}
	status, err := exitStatus(err)
	if err != nil {
		t.Fatalf("run %.200q: %v\n%s%s", c.args, err, &stdout, &stderr)
	}
	return result{stdout.String(), stderr.String(), status}
}

// exitStatus turns the error of exec.Cmd's Wait into a shell's status.
func exitStatus(err error) (int, error) {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0, err
	}
	ws, ok := exit.Sys().(syscall.WaitStatus)
	if !ok {
		return 0, err
	}
	if ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return ws.ExitStatus(), nil
}

// sbx runs the launcher in a fresh project directory.
func sbx(t testing.TB, args ...string) result {
	t.Helper()
	return run(t, call{args: append([]string{binary("sbx")}, args...), dir: t.TempDir()})
}

// sbxProbe runs a question of the probe's under sbx, with flags before it.
func sbxProbe(t testing.TB, flags []string, question ...string) result {
	t.Helper()
	args := append([]string{"--read", binary("probe")}, flags...)
	args = append(args, "--", binary("probe"))
	return sbx(t, append(args, question...)...)
}

// userEnv is what a person's shell has, small and the same for all tests. The
// names with SECRET in them must not be seen inside.
func userEnv() []string {
	return []string{
		"PATH=" + filepath.Join(base, "bin") + ":/usr/local/go/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
		"HOME=" + home(),
		"USER=sbxtest",
		"LOGNAME=sbxtest",
		"SHELL=/bin/sh",
		"LANG=C.UTF-8",
		"TERM=xterm",
		"TMPDIR=/tmp",
		"AWS_SECRET_ACCESS_KEY=" + canaryString,
		"GITHUB_TOKEN=" + canaryString,
		"SSH_AUTH_SOCK=/run/" + canaryString,
	}
}

// canaryString is a secret of the caller's environment. The probe is given it
// with a % in it, so that looking for it does not plant it.
const (
	canaryString = "canary-5f0c1e7a"
	canaryArg    = "canary-%5f0c1e7a"
)

// want fails unless the call ended with the status and, for each pattern,
// stdout has a line that is equal to it.
func (r result) want(t testing.TB, status int, lines ...string) {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d\n%v", r.status, status, r)
	}
	for _, line := range lines {
		if !strings.Contains("\n"+r.stdout, "\n"+line+"\n") {
			t.Errorf("no line %q\n%v", line, r)
		}
	}
}

// answers are the probe's "what: result" lines.
func (r result) answers() map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(r.stdout) {
		if what, said, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); ok {
			m[what] = said
		}
	}
	return m
}

// process is a line of /proc.
type process struct {
	pid, ppid int
	state     string
	name      string
}

func processes(t testing.TB) []process {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var list []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		data, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // gone meanwhile
		}
		head, rest, ok := cutLast(string(data), ") ")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 2 {
			continue
		}
		_, name, _ := strings.Cut(head, "(")
		ppid, err := strconv.Atoi(fields[1])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, process{pid, ppid, fields[0], name})
	}
	return list
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// descendants are all processes below pid, children first.
func descendants(t testing.TB, pid int) []process {
	t.Helper()
	all := processes(t)
	var found []process
	for todo := []int{pid}; len(todo) > 0; todo = todo[1:] {
		for _, p := range all {
			if p.ppid == todo[0] {
				found = append(found, p)
				todo = append(todo, p.pid)
			}
		}
	}
	return found
}

// noStrays fails if anything this test process started is still there. As a
// subreaper it is the parent of whatever was orphaned.
func noStrays(t testing.TB) {
	t.Helper()
	var left []process
	for range 100 * patience {
		left = nil
		for _, p := range descendants(t, os.Getpid()) {
			if p.state == "Z" && p.ppid == os.Getpid() {
				if _, err := syscall.Wait4(p.pid, nil, syscall.WNOHANG, nil); err != nil {
					t.Logf("reap %d: %v", p.pid, err)
				}
				continue
			}
			left = append(left, p)
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, p := range left {
		t.Errorf("left behind: pid %d %s (%s), parent %d", p.pid, p.name, p.state, p.ppid)
		if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil {
			t.Logf("end it: %v", err)
		}
	}
}

// eventually waits for something to become true, for ten seconds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 1000 * patience {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited ten seconds for: %s", what)
}
