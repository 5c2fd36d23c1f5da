package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestClosedStdio: all eight ways of having some of descriptors 0 to 2
// closed. The target runs, none of the closed numbers is something of sbx's,
// and no number above 2 is open.
func TestClosedStdio(t *testing.T) {
	for mask := range 8 {
		var redirections, open []string
		for fd := range 3 {
			if mask&(1<<fd) != 0 {
				redirections = append(redirections, fmt.Sprintf("%d>&-", fd))
			} else {
				open = append(open, fmt.Sprint(fd))
			}
		}
		t.Run("open "+strings.Join(open, ","), func(t *testing.T) {
			dir := t.TempDir()
			report := filepath.Join(dir, "report")
			// The shell is the test's: it closes descriptors before sbx is
			// there. The target writes to a file, as stdout may be shut.
			inside := "ls -l /proc/self/fd >report 2>&1; echo done >>report"
			script := fmt.Sprintf(`exec "$0" --policy project -- sh -c '%s' %s`, inside, strings.Join(redirections, " "))
			r := run(t, call{args: []string{"/bin/sh", "-c", script, binary("sbx")}, dir: dir})
			if r.status != 0 {
				t.Fatalf("want 0: %v", r)
			}
			data, err := os.ReadFile(report)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(string(data), "done\n") {
				t.Errorf("the target did not get to its end: %s", data)
			}
			for line := range strings.Lines(string(data)) {
				_, link, ok := strings.Cut(line, " -> ")
				if !ok {
					continue
				}
				if strings.Contains(link, "memfd") || strings.Contains(link, "anon_inode") ||
					strings.Contains(link, "socket:") || strings.HasSuffix(link, "/sbx\n") {
					t.Errorf("a descriptor of the launcher's: %s", line)
				}
			}
		})
	}
}

// TestOnlyNamedDescriptorsCross: a directory, a socket and a high number are
// open in the caller without close-on-exec; only --keep-fd lets one in.
func TestOnlyNamedDescriptorsCross(t *testing.T) {
	root, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "kept"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	files := []*os.File{root, root, root, file} // 3, 4, 5, 6
	args := func(flags ...string) []string {
		return append(append([]string{binary("sbx"), "--read", binary("probe")}, flags...), "--", binary("probe"), "fds")
	}
	r := run(t, call{args: args(), dir: t.TempDir(), files: files})
	r.want(t, 0)
	for what := range r.answers() {
		if what != "fd 0" && what != "fd 1" && what != "fd 2" {
			t.Errorf("%s crossed: %v", what, r)
		}
	}
	r = run(t, call{args: args("--keep-fd", "6"), dir: t.TempDir(), files: files})
	r.want(t, 0)
	if _, ok := r.answers()["fd 6"]; !ok {
		t.Errorf("fd 6 did not cross: %v", r)
	}
	for what := range r.answers() {
		if what == "fd 3" || what == "fd 4" || what == "fd 5" {
			t.Errorf("%s crossed: %v", what, r)
		}
	}
	// A number above 1024, which a loop over "all" descriptors may miss.
	script := `exec "$@"`
	high := exec.Command("/bin/bash", append([]string{"-c", "exec 3000</; " + script, "bash"}, args()...)...)
	high.Dir, high.Env = t.TempDir(), userEnv()
	out, err := high.Output()
	if err != nil || strings.Contains(string(out), "fd 3000") {
		t.Errorf("fd 3000: %v\n%s", err, out)
	}
}

// TestDirIsNoWayOut: a descriptor of a host directory as working directory is
// how containers were left by CVE-2024-21626.
func TestDirIsNoWayOut(t *testing.T) {
	root, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	inside := sbx(t, "--dir", "/", "--", "ls", "-A", ".", "..")
	inside.want(t, 0, "usr")
	for fd := 3; fd <= 30; fd++ {
		for _, form := range []string{"/proc/self/fd/%d", "/dev/fd/%d", "/proc/self/fd/%d/.",
			"/proc/self/root/proc/self/fd/%d"} {
			dir := fmt.Sprintf(form, fd)
			r := run(t, call{args: []string{binary("sbx"), "--dir", dir, "--", "ls", "-A", ".", ".."}, dir: t.TempDir(),
				files: []*os.File{root, root, root}})
			// Refused, or the root of the sandbox: never the host's.
			if r.status != 125 && (r.status != 0 || r.stdout != inside.stdout) {
				t.Fatalf("--dir %s: want 125 or the inside: %v", dir, r)
			}
		}
	}
}

