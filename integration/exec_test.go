package integration

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inPlaceModes are the ways in which a program is executed in place here: by root in
// namespaces of its own, and by anybody without namespaces.
func inPlaceModes(t *testing.T) []string {
	t.Helper()
	switch {
	case landlockABI(t) < 6:
		return nil
	case asRoot():
		return []string{"namespaces", "bare"}
	}
	return []string{"bare"}
}

// inPlacePolicy writes a policy of that mode. supervise says that sbx stays all the same.
func inPlacePolicy(t *testing.T, mode string, supervise bool, more string) (file string) {
	t.Helper()
	text := "version = 1\nsummary = \"A test's\"\nextends = [\"default\"]\n[namespaces]\n"
	if mode == "bare" {
		text += "all = \"host\"\n[files]\ntmpfs = [\"!~\", \"!/tmp\"]\n"
	} else {
		text += "pid = \"host\"\n"
	}
	text += more + fmt.Sprintf("[process]\nsupervise = %v\n[expect]\n", supervise)
	file = filepath.Join(t.TempDir(), "inplace.toml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// inPlaceArgs is the command line of a program that is executed in place.
func inPlaceArgs(t *testing.T, mode string, program ...string) []string {
	t.Helper()
	args := []string{binary("sbx"), "--policy", inPlacePolicy(t, mode, false, ""), "--read", binary("probe"), "--"}
	return append(args, program...)
}

// inPlace starts a program in place whose input and output are pipes, and returns after its
// first line of output.
func inPlace(t *testing.T, args []string) (cmd *exec.Cmd, in io.WriteCloser, out *bufio.Reader, first string) {
	t.Helper()
	cmd = exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = t.TempDir(), userEnv()
	stderr := &strings.Builder{}
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	out = bufio.NewReader(stdout)
	if first, err = out.ReadString('\n'); err != nil {
		_ = cmd.Wait()
		t.Fatalf("%q: %v\n%s", args, err, stderr)
	}
	return cmd, in, out, strings.TrimSuffix(first, "\n")
}

// statOf are the fields of /proc/PID/stat from the third one on; see proc(5).
func statOf(t *testing.T, pid int) []string {
	t.Helper()
	text := content(t, fmt.Sprintf("/proc/%d/stat", pid))
	return strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
}

// TestExecInPlace: the program is the process that sbx was, with its pid, parent, group,
// session and cgroup, alone, and the signals that the pid is sent reach it.
func TestExecInPlace(t *testing.T) {
	for _, mode := range inPlaceModes(t) {
		cmd, in, out, first := inPlace(t, inPlaceArgs(t, mode, "/bin/sh", "-c",
			"echo $$ $PPID; read x; trap 'echo got USR1' USR1; echo trapped; while read x; do echo read $x; done; exit 7"))
		pid := cmd.Process.Pid
		if want := fmt.Sprintf("%d %d", pid, os.Getpid()); first != want {
			t.Errorf("%s: the program has pid and parent %q, want %q", mode, first, want)
		}
		stat := statOf(t, pid)
		for i, want := range map[int]int{1: os.Getpid(), 2: syscall.Getpgrp(), 3: sessionOf(t), 17: 1} {
			if stat[i] != strconv.Itoa(want) {
				t.Errorf("%s: field %d of its stat is %s, want %d: %v", mode, i+3, stat[i], want, stat)
			}
		}
		if name := strings.TrimSpace(content(t, fmt.Sprintf("/proc/%d/comm", pid))); name != "sh" {
			t.Errorf("%s: the process is %s", mode, name)
		}
		if got, want := content(t, fmt.Sprintf("/proc/%d/cgroup", pid)), content(t, "/proc/self/cgroup"); got != want {
			t.Errorf("%s: its cgroup is %q, want %q", mode, got, want)
		}
		if list := descendants(t, pid); len(list) > 0 {
			t.Errorf("%s: there are processes below it: %v", mode, list)
		}
		if _, err := io.WriteString(in, "go\n"); err != nil {
			t.Fatal(err)
		}
		line := func(want string) {
			if got, err := out.ReadString('\n'); err != nil || got != want+"\n" {
				t.Errorf("%s: it says %q, want %q, %v", mode, got, want, err)
			}
		}
		line("trapped")
		if err := cmd.Process.Signal(syscall.SIGUSR1); err != nil {
			t.Error(err)
		}
		line("got USR1")
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err == nil || err.Error() != "exit status 7" {
			t.Errorf("%s: its status: %v", mode, err)
		}
	}
}

// TestExecInPlaceEnds: each status and each signal is the program's, with nobody between.
func TestExecInPlaceEnds(t *testing.T) {
	for _, mode := range inPlaceModes(t) {
		for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGUSR2} {
			cmd, _, _, _ := inPlace(t, inPlaceArgs(t, mode, "/bin/sh", "-c", "echo up; exec sleep 1000"))
			if err := cmd.Process.Signal(s); err != nil {
				t.Error(err)
			}
			_ = cmd.Wait() // it was killed
			if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != s {
				t.Errorf("%s: %v: ended %v", mode, s, cmd.ProcessState)
			}
		}
		for _, c := range []struct {
			program []string
			status  int
		}{
			{[]string{"/bin/sh", "-c", "exit 0"}, 0}, {[]string{"/bin/sh", "-c", "exit 255"}, 255},
			{[]string{binary("probe"), "die", "11"}, 139}, {[]string{"no-such-program"}, 127}, {[]string{"/usr"}, 126},
		} {
			r := run(t, call{args: inPlaceArgs(t, mode, c.program...), dir: t.TempDir()})
			if r.status != c.status || c.status > 125 && c.status < 128 && !strings.Contains(r.stderr, "sbx: error: run ") {
				t.Errorf("%s: %q: want status %d: %v", mode, c.program, c.status, r)
			}
		}
	}
}

func sessionOf(t *testing.T) int {
	t.Helper()
	sid, err := unix.Getsid(0)
	if err != nil {
		t.Fatal(err)
	}
	return sid
}

// TestExecInPlaceRestricts: every protection holds that holds beside a launcher.
func TestExecInPlaceRestricts(t *testing.T) {
	layMailboxes(t)
	for _, mode := range inPlaceModes(t) {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			ask := func(question ...string) result {
				r := run(t, call{args: inPlaceArgs(t, mode, append([]string{binary("probe")}, question...)...), dir: t.TempDir()})
				if r.status != 0 {
					t.Fatalf("%q: %v", question, r)
				}
				return r
			}
			strict(t, ask)
			closedSurface(t, ask("ipc"))
			for what, said := range ask("trace").answers() {
				if said == "ok" {
					t.Errorf("%s is allowed", what)
				}
			}
			for what, said := range ask("secrets", "/etc/shadow", "/proc/kcore", "/proc/kmsg", "/proc/1/environ",
				"/proc/1/cmdline", "/dev/mem", "/dev/vda", "/dev/shm/"+ipcName).answers() {
				if what == "/proc/1/cmdline" && mode == "namespaces" {
					continue // the pid namespace is the host's
				}
				if said == "ok" || strings.HasSuffix(said, " bytes") && said != "0 bytes" {
					t.Errorf("%s: %s", what, said)
				}
			}
			if r := ask("canary", canaryArg); !strings.Contains(r.stdout, "canary: 0 places") {
				t.Errorf("found: %v", r)
			}
			// All that makes the strength of a sandbox is as it is beside a launcher.
			dir := t.TempDir()
			var facts [2]string
			for i, supervise := range []bool{true, false} {
				r := run(t, call{args: []string{binary("sbx"), "--policy", inPlacePolicy(t, mode, supervise, ""), "--read",
					binary("probe"), "--", binary("probe"), "facts"}, dir: dir})
				facts[i] = scrub(r.stdout)
				if r.status != 0 || !strings.HasPrefix(facts[i], "confined") {
					t.Fatalf("facts: %v", r)
				}
			}
			if facts[0] != facts[1] {
				t.Errorf("the facts differ: %s", difference(facts[0], facts[1]))
			}
		})
	}
}

