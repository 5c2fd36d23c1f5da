package integration

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// boxed runs a program under a policy of the test's own, in a fresh project;
// $PROJECT in the policy is that.
func boxed(t *testing.T, policy string, target ...string) result {
	t.Helper()
	dir := t.TempDir()
	return run(t, call{args: append(boxedArgs(t, dir, policy), target...), dir: dir})
}

// boxedArgs are the command line up to the "--".
func boxedArgs(t *testing.T, dir, policy string) []string {
	t.Helper()
	file := filepath.Join(dir, "p.toml")
	text := "version = 1\nsummary = \"A test's\"\nextends = [\"base\"]\n" +
		strings.ReplaceAll(policy, "$PROJECT", dir) + "\n[expect]\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return []string{binary("sbx"), "--policy", file, "--read", base, "--"}
}

// TestIDs: a mapped root, another user, a hostname; nothing of it outside.
func TestIDs(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	r := boxed(t, "[namespaces]\nuser = \"new\"\nuid = 0\ngid = 0\nhostname = \"box.example\"", "/bin/sh", "-c",
		"hostname; cat /proc/self/setgroups; tr -s ' ' </proc/self/uid_map; hostname evil; "+binary("probe")+" caps")
	r.want(t, 0, "box.example", "deny", fmt.Sprintf(" 0 %d 1", os.Getuid()), "Uid: 0 0 0 0", "Gid: 0 0 0 0",
		"CapInh: none", "CapPrm: none", "CapEff: none", "CapBnd: none", "CapAmb: none")
	boxed(t, "[namespaces]\nuser = \"new\"\nuid = 4000000000\ngid = 7", binary("probe"), "caps").
		want(t, 0, "Uid: 4000000000 4000000000 4000000000 4000000000", "Gid: 7 7 7 7", "CapEff: none")
	if now, err := os.Hostname(); err != nil || now != host {
		t.Errorf("the host is called %q now, %v", now, err)
	}
	for _, bad := range []string{"\"0x0\"", "-1", "4294967295", "+0", "00", "\" 0\"", "0x10"} {
		if r := boxed(t, "[namespaces]\nuser = \"new\"\nuid = "+bad, "/bin/true"); bad == "+0" && r.status == 0 ||
			r.status == 125 {
			continue // TOML's "+0" is the number 0
		} else {
			t.Errorf("uid %s: %v", bad, r)
		}
	}
}

