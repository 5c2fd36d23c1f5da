package integration

import (
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

// refusedBefore says that the kernel's Landlock is older than the ABI that the
// policy takes, and makes sure that sbx says so too.
func refusedBefore(t *testing.T, abi int, args []string) bool {
	t.Helper()
	if landlockABI(t) >= abi {
		return false
	}
	r := run(t, call{args: append(args, "/bin/true"), dir: home()})
	if r.status != 125 || !strings.Contains(r.stderr, "Landlock ABI ") && !strings.Contains(r.stderr, "that needs ABI ") {
		t.Errorf("with an older Landlock: %v", r)
	}
	return true
}

// TestHostPID: a target among the host's processes sees them, cannot touch
// them, and takes all that it has started with it.
func TestHostPID(t *testing.T) {
	policy := "[namespaces]\npid = \"host\"\n[files]\nwrite = [\".\"]\n"
	if refusedBefore(t, 6, boxedArgs(t, t.TempDir(), policy)) {
		return
	}
	bystander := exec.Command("sleep", "1000")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	r := boxed(t, policy, "/bin/sh", "-c", fmt.Sprintf(`readlink /proc/self/ns/pid
kill -9 %[1]d; kill -STOP $PPID; cat /proc/%[1]d/cmdline | tr '\0' ' '; echo
cat /proc/%[1]d/environ; cat /proc/$PPID/environ; ls /proc/$PPID/fd
echo x >/proc/self/oom_score_adj; echo done`, bystander.Process.Pid))
	own, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	r.want(t, 0, own, "sleep 1000 ", "done")
	if strings.Contains(r.stdout, "PATH=") || strings.Contains(r.stdout, canaryString) ||
		!strings.Contains(r.stderr, "sbx: note: the pid namespace is not the sandbox's own") {
		t.Errorf("an environment is shown, or nothing is said: %v", r)
	}
	if err := bystander.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Error(err)
	}
	if err := bystander.Wait(); err == nil || err.Error() != "signal: user defined signal 1" {
		t.Errorf("the bystander had ended by then: %v", err)
	}
	sbxProbe(t, []string{"--policy", policyFile(t, policy)}, "trace").want(t, 0)
	for _, c := range []struct {
		script string
		status int
	}{{"exit 3", 3}, {"kill -9 $$", 137}} {
		// Daemons of all kinds, each with children of its own, and one that
		// takes over from what has ended.
		script := `for i in 1 2 3; do
			setsid sh -c 'trap "" TERM HUP INT; sleep 1000 & sleep 1000 & (setsid sleep 1000 &) ; wait' &
		done; (setsid ` + binary("probe") + ` daemon never) ; sleep 0.2; ` + c.script
		dir := t.TempDir()
		if r := run(t, call{args: append(boxedArgs(t, dir, policy), "/bin/sh", "-c", script),
			dir: dir}); r.status != c.status {
			t.Errorf("%s: %v", c.script, r)
		}
		noStrays(t)
	}
}

// TestHostPIDComets: processes that are gone as soon as they have a successor
// are ended too, when the target ends and when the launcher is killed.
func TestHostPIDComets(t *testing.T) {
	dir := t.TempDir()
	args := boxedArgs(t, dir, "[namespaces]\npid = \"host\"\n[files]\nwrite = [\".\"]\n")
	if refusedBefore(t, 6, args) {
		return
	}
	comets := `
import os, sys, time
for i in range(5):
    if os.fork() == 0:
        os.setsid()
        while True:
            if os.fork() != 0:
                os._exit(0)
time.sleep(0.3)
open("up", "w").close()
time.sleep(float(sys.argv[1]))
`
	args = append(args, "python3", "-c", comets)
	run(t, call{args: append(slices.Clone(args), "0"), dir: dir}).want(t, 0)
	noStrays(t)
	if err := os.Remove(filepath.Join(dir, "up")); err != nil {
		t.Fatal(err)
	}
	endedAfter(t, dir, append(args, "1000"), whenUp, syscall.SIGKILL)
	noStrays(t)
}

// policyFile writes a policy as boxed does.
func policyFile(t *testing.T, policy string) string {
	t.Helper()
	return boxedArgs(t, t.TempDir(), policy)[2]
}

// leaving is a target that leaves processes about.
var leaving = []string{"/bin/sh", "-c", "setsid sleep 1000 & (setsid sleep 1000 &); touch up; sleep 1000"}

// whenUp is as soon as the target has made the file up in its directory.
const whenUp = time.Duration(-1)

