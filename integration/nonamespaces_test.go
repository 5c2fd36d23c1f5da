package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bare are the flags of a launch without namespaces, or the test is over: on an older
// kernel it is refused, and says so.
func bare(t *testing.T, flags ...string) []string {
	t.Helper()
	args := append([]string{binary("sbx"), "--no-namespaces"}, flags...)
	if landlockABI(t) < 6 {
		r := run(t, call{args: append(args, "--", "/bin/true"), dir: t.TempDir()})
		if r.status != 125 || !strings.Contains(r.stderr, "Landlock ABI 6") {
			t.Errorf("with an older Landlock: %v", r)
		}
		return nil
	}
	return args
}

// privates are the private directories that are there.
func privates(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("/tmp/sbx-????????????????????????????????")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list, func(name string) bool {
		fi, err := os.Stat(name)
		return err != nil || int(fi.Sys().(*syscall.Stat_t).Uid) != os.Getuid()
	})
}

// TestNoNamespaces: under each shipped policy, what every sandbox refuses is refused
// without namespaces too.
func TestNoNamespaces(t *testing.T) {
	layMailboxes(t)
	if bare(t) == nil {
		return
	}
	own := map[string]string{}
	for _, kind := range []string{"user", "mnt", "pid", "net"} {
		link, err := os.Readlink("/proc/thread-self/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		own[kind] = link
	}
	for _, policy := range launchable {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			ask := func(question ...string) result {
				args := bare(t, "--policy", policy)
				if policy != "open" {
					args = append(args, "--read", binary("probe"))
				}
				r := run(t, call{args: append(append(args, "--", binary("probe")), question...), dir: t.TempDir()})
				if r.status != 0 || !strings.Contains(r.stderr, "sbx: note: no namespaces are used") {
					t.Fatalf("%q: %v", question, r)
				}
				return r
			}
			strict(t, ask)
			ipc := ask("ipc")
			closedSurface(t, ipc)
			for _, what := range []string{"shmget existing", "msgget existing", "semget existing", "mq_open existing"} {
				if said := ipc.answers()[what]; policy != "open" && said != "ENOSYS" && said != "EPERM" {
					t.Errorf("%s: %s", what, said)
				}
			}
			// By the first process itself, whose status is all that is shown.
			status := run(t, call{args: append(bare(t, "--policy", policy), "--", "/bin/sh", "-c",
				"while read -r a b; do echo \"$a $b\"; done </proc/self/status"), dir: t.TempDir()}).answers()
			zero := "0000000000000000"
			want := map[string]string{"CapInh": zero, "CapPrm": zero, "CapEff": zero, "CapAmb": zero, "NoNewPrivs": "1",
				"Seccomp": "2"}
			switch {
			case asRoot() && policy == "web":
				delete(want, "CapPrm")
				delete(want, "CapEff")
			case asRoot():
				want["CapBnd"] = zero
			}
			for what, value := range want {
				if status[what] != value {
					t.Errorf("%s: %q, want %q", what, status[what], value)
				}
			}
			for what, said := range ask("trace").answers() {
				if said == "ok" {
					t.Errorf("%s is allowed", what)
				}
			}
			for what, said := range ask("secrets", "/etc/shadow", "/proc/kcore", "/proc/kmsg", "/proc/1/environ",
				"/proc/1/cmdline", "/dev/mem", "/dev/vda", "/dev/shm/"+ipcName).answers() {
				if policy == "open" && what == "/etc/shadow" {
					continue // what the mode lets root read, open shows
				}
				if said == "ok" || strings.HasSuffix(said, " bytes") && said != "0 bytes" {
					t.Errorf("%s: %s", what, said)
				}
			}
		})
	}
}