// TestKeptCapabilities: what is kept is in exactly the sets it should be, by
// whom it can be kept at all; file capabilities and set-id bits add nothing.
func TestKeptCapabilities(t *testing.T) {
	mapped := "[namespaces]\nuser = \"new\"\nuid = 0\ngid = 0\n[process]\ncapabilities = [\"net_bind_service\"]\n"
	none := "none"
	bind := "net_bind_service"
	programs := []string{binary("probe")}
	for _, bait := range []string{"probe-suid", "probe-caps"} {
		if _, err := os.Stat(binary(bait)); err == nil {
			programs = append(programs, binary(bait))
		} else if asRoot() {
			t.Fatal(err)
		}
	}
	sets := func(r result, inh, prm, bnd, amb string) {
		t.Helper()
		r.want(t, 0, "CapInh: "+inh, "CapPrm: "+prm, "CapEff: "+prm, "CapBnd: "+bnd, "CapAmb: "+amb, "NoNewPrivs: 1")
		bits, err := strconv.Atoi(r.answers()["securebits"])
		if err != nil || bits&0xaa != 0xaa {
			t.Errorf("the securebits are not locked: %v", r)
		}
	}
	for _, program := range programs {
		r := boxed(t, mapped, program, "caps")
		sets(r, none, bind, bind, none)
		r.want(t, 0, "Uid: 0 0 0 0")
		r = boxed(t, mapped+"ambient = true", program, "caps")
		if strings.HasSuffix(program, "-caps") || strings.HasSuffix(program, "-suid") {
			// A file that has capabilities or set-id bits of its own may end
			// what is ambient, nothing else.
			r.want(t, 0, "CapBnd: "+bind, "NoNewPrivs: 1")
			if eff := r.answers()["CapEff"]; eff != bind && eff != none {
				t.Errorf("%s: %v", program, r)
			}
		} else {
			sets(r, bind, bind, bind, bind)
		}
		r = boxed(t, strings.ReplaceAll(mapped, "uid = 0", "uid = 9")+"ambient = true", program, "caps")
		if program == programs[0] {
			sets(r, bind, bind, bind, bind)
		} else if eff := r.answers()["CapEff"]; eff != bind && eff != none || r.status != 0 {
			t.Errorf("%s: %v", program, r)
		}
	}
	// It is of use: the port can be bound, in the namespace that is ours.
	boxed(t, mapped, "python3", "-c", "import socket; socket.socket().bind(('127.0.0.1', 80)); print('bound')").want(t,
		0, "bound")
	// And cannot be multiplied: no capability but this, by no exec.
	boxed(t, mapped, "/bin/sh", "-c", "chown 1:1 /tmp; mount -t tmpfs x /tmp; hostname "+
		"x; "+binary("probe")+" caps").want(t, 0, "CapEff: "+bind, "CapBnd: "+bind)

	keep := "[process]\ncapabilities = [\"net_bind_service\"]\n"
	refused := []string{"[namespaces]\nuser = \"new\"\nuid = 5\n" + keep} // lost at the exec
	if asRoot() {
		sets(boxed(t, keep, binary("probe"), "caps"), none, bind, bind, none)
		sets(boxed(t, keep+"ambient = true", binary("probe"), "caps"), bind, bind, bind, bind)
		// Root without it, permitted or by the bounding set.
		for _, drop := range []string{"--bounding-set=-net_bind_service", "--inh-caps=-all"} {
			dir := t.TempDir()
			args := append([]string{"setpriv", drop}, append(boxedArgs(t, dir, keep), binary("probe"), "caps")...)
			r := run(t, call{args: args, dir: dir})
			if lost := drop[2] == 'b'; lost && (r.status != 125 ||
				!strings.Contains(r.stderr, "keep capability net_bind_service, which the caller does not have")) {
				t.Errorf("%s: %v", drop, r)
			} else if !lost {
				sets(r, none, bind, bind, none)
			}
		}
	} else {
		refused = append(refused, keep, keep+"ambient = true")
	}
	for _, policy := range refused {
		r := boxed(t, policy, binary("probe"), "caps")
		if r.status != 125 || !strings.Contains(r.stderr, "keep capability net_bind_service") ||
			!strings.Contains(r.stderr, "hint:") {
			t.Errorf("%s\n%v", policy, r)
		}
	}
	// A "?" takes it where it is: never in a namespace that only the caller's
	// want of rights has brought about.
	r := boxed(t, strings.ReplaceAll(keep, "\"net", "\"?net")+"ambient = true", binary("probe"), "caps")
	if asRoot() {
		sets(r, bind, bind, bind, bind)
	} else {
		sets(r, none, none, none, none)
	}
}

// TestNoUsersInside: without nest neither the filter nor, where it is lifted,
// the number of user namespaces lets one be made.
func TestNoUsersInside(t *testing.T) {
	try := []string{"/bin/sh", "-c", "cat /proc/sys/user/max_user_namespaces; unshare --user true && echo nested"}
	for _, extra := range []string{"", "[seccomp]\nallow = [\"@nest\"]"} {
		r := boxed(t, "[namespaces]\nuser = \"new\"\n"+extra, try...)
		if r.status == 0 || !strings.HasPrefix(r.stdout, "0\n") || strings.Contains(r.stdout, "nested") {
			t.Errorf("with %q: %v", extra, r)
		}
	}
	// And user 0 of the namespace with all that it could keep but the one
	// capability that could raise the number again.
	r := boxed(t, "[namespaces]\nuser = \"new\"\nuid = 0\n[process]\ncapabilities = [\"sys_admin\", \"setfcap\", "+
		"\"setuid\", \"setgid\"]\n[seccomp]\nallow = [\"@nest\"]",
		"/bin/sh", "-c", "unshare --user true && echo nested; echo 9 >/proc/sys/user/max_user_namespaces; cat "+
			"/proc/sys/user/max_user_namespaces")
	if r.stdout != "0\n" {
		t.Errorf("as user 0: %v", r)
	}
	outside, err := os.ReadFile("/proc/sys/user/max_user_namespaces")
	if err != nil || strings.TrimSpace(string(outside)) == "0" {
		t.Errorf("outside it is %q, %v", outside, err)
	}
}