// TestExecInPlaceNamespaces: root's new namespaces are new, all others are the caller's, and
// the hostname is changed in the new one alone.
func TestExecInPlaceNamespaces(t *testing.T) {
	if !slices.Contains(inPlaceModes(t), "namespaces") {
		return
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	policy := inPlacePolicy(t, "namespaces", false, "hostname = \"box.example\"\n")
	script := "for n in user mnt pid net ipc uts cgroup; do readlink /proc/self/ns/$n; done; " +
		"hostname; ls /sys/class /home; :"
	r := run(t, call{args: []string{binary("sbx"), "--policy", policy, "--", "/bin/sh", "-c", script}, dir: t.TempDir()})
	r.want(t, 0, "box.example")
	for _, kind := range []string{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"} {
		link, err := os.Readlink("/proc/thread-self/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		if same := strings.Contains(r.stdout, link+"\n"); same != (kind == "user" || kind == "pid") {
			t.Errorf("the %s namespace is the caller's: %v: %v", kind, same, r)
		}
	}
	if now, err := os.Hostname(); err != nil || now != host {
		t.Errorf("the host is called %q now, %v", now, err)
	}
	// Existing ones.
	other := exec.Command("sleep", "1000")
	namespaces := uintptr(syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC)
	other.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = other.Process.Kill()
		_ = other.Wait() // killed
	}()
	joins := ""
	for _, kind := range []string{"net", "uts", "ipc"} {
		joins += fmt.Sprintf("%s = \"/proc/%d/ns/%s\"\n", kind, other.Process.Pid, kind)
	}
	policy = inPlacePolicy(t, "namespaces", false, joins)
	r = run(t, call{args: []string{binary("sbx"), "--policy", policy, "--", "/bin/sh", "-c", script}, dir: t.TempDir()})
	for _, kind := range []string{"mnt", "net", "uts", "ipc", "cgroup"} {
		link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", other.Process.Pid, kind))
		if err != nil {
			t.Fatal(err)
		}
		if same := strings.Contains(r.stdout, link+"\n"); same != (kind != "mnt" && kind != "cgroup") {
			t.Errorf("the %s namespace is that one: %v: %v", kind, same, r)
		}
	}
}