// TestNoNamespacesInForce: no namespace is made, nothing of the host's is reached, and
// the plan and the receipt list what is weaker.
func TestNoNamespacesInForce(t *testing.T) {
	args := bare(t)
	if args == nil {
		return
	}
	dir := t.TempDir()
	bystander := exec.Command("sleep", "1000")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := bystander.Process.Kill(); err != nil {
			t.Errorf("the bystander has ended: %v", err)
		}
		_ = bystander.Wait() // killed
	}()
	pid := bystander.Process.Pid
	r := run(t, call{args: append(slices.Clone(args), "--read", binary("probe"), "--", "/bin/sh", "-c", fmt.Sprintf(
		`for n in user mnt pid net ipc uts cgroup; do readlink /proc/self/ns/$n; done
kill -9 %[1]d $PPID && echo killed; kill -STOP $PPID && echo stopped
cat /proc/%[1]d/environ /proc/%[1]d/cmdline /proc/$PPID/environ /proc/$PPID/mem && echo read
ls /proc/$PPID/fd /proc/%[1]d/fd && echo listed; echo x >/proc/self/oom_score_adj; exec %s others %[1]d`,
		pid, binary("probe"))), dir: dir})
	if r.status != 0 {
		t.Fatal(r)
	}
	for _, kind := range []string{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"} {
		link, err := os.Readlink("/proc/thread-self/ns/" + kind)
		if err != nil || !strings.Contains(r.stdout, link+"\n") {
			t.Errorf("the %s namespace is another one: %v, %v", kind, err, r)
		}
	}
	for _, word := range []string{"killed", "stopped", "read", "listed", canaryString, "PATH="} {
		if strings.Contains("\n"+r.stdout, "\n"+word) {
			t.Errorf("%s: %v", word, r)
		}
	}
	for what, said := range r.answers() {
		if said == "ok" && !strings.HasPrefix(what, "own ") && !strings.HasPrefix(what, "setpriority self") {
			t.Errorf("%s: %s", what, said)
		}
	}
	if r := run(t, call{args: append(slices.Clone(args), "--dry-run", "--", "true"), dir: dir}); r.status != 0 ||
		strings.Count(r.stdout, "\nweaker: ") < 8 || strings.Contains(r.stdout, "make new namespaces") {
		t.Errorf("the plan: %v", r)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "receipt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r = run(t, call{args: append(slices.Clone(args), "--report", "3", "--", "true"), dir: dir, files: []*os.File{file}})
	var receipt struct {
		Ran  bool
		Plan struct{ Namespaces, Weaker []string }
	}
	if err := json.Unmarshal([]byte(content(t, file.Name())), &receipt); err != nil || !receipt.Ran ||
		len(receipt.Plan.Namespaces) > 0 || len(receipt.Plan.Weaker) < 8 {
		t.Errorf("the receipt: %v, %v, %+v", r, err, receipt)
	}
	if n := strings.Count(r.stderr, "sbx: note: "); n > 2 {
		t.Errorf("a run has %d notes: %v", n, r)
	}
}

