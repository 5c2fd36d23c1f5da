package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inWorld runs test with a world of its own, as root and as a user, where root started
// the tests: nobody else can make one.
func inWorld(t *testing.T, test func(t *testing.T, w *world, try func(flags []string, program ...string) result)) {
	t.Helper()
	onceInWorld(t, func(t *testing.T, w *world) {
		for as, attr := range callers() {
			dir := filepath.Join(base, as)
			env := append(userEnv(), "HOME="+dir)
			test(t, w, func(flags []string, program ...string) result {
				args := append([]string{binary("sbx"), "--read", binary("probe")}, flags...)
				r := run(t, call{args: append(append(args, "--"), program...), dir: dir, attr: attr,
					env: append(env[:len(env):len(env)], w.env...)})
				if t.Failed() {
					t.Logf("that was as %s", as)
				}
				return r
			})
		}
	})
}

// onceInWorld runs test with a world of its own, where root started the tests.
func onceInWorld(t *testing.T, test func(t *testing.T, w *world), more ...func(t *testing.T, w *world)) {
	t.Helper()
	if os.Getuid() != 0 {
		return // root's run has done it for the user, too
	}
	done := make(chan struct{})
	onThread(func() {
		defer close(done)
		test(t, newWorld(t, more...))
	})
	<-done
}

// attempts runs the probe's attempts and compares what came of them.
func attempts(t *testing.T, try func([]string, ...string) result, flags []string, want ...string) result {
	t.Helper()
	program := []string{binary("probe"), "byname"}
	for i := 0; i < len(want); i += 2 {
		program = append(program, want[i])
	}
	r := try(flags, program...)
	got := r.answers()
	for i := 0; i < len(want); i += 2 {
		if what := want[i]; got[what] != want[i+1] {
			t.Errorf("%s: %s, not %s, with %q\n%s", what, got[what], want[i+1], flags, r.stderr)
		}
	}
	return r
}

// TestByName: hosts that are named can be reached by all ordinary programs, without a
// variable; and nothing else can.
func TestByName(t *testing.T) {
	layRepository(t)
	inWorld(t, func(t *testing.T, w *world, try func([]string, ...string) result) {
		a := []string{"--host", "a.example:80"}
		for _, program := range [][]string{
			{"curl", "-sS", "http://a.example/"}, {"curl", "-sS6", "http://A.Example./"},
			{"/usr/bin/python3", "-c", "import urllib.request as u; print(u.urlopen('http://a.example/').read().decode())"},
		} {
			if r := try(a, program...); r.status != 0 || !strings.Contains(strings.ToLower(r.stdout), "hello from a.example") {
				t.Errorf("%q: %v", program, r)
			}
		}
		if r := try(a, "sh", "-c",
			"git clone -q http://a.example/git/repo.git /tmp/r && cat /tmp/r/file"); r.stdout != "content\n" {
			t.Errorf("git: %v", r)
		}
		r := attempts(t, try, a,
			"tcp=a.example:80", "ok", "tcp=A.EXAMPLE.:80", "ok", "own=7777", "ok",
			// Names and ports that are not on the list.
			"tcp=six.example:80", "ENOENT", "tcp=x.a.example:80", "ENOENT", "tcp=example:80", "ENOENT",
			"tcp=a.example:7", "ECONNREFUSED",
			// Addresses, in each way to write and to reach them.
			"tcp="+serverAddr+":80", "ECONNRESET", "tcp=[2001:db8::80]:80", "ECONNRESET",
			"tcp=[::ffff:"+serverAddr+"]:80", "ECONNRESET", "tcp=169.254.169.254:80", "ECONNRESET",
			"tcp="+hostAddr+":80", "ECONNRESET", "tcp=10.9.9.9:80", "ECONNRESET", "tcp=127.0.0.1:80", "ECONNRESET",
			"mptcp="+serverAddr+":80", "ECONNRESET", "mptcp=a.example:80", "ok",
			"open=raw", "EPERM", "open=packet", "EAFNOSUPPORT", "open=vsock", "EAFNOSUPPORT", "open=ping", "EACCES",
			"tcp="+serverAddr+":7", "ECONNREFUSED", "udp="+serverAddr+":5000", "ECONNREFUSED",
			// Name servers of the program's own choice.
			"ask="+serverAddr+":53/six.example", "ENOENT", "askt="+serverAddr+":53/six.example", "ENOENT",
			"ask="+serverAddr+":53/a.example", "ok", "askt=[2001:db8::80]:53/a.example", "ok",
			"ask=[2001:db8::80]:53/a.example", "ok",
		)
		if r.status != 0 || strings.Contains(r.stderr, "no connection") {
			t.Error(r)
		}
		if r := try(a, "curl", "-sSL", "http://a.example/away"); r.status == 0 || r.stdout != "" ||
			!strings.Contains(r.stderr, "sbx: note: no connection to 169.254.169.254:80: the policy does not name it") {
			t.Errorf("redirected: %v", r)
		}
		// A program that fails is told why.
		for url, note := range map[string]string{
			"a.example:81":   "a.example:81: the policy does not name it; --host a.example:81 allows it",
			"six.example":    "six.example: the policy does not name it; --host six.example:PORT allows it",
			"[2001:db8::80]": "[2001:db8::80]:80: the policy does not name it; --host [2001:db8::80]:80 allows it",
		} {
			r := try(a, "curl", "-sS", "http://"+url+"/")
			if r.status == 0 || !strings.Contains(r.stderr, "sbx: note: no connection to "+note+"\n") {
				t.Errorf("%s: %v", url, r)
			}
		}
		if n := w.questions("six.example") + w.questions("x.a.example") + w.questions("a.example.evil.example"); n > 0 {
			t.Errorf("%d questions for names that are not listed have left", n)
		}
		if n := w.bait.Load() + w.datagrams.Load(); n > 0 {
			t.Errorf("%d came where nobody may", n)
		}
	})
}

