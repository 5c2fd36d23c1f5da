package integration

import (
	"bufio"
	"errors"
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

// TestPublishSocket: what the host accepts at a Unix socket comes to the port or the socket
// inside, and what it accepts at a port may come to a socket. The name on the host is there
// as long as the sandbox; one that a killed sbx has left is taken, and no other.
func TestPublishSocket(t *testing.T) {
	onceInWorld(t, func(t *testing.T, w *world) {
		for as, attr := range callers() {
			dir := filepath.Join(base, as, "run")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if attr != nil {
				if err := os.Chown(dir, testUser, testUser); err != nil {
					t.Fatal(err)
				}
			}
			x, y := filepath.Join(dir, "x.sock"), filepath.Join(dir, "y.sock")
			// The first is killed.
			cmd, said := startPublished(t, as, attr, "serveu=/tmp/in.sock/9", "--publish", "unix:"+x+":/tmp/in.sock")
			if got := throughSocket(t, "unix", x, "hello"); got != "hello 1" { // the loopback's, and none of the host's
				t.Errorf("as %s: %q comes back", as, got)
			}
			if err := errors.Join(cmd.Process.Kill(), waitEnd(said)); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // it was killed
			if _, err := os.Lstat(x); err != nil {
				t.Fatalf("as %s: %v", as, err)
			}
			cmd, said = startPublished(t, as, attr, "serveu=/tmp/in.sock/20", "--publish", "unix:"+x+":unix:/tmp/in.sock",
				"--publish", "8080:unix:/tmp/in.sock")
			large := strings.Repeat("x", 300_000)
			for i := range 20 {
				network, to := [...]string{"unix", "tcp"}[i%2], [...]string{x, "127.0.0.1:8080"}[i%2]
				if got := throughSocket(t, network, to, large[:i*10_000]); got != large[:i*10_000]+" 1" {
					t.Errorf("as %s, %s, connection %d: %d bytes", as, to, i, len(got))
				}
			}
			if err := errors.Join(waitEnd(said), cmd.Wait()); err != nil {
				t.Errorf("as %s: %v", as, err)
			}
			if _, err := os.Lstat(x); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("as %s: the socket is still there: %v", as, err)
			}
			// To a port, while another one has a name beside it.
			l, err := net.Listen("unix", y)
			if err != nil {
				t.Fatal(err)
			}
			cmd, said = startPublished(t, as, attr, "serve=7777/1", "--publish", "unix:"+x+":7777")
			if got := throughSocket(t, "unix", x, large); got != large {
				t.Errorf("as %s: %d bytes", as, len(got))
			}
			if err := errors.Join(waitEnd(said), cmd.Wait()); err != nil {
				t.Errorf("as %s: %v", as, err)
			}
			in := filepath.Join(base, as)
			for _, c := range [...]struct {
				flags []string
				want  string
			}{
				{[]string{"--publish", "unix:" + y + ":80"}, "listen at unix:" + y + ": "},
				{[]string{"--publish", "unix:" + x + ":/usr/x.sock"}, "at /usr/x.sock the sandbox has no directory of its own to make it in"},
				{[]string{"--publish", "unix:" + x + ":80", "--write", dir}, "could put another file in its place"},
				{[]string{"--publish", "unix:" + dir + "/none/x:80"}, "there is no directory " + dir + "/none\n"},
			} {
				args := append([]string{binary("sbx")}, c.flags...)
				r := run(t, call{args: append(args, "--", "true"), dir: in, env: append(userEnv(), "HOME="+in), attr: attr})
				if r.status != 125 || !strings.Contains(r.stderr, c.want) || !strings.Contains(r.stderr, "sbx: error: l") {
					t.Errorf("as %s, %q: %v", as, c.flags, r)
				}
			}
			l.Close()
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestPublishSocketLinks: a link that the program makes in the place of the socket inside
// leads nobody to a socket that it may not connect to itself.
func TestPublishSocketLinks(t *testing.T) {
	onceInWorld(t, func(t *testing.T, w *world) {
		for as, attr := range callers() {
			shown := filepath.Join(base, as, "shown")
			if err := os.MkdirAll(shown, 0o755); err != nil {
				t.Fatal(err)
			}
			l, err := net.Listen("unix", filepath.Join(shown, "host.sock"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(shown, "host.sock"), 0o777); err != nil {
				t.Fatal(err)
			}
			reached := make(chan struct{}, 10)
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					reached <- struct{}{}
					c.Close()
				}
			}()
			cmd, said := startPublished(t, as, attr, "link="+filepath.Join(shown, "host.sock")+" /tmp/in.sock", "--read", shown,
				"--publish", "8080:unix:/tmp/in.sock")
			// It is reset, perhaps before it can be used.
			if c, err := net.DialTimeout("tcp", "127.0.0.1:8080", 5*time.Second); err == nil {
				c.SetDeadline(time.Now().Add(20 * time.Second))
				if got, err := io.ReadAll(c); len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("as %s: %q comes back, %v", as, got, err)
				}
				c.Close()
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			_ = errors.Join(waitEnd(said), cmd.Wait()) // of the signal
			if len(reached) > 0 {
				t.Errorf("as %s: the link is followed", as)
			}
			l.Close()
			if err := os.RemoveAll(shown); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// startPublished starts sbx with the probe, which says when it serves.
func startPublished(t *testing.T, as string, attr *syscall.SysProcAttr, serve string, flags ...string) (
	*exec.Cmd, *bufio.Reader,
) {
	t.Helper()
	var a syscall.SysProcAttr
	if attr != nil {
		a = *attr
	}
	args := append([]string{"--read", binary("probe")}, flags...)
	cmd := exec.Command(binary("sbx"), append(args, "--", binary("probe"), "byname", serve)...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr, cmd.Stderr = filepath.Join(base, as), userEnv(), &a, os.Stderr
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
	return cmd, said
}

// waitEnd waits until nobody has the output any more.
func waitEnd(said io.Reader) error {
	_, err := io.Copy(io.Discard, said)
	return err
}

// throughSocket is what comes back of what is sent, to the end.
func throughSocket(t *testing.T, network, to, text string) string {
	t.Helper()
	c, err := net.DialTimeout(network, to, 5*time.Second)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	go func() {
		io.WriteString(c, text) // an error shows in what comes back
		c.(interface{ CloseWrite() error }).CloseWrite()
	}()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("%s: %v", to, err)
	}
	return string(b)
}