// TestNoNamespacesNetwork: without a network nothing is reached by any socket, handed over
// or not; with it Unix sockets of the host stay closed.
func TestNoNamespacesNetwork(t *testing.T) {
	args := bare(t, "--read", binary("probe"))
	if args == nil {
		return
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	dir := t.TempDir()
	path := filepath.Join(dir, "socket")
	abstract := fmt.Sprintf("sbx-bare-%d", os.Getpid())
	for _, name := range []string{path, "@" + abstract} {
		l, err := net.Listen("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	for _, flags := range [][]string{nil, {"--net", "none", "-p", "fetch"}, {"--net", "host"}} {
		line := append(append(slices.Clone(args), flags...), "--", binary("probe"), "sock", tcp.Addr().String(), path,
			abstract)
		r := run(t, call{args: line, dir: dir})
		if r.status != 0 {
			t.Fatalf("%v: %v", flags, r)
		}
		host := slices.Contains(flags, "host")
		for what, said := range r.answers() {
			reaches := what == "unix pair" || host && !strings.HasPrefix(what, "unix ")
			if said == "ok" && !reaches {
				t.Errorf("%v: %s is reached", flags, what)
			}
		}
		if said := r.answers()["tcp connect"]; host != (said == "ok") {
			t.Errorf("%v: tcp is %q: %v", flags, said, r)
		}
		if said := r.answers()["unix pair"]; said != "ok" {
			t.Errorf("%v: no pair: %v", flags, r)
		}
	}
	// One that is handed over cannot be connected anew.
	conn, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	script := fmt.Sprintf(`import socket
s = socket.socket(fileno=3)
s.sendall(b"x")
s.shutdown(2)
for f in (lambda: s.connect(("127.0.0.1", %d)), lambda: s.bind(("127.0.0.1", 0)),
          lambda: s.sendto(b"x", 0x20000000, ("127.0.0.1", %[1]d))):
    try:
        f(); print("reached")
    except OSError as e: print("refused", e.errno)
`, tcp.Addr().(*net.TCPAddr).Port)
	r := run(t, call{args: append(slices.Clone(args), "--keep-fd", "3", "--", "python3", "-c", script), dir: dir,
		files: []*os.File{file}})
	if r.status != 0 || strings.Contains(r.stdout, "reached") || strings.Count(r.stdout, "refused") != 3 {
		t.Errorf("a socket that is handed over: %v", r)
	}
}

// daemons leaves processes of all kinds: double forks, sessions, some that ignore signals,
// some that take over from what has ended.
const daemons = `
import os, signal, sys, time
for ignore in (False, True):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if ignore:
                for s in range(1, 32):
                    if s not in (9, 19): signal.signal(s, signal.SIG_IGN)
            if os.fork() != 0 and ignore: os._exit(0)
            time.sleep(1000)
        os._exit(0)
open(sys.argv[1], "w").close()
time.sleep(float(sys.argv[2]))
`

// TestNoNamespacesEnd: nothing is left, however the target, the launcher or the init ends:
// no process, and not the private directory.
func TestNoNamespacesEnd(t *testing.T) {
	for _, c := range []struct {
		name   string
		victim string
		signal syscall.Signal
	}{
		{"by itself", "", 0}, {"launcher killed", "launcher", syscall.SIGKILL},
		{"launcher asked", "launcher", syscall.SIGTERM},
		{"init killed", "sbx-init", syscall.SIGKILL}, {"janitor killed", "sbx-janitor", syscall.SIGKILL},
	} {
		dir := t.TempDir()
		args := bare(t, "--policy", "project", "--dir", dir)
		if args == nil {
			return
		}
		before := privates(t)
		for _, name := range []string{"deep/a/b", "locked"} {
			if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		lasts := "1000"
		if c.victim == "" {
			lasts = "0"
		}
		up := filepath.Join(dir, "up")
		script := `mkdir -p ~/a/b/c "$TMPDIR/x"; ln -s ` + dir + ` ~/a/out; chmod 000 ~/a; exec python3 -c "$0" "$@"`
		cmd := exec.Command(args[0], append(args[1:], "--", "/bin/sh", "-c", script, daemons, up, lasts)...)
		cmd.Env, cmd.Dir = userEnv(), dir
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the target runs", func() bool { _, err := os.Stat(up); return err == nil })
		pid := cmd.Process.Pid
		for _, p := range descendants(t, cmd.Process.Pid) {
			if p.name == c.victim {
				pid = p.pid
			}
		}
		if c.victim != "" {
			if len(privates(t)) != len(before)+1 {
				t.Errorf("%s: the private directories are %v", c.name, privates(t))
			}
			if err := syscall.Kill(pid, c.signal); err != nil {
				t.Fatal(err)
			}
		}
		if c.victim == "sbx-janitor" {
			time.Sleep(50 * time.Millisecond)
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
		_ = cmd.Wait() // most were killed
		noStrays(t)
		eventually(t, c.name+": no private directory is left", func() bool { return len(privates(t)) == len(before) })
		for _, name := range []string{"deep/a/b", "up"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Errorf("%s: the project: %v", c.name, err)
			}
		}
	}
}