// TestInheritedOddities: what a strange parent leaves behind is dealt with:
// no hang, and what the target gets is defined.
func TestInheritedOddities(t *testing.T) {
	limits := []string{"--read", binary("probe"), "--", binary("probe"), "limits"}
	shell := func(t *testing.T, prefix string, args []string) result {
		t.Helper()
		return run(t, call{args: append([]string{"/bin/bash", "-c", prefix + `; exec "$@"`, "bash", binary("sbx")},
			args...), dir: t.TempDir()})
	}
	t.Run("SIGCHLD ignored", func(t *testing.T) {
		// bash cannot ignore SIGCHLD for its children; python can.
		r := run(t, call{args: []string{"/usr/bin/python3", "-c", `
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])`,
			binary("sbx"), "--", "sh", "-c", "(exit 3); echo status $?; exit 9"}, dir: t.TempDir()})
		r.want(t, 9, "status 3")
	})
	t.Run("signals blocked", func(t *testing.T) {
		r := run(t, call{args: append([]string{"/usr/bin/python3", "-c", `
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
os.execv(sys.argv[1], sys.argv[1:])`, binary("sbx")}, limits...), dir: t.TempDir()})
		r.want(t, 0)
	})
	for _, prefix := range []string{"ulimit -c 0", "ulimit -u 40", "ulimit -f 0", "ulimit -n 64", "ulimit -n 20",
		"umask 0", "umask 0777", "trap '' INT TERM HUP QUIT PIPE", "exec nice -n 5 true; :"} {
		t.Run(prefix, func(t *testing.T) {
			r := shell(t, prefix, limits)
			noThreads := strings.Contains(r.stderr, "failed to create new OS thread") ||
				strings.Contains(r.stderr, "pthread_create failed")
			if noThreads && r.stdout == "" && r.status != 0 {
				return // Go itself does not start with so few processes allowed
			}
			if r.status != 0 && (r.status != 125 || !strings.Contains(r.stderr, "sbx: error: ")) {
				t.Errorf("want 0, or 125 with a reason: %v", r)
			}
		})
	}
	t.Run("few descriptors", func(t *testing.T) {
		for n := 3; n <= 40; n += 3 {
			r := shell(t, fmt.Sprintf("ulimit -n %d", n), limits)
			if r.status != 0 && (r.status != 125 || !strings.Contains(r.stderr, "sbx: error: ")) {
				t.Errorf("ulimit -n %d: want 0, or 125 with a reason: %v", n, r)
			}
		}
	})
	t.Run("ignored signals are still forwarded", func(t *testing.T) {
		// A script's background jobs have INT and QUIT ignored. The target
		// inherits that, and may set a handler all the same, as nginx does.
		script := `trap '' INT QUIT HUP TERM USR1 USR2; "$@" & pid=$!
while ! grep -q ready out 2>/dev/null; do sleep 0.01; done
for s in INT QUIT HUP USR1 USR2 TERM; do kill -$s $pid; sleep 0.1; done
wait $pid; echo status $?; cat out`
		dir := t.TempDir()
		r := run(t, call{args: []string{"/bin/bash", "-c", script, "bash", binary("sbx"), "--policy", "project", "--read",
			binary("probe"), "--",
			"/bin/sh", "-c", "exec " + binary("probe") + " sig 33 >out"}, dir: dir})
		r.want(t, 0, "status 33", "got SIGINT", "got SIGQUIT", "got SIGHUP", "got SIGUSR1", "got SIGUSR2", "got SIGTERM")
	})
	t.Run("SIGPIPE", func(t *testing.T) {
		// A reader that leaves: the target dies of it or is told, sbx neither
		// hangs nor calls it success.
		r := run(t, call{args: []string{"/bin/bash", "-c", `set -o pipefail; "$0" -- yes | head -1`, binary("sbx")},
			dir: t.TempDir()})
		if r.status != 128+int(syscall.SIGPIPE) && r.status != 1 {
			t.Errorf("yes | head: status %d, want 141: %v", r.status, r)
		}
	})
}