// TestByNameResolved: a name leads to no special address, nor to one of the host's own,
// unless a rule names that; and it is resolved once for each connection.
func TestByNameResolved(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, try func([]string, ...string) result) {
		all := []string{"--host", "*.example:80"}
		r := attempts(t, try, all,
			"tcp=x.wild.example:80", "ok", "tcp=six.example:80", "ok", "tcp=private.example:80", "ECONNRESET",
			"tcp=rebind.example:80", "ECONNRESET", "tcp=own.example:80", "ECONNRESET", "tcp=metadata.example:80", "ECONNRESET",
			"tcp=mapped.example:80", "ECONNRESET", "tcp=mixed.example:80", "ok", "tcp=nowhere.example:80", "ECONNRESET",
			"tcp=turning.example:80", "ok",
		)
		if n := w.bait.Load(); n > 0 {
			t.Errorf("%d came to the host's own\n%v", n, r)
		}
		for range 3 { // it turns to the loopback
			try(all, binary("probe"), "byname", "tcp=turning.example:80", "tcp=turning.example:80")
			time.Sleep(100 * time.Millisecond)
		}
		if n := w.bait.Load(); n > 0 {
			t.Errorf("%d came to the host's own by a name that turned", n)
		}
		attempts(t, try, append(all, "--host", "10.0.0.0/8:80"), "tcp=private.example:80", "ok", "tcp=10.9.9.9:80", "ok",
			"tcp=10.1.2.3:81", "ECONNREFUSED", "tcp=rebind.example:80", "ECONNRESET")
		attempts(t, try, append(all, "--host", "127.0.0.1:80", "--host", hostAddr+":80"),
			"tcp=rebind.example:80", "ok", "tcp=own.example:80", "ok", "tcp=127.0.0.1:80", "ok", "tcp="+hostAddr+":80", "ok")
		if n := w.bait.Swap(0); n != 4 {
			t.Errorf("%d came to the host's own, where rules name it", n)
		}
	})
}

// TestByNameStreams: all that is sent arrives, whatever the pace, and ends where it ends.
func TestByNameStreams(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, try func([]string, ...string) result) {
		attempts(t, try, []string{"--host", "a.example:10"}, "await=a.example:10", "ECONNRESET", "break=a.example:10", "ok")
		for before := time.Now(); w.resets.Load() == 0 && time.Since(before) < 10*time.Second; {
			time.Sleep(time.Millisecond)
		}
		if w.resets.Swap(0) != 1 {
			t.Error("a reset arrives as something else")
		}
		attempts(t, try, []string{"--host", "a.example:7", "--host", "a.example:80"},
			"echo=a.example:7/0", "ok", "echo=a.example:7/1", "ok", "echo=a.example:7/70000", "ok",
			"echo=a.example:7/30000000", "ok", "slow=a.example:7/5000000", "ok", "idle=a.example:80/200", "ok")
	})
}