// TestNest: with nest sandboxes work inside, sbx's own and bubblewrap's.
func TestNest(t *testing.T) {
	policy := "[files]\nwrite = [\".\"]\n[process]\nnest = true"
	inner := []string{binary("sbx"), "--read", binary("probe"), "--", binary("probe"), "caps"}
	if asRoot() {
		if r := boxed(t, policy, inner...); r.status != 125 || !strings.Contains(r.stderr, "nest as root") {
			t.Errorf("nest as root: %v", r)
		}
		return
	}
	// A policy that nests has no Landlock, and so three filters; inside it is for
	// Landlock's version to say.
	filters := "Seccomp_filters: 5"
	if landlockABI(t) < 6 {
		filters = "Seccomp_filters: 6"
	}
	boxed(t, policy, inner...).want(t, 0, "CapEff: none", "CapBnd: none", "NoNewPrivs: 1", filters, "pid: 2")
	boxed(t, policy, "bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-all",
		binary("probe"), "caps").
		want(t, 0, "CapEff: none", "Seccomp_filters: 3")
	// As user 0 of a namespace, which takes a capability of it.
	mapped := policy + "\ncapabilities = [\"setfcap\"]\n[namespaces]\nuser = \"new\"\nuid = 0\ngid = 0"
	boxed(t, mapped, inner...).want(t, 0, "Uid: 0 0 0 0", "CapEff: none", "CapBnd: none")
	if r := boxed(t, strings.Replace(mapped, "setfcap", "?chown", 1), inner...); r.status != 125 ||
		!strings.Contains(r.stderr, "nest as user 0") {
		t.Errorf("without it: %v", r)
	}
	// Three deep.
	boxed(t, policy, append([]string{"unshare", "--user", "--map-current-user"}, inner...)...).want(t, 0, "CapEff: none")
}

// TestClocksInside: a new time namespace, seen by a program of the system's.
func TestClocksInside(t *testing.T) {
	r := boxed(t, "[namespaces]\ntime = \"new\"\nboottime = \"876000h\"\nmonotonic = \"876000h\"", "/bin/sh", "-c",
		"cut -d. -f1 /proc/uptime; python3 -c 'import time; print(int(time.monotonic()))'; "+binary("probe")+" ns")
	lines := strings.Split(r.stdout, "\n")
	if r.status != 0 || len(lines) < 3 {
		t.Fatal(r)
	}
	for _, s := range lines[:2] {
		if n, err := strconv.Atoi(s); err != nil || n < 876000*3600 {
			t.Errorf("a clock says %q: %v", s, r)
		}
	}
	if own, err := os.Readlink("/proc/self/ns/time"); err != nil || r.answers()["time"] == own {
		t.Errorf("time namespace %s, %v", own, err)
	}
	if r := boxed(t, "[namespaces]\ntime = \"new\"\nboottime = \"-876000h\"", "/bin/true"); r.status != 125 ||
		!strings.Contains(r.stderr, "before zero") {
		t.Errorf("before zero: %v", r)
	}
	if r := boxed(t, "[namespaces]\nboottime = \"1s\"", "/bin/true"); r.status != 125 {
		t.Errorf("the host's clock: %v", r)
	}
}

// stays starts a command that is a process group of its own, waits until it has said a
// line, and kills the group when the test has ended.
func stays(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
			t.Log(err)
		}
		_ = cmd.Wait() // killed
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
}