// endedAfter launches in dir and ends the launcher by the signal: some time
// after its start, or whenUp.
func endedAfter(t *testing.T, dir string, args []string, after time.Duration, signal os.Signal) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, userEnv()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if after == whenUp {
		eventually(t, "the target runs", func() bool { _, err := os.Stat(filepath.Join(dir, "up")); return err == nil })
	}
	time.Sleep(after)
	if err := cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
}

// TestHostPIDDies: however the launcher ends, and at whatever moment.
func TestHostPIDDies(t *testing.T) {
	policy := "[namespaces]\npid = \"host\"\n[files]\nwrite = [\".\"]\n"
	if refusedBefore(t, 6, boxedArgs(t, t.TempDir(), policy)) {
		return
	}
	for i := range max(8, 40/patience) {
		after := whenUp
		if i >= 5 {
			after = time.Duration(i) * 300 * time.Microsecond
		}
		signal := syscall.SIGKILL
		if i == 0 {
			signal = syscall.SIGTERM
		}
		dir := t.TempDir()
		endedAfter(t, dir, append(boxedArgs(t, dir, policy), leaving...), after, signal)
		eventually(t, "nothing of it is left", func() bool { return len(holding(t, dir)) == 0 })
	}
	noStrays(t)
}

// TestJoinedPID: in a pid namespace of somebody else's.
func TestJoinedPID(t *testing.T) {
	own, policy := joinPID(t)
	policy = "[files]\nwrite = [\".\"]\n" + policy
	if refusedBefore(t, 6, boxedArgs(t, t.TempDir(), policy)) {
		return
	}
	r := boxed(t, policy, "/bin/sh", "-c", "readlink /proc/self/ns/pid; tr '\\0' ' ' </proc/1/cmdline; echo; kill -9 "+
		"1; (setsid sleep 1000 &); setsid sleep 1000 & cat /proc/1/environ; echo done; exit 4")
	link, err := os.Readlink(own + "pid")
	if err != nil {
		t.Fatal(err)
	}
	r.want(t, 4, link, "sleep 1000 ", "done")
	if strings.Contains(r.stdout, "PATH=") {
		t.Errorf("the environment of those inside: %v", r)
	}
	noSleepers(t, link)
	for i := range max(4, 20/patience) {
		after := whenUp
		if i >= 3 {
			after = time.Duration(i) * 600 * time.Microsecond
		}
		dir := t.TempDir()
		endedAfter(t, dir, append(boxedArgs(t, dir, policy), leaving...), after, syscall.SIGKILL)
		noSleepers(t, link)
	}
	if asRoot() {
		r := boxed(t, policy+"user = \"new\"", "/bin/true")
		if r.status != 125 || !strings.Contains(r.stderr, "could trace the sandbox's") {
			t.Errorf("a new user namespace in it: %v", r)
		}
	}
}

// joinPID makes a pid namespace, and the part of a policy that joins it.
func joinPID(t *testing.T) (own, policy string) {
	t.Helper()
	flags := []string{"--pid", "--fork", "--kill-child", "--mount-proc"}
	if !asRoot() {
		flags = append(flags, "--user", "--map-root-user")
	}
	own = space(t, flags...)
	policy = fmt.Sprintf("[namespaces]\npid = %q\n", own+"pid")
	if !asRoot() {
		policy += fmt.Sprintf("user = %q\nuid = 0\ngid = 0\n", own+"user")
	}
	return own, policy
}

// noSleepers waits until the pid namespace has but its first process.
func noSleepers(t *testing.T, space string) {
	t.Helper()
	eventually(t, "nothing is left in the joined namespace", func() bool {
		n := 0
		for _, p := range processes(t) {
			if link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", p.pid)); err == nil && link == space && p.state != "Z" {
				n++
			}
		}
		return n <= 1
	})
}

// bareText is a policy without a mount namespace of its own: what it reads is
// the system, and $PROJECT it may write.
const bareText = `version = 1
summary = "No mount namespace of its own"
[namespaces]
mount = "host"
[files]
proc = false
read = ["/usr", "?/bin", "?/lib", "?/lib64", "?/etc/ld.so.cache", "$BASE"]
write = ["$PROJECT"]
[process]
env = ["PATH"]
[seccomp]
default = "allow"
[expect]
`

func bareArgs(t *testing.T, dir, text string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bare.toml")
	text = strings.NewReplacer("$PROJECT", dir, "$BASE", filepath.Join(base, "bin")).Replace(text)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return []string{binary("sbx"), "--policy", file, "--dir", dir, "--"}
}