// TestByNameAnswerer: nonsense does no harm to the one who answers, and many names are no
// matter.
func TestByNameAnswerer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "many.toml")
	var b strings.Builder
	b.WriteString("version = 1\nextends = [\"default\"]\n[network]\nhosts = [\"a.example:80\",\n")
	for i := range 12_000 {
		fmt.Fprintf(&b, "%q,\n", fmt.Sprintf("host%d.many.example:443", i))
	}
	b.WriteString("]\n")
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(file); dir != base; dir = filepath.Dir(dir) { // others are to read it
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	inWorld(t, func(t *testing.T, w *world, try func([]string, ...string) result) {
		attempts(t, try, []string{"--policy", file}, "junk="+serverAddr+":53", "ok", "tcp=a.example:80", "ok",
			"ask=1.1.1.1:53/host11999.many.example", "ok", "ask=1.1.1.1:53/host12000.many.example", "ENOENT")
	})
}

// TestByNameProxy: where the caller names a proxy, connections go through that, and the program
// does not know of it.
func TestByNameProxy(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, try func([]string, ...string) result) {
		defer func() { w.env = nil }()
		for _, c := range []struct{ proxy, past, behind, a string }{
			{"http://u:p@" + serverAddr + ":3128", "a.example", "ok", "ok"},
			{"u:p@gate:3128/", "", "ok", "ECONNRESET"},              // in the search domain
			{"http://u:p@proxy-here:3128", "a.example", "ok", "ok"}, // in /etc/hosts alone
			{"http://u:wrong@" + serverAddr + ":3128", ".example", "ECONNRESET", "ok"},
			{"http://u:p@" + serverAddr + ":3129", "a.example", "ECONNRESET", "ok"},
		} {
			w.env = []string{"HTTPS_PROXY=" + c.proxy, "NO_PROXY=" + c.past}
			behind := c.behind
			if c.past == ".example" { // there is no such name
				behind = "ECONNRESET"
			}
			attempts(t, try, []string{"--env", "HTTPS_PROXY", "--host", "behind.example:80", "--host", "a.example:80"},
				"tcp=behind.example:80", behind, "tcp=a.example:80", c.a)
		}
		w.env = []string{"HTTPS_PROXY=http://u:p@" + serverAddr + ":3128"}
		if r := try([]string{"--env", "HTTPS_PROXY", "--host", "a.example:80"}, "env"); strings.Contains(r.stdout, "PROXY") {
			t.Errorf("the program has the proxy's credentials: %v", r)
		}
		w.env = []string{"HTTPS_PROXY=socks5://" + serverAddr}
		r := try([]string{"--host", "a.example:80"}, "true")
		if r.status != 125 || !strings.Contains(r.stderr, `HTTPS_PROXY names a proxy of kind "socks5"`) {
			t.Error(r)
		}
	})
}

// TestByNameDies: with the launcher, all connections end at once, and nothing is open
// afterwards.
func TestByNameDies(t *testing.T) {
	onceInWorld(t, func(t *testing.T, w *world) {
		for as, attr := range callers() {
			cmd, out := startByName(t, as, attr, "a.example:9", "hold=a.example:9")
			if _, err := out.ReadByte(); err != nil {
				t.Fatal(err)
			}
			for before := time.Now(); w.held.Load() == 0 && time.Since(before) < 5*time.Second; {
				time.Sleep(time.Millisecond)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-w.ended:
			case <-time.After(5 * time.Second):
				t.Errorf("as %s: the connection outlives the launcher", as)
			}
			_ = cmd.Wait() // it was killed
			w.held.Store(0)
		}
	})
}