// space starts a process in new namespaces, as whoever runs the tests, and
// returns its /proc/PID/ns/.
func space(t *testing.T, flags ...string) string {
	t.Helper()
	cmd := exec.Command("unshare", append(flags, "/bin/sh", "-c", "echo; exec sleep 1000")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	stays(t, cmd)
	pid := cmd.Process.Pid
	if slices.Contains(flags, "--fork") { // the child is in them
		eventually(t, "the process in the namespaces is there", func() bool {
			for _, d := range descendants(t, cmd.Process.Pid) {
				if d.name == "sleep" {
					pid = d.pid
				}
			}
			return pid != cmd.Process.Pid
		})
	}
	return fmt.Sprintf("/proc/%d/ns/", pid)
}

// TestJoinedNamespaces: those of a user's own, which takes its user namespace
// too, and what cannot be joined.
func TestJoinedNamespaces(t *testing.T) {
	own := space(t, "--user", "--map-root-user", "--net", "--uts", "--ipc")
	policy := fmt.Sprintf("[namespaces]\nuser = %q\nuid = 0\ngid = 0\nnet = %q\nuts = %q\nipc = %q\n", own+"user",
		own+"net", own+"uts", own+"ipc")
	r := boxed(t, policy, "/bin/sh", "-c", binary("probe")+" ns; "+binary("probe")+" caps; "+binary("probe")+" nest")
	want := []string{"Uid: 0 0 0 0", "CapEff: none", "CapBnd: none", "unshare user: EPERM", "setns pidfd: EPERM"}
	for _, kind := range []string{"user", "net", "uts", "ipc"} {
		link, err := os.Readlink(own + kind)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, kind+": "+link)
	}
	r.want(t, 0, want...)
	// Nothing in the namespace was changed for it.
	if left := run(t, call{args: []string{"nsenter", "-t", strings.Split(own, "/")[2], "--user",
		"--preserve-credentials", "cat", "/proc/sys/user/max_user_namespaces"}, dir: "/"}); left.stdout == "0\n" {
		t.Errorf("the joined namespace allows no others now: %v", left)
	}
	refused := map[string]string{
		fmt.Sprintf("[namespaces]\nuser = %q", own+"user"):                             "does not say which user to be in it",
		fmt.Sprintf("[namespaces]\nnet = %q", own+"uts"):                               "it is a uts namespace",
		"[namespaces]\nnet = \"/etc/passwd\"":                                          "does not lie on nsfs",
		"[namespaces]\nnet = \"/proc/0/ns/net\"":                                       "no such file",
		fmt.Sprintf("[namespaces]\nuser = %q\nuid = 5\ngid = 0", own+"user"):           "set user id 5",
		fmt.Sprintf("[namespaces]\nuser = %q\nuid = 0\ngid = 0", "/proc/self/ns/user"): "join user namespace",
	}
	if !asRoot() {
		refused[fmt.Sprintf("[namespaces]\nnet = %q", own+"net")] = "join net namespace"
		refused["[namespaces]\nnet = \"/proc/self/ns/net\""] = "join net namespace"
	}
	for policy, why := range refused {
		if r := boxed(t, policy, "/bin/true"); r.status != 125 || !strings.Contains(r.stderr, why) {
			t.Errorf("%s\n%v", policy, r)
		}
	}
}

// TestJoinedDies: what is in joined namespaces dies with the launcher as well.
func TestJoinedDies(t *testing.T) {
	own := space(t, "--user", "--map-root-user", "--net")
	policy := fmt.Sprintf("[namespaces]\nuser = %q\nuid = 0\ngid = 0\nnet = %q\n[files]\nwrite = [\".\"]", own+"user",
		own+"net")
	if asRoot() {
		policy = fmt.Sprintf("[namespaces]\nnet = %q\n[files]\nwrite = [\".\"]", own+"net")
	}
	for range max(1, 5/patience) {
		dir := t.TempDir()
		args := append(boxedArgs(t, dir, policy), "/bin/sh", "-c", "setsid sleep 1000 & touch up; exec sleep 1000")
		endedAfter(t, dir, args, whenUp, syscall.SIGKILL)
		eventually(t, "nothing of it is left", func() bool {
			for _, p := range processes(t) {
				if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid)); err == nil &&
					strings.HasPrefix(string(b), "sleep\x001000\x00") {
					if link, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.pid)); err == nil && link == dir {
						return false
					}
				}
			}
			return true
		})
	}
	// At any moment, also that in which the namespaces are joined.
	for i := range max(4, 20/patience) {
		dir := t.TempDir()
		endedAfter(t, dir, append(boxedArgs(t, dir, policy), "sleep", "1000"), time.Duration(i)*400*time.Microsecond,
			syscall.SIGKILL)
		eventually(t, "nothing of it is left", func() bool { return len(holding(t, dir)) == 0 })
	}
}

// holding are the processes whose directory, inside or outside, is dir.
func holding(t *testing.T, dir string) (list []int) {
	for _, p := range processes(t) {
		if link, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.pid)); err == nil && link == dir {
			list = append(list, p.pid)
		}
	}
	return list
}