// TestHostMount: files walled by Landlock alone.
func TestHostMount(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	if refusedBefore(t, 3, bareArgs(t, dir, bareText)) {
		return
	}
	for name, text := range map[string]string{filepath.Join(dir, "mine"): "mine",
		filepath.Join(other, "secret"): "secret"} {
		if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(other, "secret"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	script := `readlink -f .; cat mine; echo x >new && echo written; cat link; cat ` + other + `/secret; echo x >` +
		other + `/evil; ls ` + other + `; ln ` + other + `/secret hard; mv mine ` + other +
		`/; cat /proc/self/status; cat /etc/passwd; ls /dev; echo x >/usr/evil; echo x >` + binary("probe") +
		`; : >/dev/null && echo null; cat </dev/urandom | head -c 1 | wc -c; mount -t tmpfs x /mnt; exec ` +
		binary("probe") + ` caps`
	r := run(t, call{args: append(bareArgs(t, dir, bareText), "/bin/sh", "-c", script), dir: dir})
	r.want(t, 0, dir, "mine", "written", "null", "1", "NoNewPrivs: 1", "CapEff: EACCES", "securebits: 239")
	if strings.Contains(r.stdout, "secret") || strings.Contains(r.stdout, "root:") ||
		!strings.Contains(r.stderr, "only Landlock restricts") {
		t.Errorf("something is shown, or not said: %v", r)
	}
	for _, name := range []string{"evil", "mine"} {
		if _, err := os.Stat(filepath.Join(other, name)); err == nil {
			t.Errorf("%s was written outside", name)
		}
	}
	// The pid namespace is the sandbox's own all the same.
	r = run(t, call{args: append(bareArgs(t, dir, bareText), "/bin/sh", "-c", "echo pid $$; sleep 1000 & exit 5"),
		dir: dir})
	r.want(t, 5, "pid 2")
	noStrays(t)
	// Nor are sockets to be had, though they lie in a directory that is shown.
	listener, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	r = run(t, call{args: append(bareArgs(t, dir, bareText), binary("probe"), "sock", "127.0.0.1:1",
		filepath.Join(dir, "socket"), "none"), dir: dir})
	for _, kind := range []string{"unix path", "unix abstract"} {
		if said, ok := r.answers()[kind]; !ok || said == "ok" {
			t.Errorf("%s: %v", kind, r)
		}
	}
	env := append(userEnv(), "NOTIFY_SOCKET="+filepath.Join(dir, "socket"))
	if r := run(t, call{args: append(bareArgs(t, dir, bareText), "/bin/true"), dir: dir,
		env: env}); landlockABI(t) < 9 && (r.status != 125 || !strings.Contains(r.stderr, "allow single Unix sockets")) {
		t.Errorf("with a manager that wants a word: %v", r)
	}
	// With the base policy there is what cannot be had.
	if r := boxed(t, "[namespaces]\nmount = \"host\"", "/bin/true"); r.status != 125 ||
		!strings.Contains(r.stderr, "mount namespace that is not new") {
		t.Errorf("with a tmpfs: %v", r)
	}
}

// TestJoinedMount: the tree of somebody else's mount namespace.
func TestJoinedMount(t *testing.T) {
	dir := t.TempDir()
	if refusedBefore(t, 3, bareArgs(t, dir, bareText)) {
		return
	}
	flags := []string{"--mount", "--propagation", "private"}
	if !asRoot() {
		flags = append(flags, "--user", "--map-root-user")
	}
	cmd := exec.Command("unshare", append(flags, "/bin/sh", "-c",
		`mount -t tmpfs x "$0" && echo there >"$0/file" && : >"$0/ready" && exec sleep 1000`, dir)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // killed
	}()
	ns := fmt.Sprintf("/proc/%d/", cmd.Process.Pid)
	eventually(t, "the tmpfs is there", func() bool { _, err := os.Stat(ns + "root" + dir + "/ready"); return err == nil })
	text := strings.Replace(bareText, `mount = "host"`, fmt.Sprintf("mount = %q", ns+"ns/mnt"), 1)
	if !asRoot() {
		text = strings.Replace(text, "[files]", fmt.Sprintf("user = %q\nuid = 0\ngid = 0\n[files]", ns+"ns/user"), 1)
	}
	r := run(t, call{args: append(bareArgs(t, dir, text), "/bin/sh", "-c",
		"cat file; echo x >new && ls; cat /etc/passwd; echo x >/usr/evil; "+binary("probe")+" caps"), dir: dir})
	r.want(t, 0, "there", "new", "NoNewPrivs: 1")
	if strings.Contains(r.stdout, "root:") {
		t.Errorf("more than named is shown: %v", r)
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		t.Error("it was written outside")
	}
	if _, err := os.Stat(ns + "root" + dir + "/new"); err != nil {
		t.Error(err)
	}
}