// TestExecInPlaceRefuses: each flag that takes a process beside the program is refused by
// name, and nothing runs; what is only optional is left out, and said.
func TestExecInPlaceRefuses(t *testing.T) {
	for _, mode := range inPlaceModes(t) {
		dir := t.TempDir()
		ran := filepath.Join(dir, "ran")
		for _, c := range []struct{ flags, say string }{
			{"--report=json:" + filepath.Join(dir, "receipt"), "--report"}, {"--ready-fd=1", "--ready-fd"},
			{"--explain", "--explain"}, {"--explain-files", "--explain-files"},
			{"--events=" + filepath.Join(dir, "events"), "--events"}, {"--review=later", "--review"},
			{"--limit=time=5s", "limits.time"}, {"--limit=memory=1G --limit=processes=9", "limits.processes"},
			{"--host=example.org:443", "hosts"}, {"--publish=8080", "host"},
		} {
			args := append([]string{binary("sbx"), "--exec", "--policy", inPlacePolicy(t, mode, true, ""), "--write", dir},
				strings.Fields(c.flags)...)
			r := run(t, call{args: append(args, "--", "/bin/touch", ran), dir: dir})
			if r.status != 125 || !strings.Contains(r.stderr, c.say) || !strings.Contains(r.stderr, "sbx: hint: ") {
				t.Errorf("%s: %s: %v", mode, c.flags, r)
			}
			if _, err := os.Stat(ran); err == nil {
				t.Fatalf("%s: %s: the program ran", mode, c.flags)
			}
		}
		refuseWatched(t, mode)
		r := run(t, call{args: append([]string{binary("sbx"), "--limit", "time=?5s"}, inPlaceArgs(t, mode, "/bin/echo",
			"ran")[1:]...), dir: dir})
		r.want(t, 0, "ran")
		if !strings.Contains(r.stderr, "limits.time is not enforced") {
			t.Errorf("%s: %v", mode, r)
		}
	}
	r := run(t, call{args: []string{binary("sbx"), "--exec", "--", "/bin/true"}, dir: t.TempDir()})
	if r.status != 125 || !strings.Contains(r.stderr, `pid = "host"`) || !strings.Contains(r.stderr, "--no-namespaces") {
		t.Errorf("with a pid namespace: %v", r)
	}
}

// refuseWatched: what is to be looked for at the end, and what a launcher would watch, is
// refused, and beside a launcher it is not.
func refuseWatched(t *testing.T, mode string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"secret", "kept"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		files, say string
		bare       bool
	}{
		{"write = [%q]\nguard = [\".envrc\"]\n", "execute in place and guard names in ", true},
		{"read = [%[1]q]\nhide = [\"%[1]s/secret\"]\n", "/secret hidden: if another file comes to its place", false},
		{"write = [%[1]q]\nread = [\"%[1]s/kept\"]\n", "/kept read-only: if another file comes to its place", false},
	} {
		if mode == "bare" && !c.bare {
			continue // nothing is mounted
		}
		for _, supervise := range []bool{true, false} {
			files := "[files]\n"
			if mode == "bare" {
				files = "" // they are begun
			}
			policy := inPlacePolicy(t, mode, supervise, files+fmt.Sprintf(c.files, dir))
			r := run(t, call{args: []string{binary("sbx"), "--policy", policy, "--", "/bin/echo", "ran"}, dir: t.TempDir()})
			if supervise {
				r.want(t, 0, "ran")
			} else if r.status != 125 || r.stdout != "" || !strings.Contains(r.stderr, c.say) ||
				!strings.Contains(r.stderr, "sbx: hint: ") {
				t.Errorf("%s: %s: %v", mode, c.files, r)
			}
		}
	}
}