// TestPublish: what the host accepts comes to the port inside, from the address that is said
// and no other, and goes with the sandbox.
func TestPublish(t *testing.T) {
	onceInWorld(t, func(t *testing.T, w *world) {
		for as, attr := range callers() {
			var a syscall.SysProcAttr
			if attr != nil {
				a = *attr
			}
			cmd := exec.Command(binary("sbx"), "--read", binary("probe"), "--publish", "8080:7777", "--publish",
				"[::1]:8081:7777", "--host", "a.example:80", "--", binary("probe"), "byname", "serve=7777/20", "tcp=a.example:80")
			cmd.Dir, cmd.Env, cmd.SysProcAttr = filepath.Join(base, as), userEnv(), &a
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			said := bufio.NewReader(out)
			if line, err := said.ReadString('\n'); line != "serving\n" {
				t.Fatalf("%q, %v", line, err)
			}
			for i := range 20 {
				to := []string{"127.0.0.1:8080", "[::1]:8081"}[i%2]
				if got, err := echoed(to, strings.Repeat("x", i*10_000)); err != nil || len(got) != i*10_000 {
					t.Errorf("as %s, %s, connection %d: %d bytes, %v", as, to, i, len(got), err)
				}
				if c, err := net.Dial("tcp", hostAddr+":8080"); err == nil {
					c.Close()
					t.Errorf("as %s: it listens at another address", as)
				}
			}
			rest, err := io.ReadAll(said)
			if err := errors.Join(err, cmd.Wait()); err != nil || !strings.Contains(string(rest), "tcp=a.example:80: ok\n") {
				t.Errorf("as %s: %v, %q", as, err, rest)
			}
			if c, err := net.Dial("tcp", "127.0.0.1:8080"); err == nil {
				c.Close()
				t.Errorf("as %s: it listens on, after the end", as)
			}
		}
	})
	inWorld(t, func(t *testing.T, w *world, try func([]string, ...string) result) {
		// Nobody inside listens.
		r := try([]string{"--publish", "8080"}, binary("probe"), "byname", "tcp=127.0.0.1:8080")
		if got := r.answers()["tcp=127.0.0.1:8080"]; got != "ECONNREFUSED" {
			t.Errorf("the port is open inside: %v", r)
		}
		l, err := net.Listen("tcp", "127.0.0.1:8080")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if r := try([]string{"--publish", "8080"}, "true"); r.status != 125 ||
			!strings.Contains(r.stderr, "sbx: error: listen at 127.0.0.1:8080: address already in use\n") {
			t.Error(r)
		}
	})
}

// echoed is what comes back of what is sent, to the end.
func echoed(to, text string) (string, error) {
	c, err := net.DialTimeout("tcp", to, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	go func() {
		io.WriteString(c, text) // an error shows in what comes back
		c.(*net.TCPConn).CloseWrite()
	}()
	b, err := io.ReadAll(c)
	return string(b), err
}

// TestByNamePolicyTest: sbx policy test tells hosts that can be reached from those that
// cannot, although connections to both are accepted at first.
func TestByNamePolicyTest(t *testing.T) {
	onceInWorld(t, func(t *testing.T, w *world) {
		for as, attr := range callers() {
			dir := filepath.Join(base, as)
			file := filepath.Join(dir, "hosts.toml")
			text := `version = 1
[files]
read = ["/usr", "?/lib", "?/lib64"]
[seccomp]
default = "allow"
[network]
hosts = ["a.example:80", "private.example:80"]
[expect]
allow = ["connect a.example:80", "resolve a.example"]
deny = ["connect 203.0.113.80:80", "connect 203.0.113.80:7", "connect private.example:80", "resolve six.example"]
`
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			r := run(t, call{args: []string{binary("sbx"), "policy", "test", file}, dir: dir,
				env: append(userEnv(), "HOME="+dir), attr: attr})
			if r.status != 0 || strings.Contains(r.stdout, "fails") || strings.Contains(r.stdout, "untried") {
				t.Errorf("as %s: %v", as, r)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// layRepository makes a git repository that the world serves.
func layRepository(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	dir := filepath.Join(base, "git")
	script := `set -e; rm -rf "$1"; mkdir -p "$1/w"; cd "$1/w"; git init -q .; echo content >file; git add file
git -c user.name=a -c user.email=b commit -qm c; git clone -q --bare . "$1/repo.git"`
	cmd := exec.Command("sh", "-c", script, "sh", dir)
	cmd.Env = append(os.Environ(), "HOME=/nonexistent")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
