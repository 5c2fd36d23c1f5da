package integration

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// activated is what systemd-socket-activate starts upon the first connection.
type activated struct {
	out  lockedBuffer
	port string
}

// activate has systemd listen on a port of the loopback, and start args.
func activate(t *testing.T, flags []string, args ...string) *activated {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	a := &activated{port: port}
	line := append([]string{"-l", "127.0.0.1:" + port}, flags...)
	// It hands on only the variables it is told to.
	for _, v := range []string{"PATH", "HOME", "LANG", "AWS_SECRET_ACCESS_KEY"} {
		line = append(line, "-E", v)
	}
	cmd := exec.Command("systemd-socket-activate", append(line, args...)...)
	cmd.Dir, cmd.Env = t.TempDir(), userEnv()
	cmd.Stdout, cmd.Stderr = &a.out, &a.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err == nil {
			<-done
		}
		noStrays(t)
	})
	eventually(t, "systemd to listen", func() bool { return strings.Contains(a.out.String(), "Listening on") })
	return a
}

func (a *activated) get(t *testing.T, request string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", "127.0.0.1:"+a.port, 5*time.Second)
	if err != nil {
		t.Fatalf("%v\n%s", err, &a.out)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("%v\n%s", err, &a.out)
	}
	return string(answer)
}

// TestSocketActivation: sbx as a prefix of ExecStart hands on the sockets at
// 3 and up, with LISTEN_PID as the target sees itself.
func TestSocketActivation(t *testing.T) {
	a := activate(t, []string{"--fdname=front"}, binary("sbx"), "--policy", "web", "--read", binary("probe"), "--",
		binary("probe"), "lfds")
	if answer := a.get(t, ""); answer != "hello from fd 3\n" {
		t.Errorf("answer %q\n%s", answer, &a.out)
	}
	eventually(t, "the probe's report", func() bool { return strings.Contains(a.out.String(), "LISTEN_PID: own") })
	if !strings.Contains(a.out.String(), "LISTEN_FDS: 1\nLISTEN_FDNAMES: front\n") {
		t.Errorf("no names\n%s", &a.out)
	}
}

// TestSocketActivationPython: a program that knows nothing of sbx takes the
// socket over.
func TestSocketActivationPython(t *testing.T) {
	server := `
import os, socket
assert int(os.environ["LISTEN_PID"]) == os.getpid(), (os.environ["LISTEN_PID"], os.getpid())
s = socket.socket(fileno=3)
c, _ = s.accept()
c.sendall(b"python has it\n")
c.close()`
	a := activate(t, nil, binary("sbx"), "--policy", "web", "--", "/usr/bin/python3", "-c", server)
	if answer := a.get(t, ""); answer != "python has it\n" {
		t.Errorf("answer %q\n%s", answer, &a.out)
	}
}

// TestSocketActivationNginx: nginx takes over what NGINX names, which is how
// it inherits sockets; here the one that systemd holds.
func TestSocketActivationNginx(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"www", "run"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "www/page.html"), []byte("by activation\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var port string
	conf := func() string { return filepath.Join(dir, "nginx.conf") }
	args := []string{binary("sbx"), "--policy", "web", "--env", "NGINX=3;", "--read", dir, "--write", dir + "/run", "--",
		"nginx", "-p", dir + "/", "-c", conf(), "-g", "daemon off;"}
	if asRoot() {
		args[len(args)-1] = "daemon off; user root;"
	}
	a := activate(t, nil, args...)
	port = a.port
	text := strings.ReplaceAll(nginxUserConf, "listen 8080", "listen 127.0.0.1:"+port)
	if err := os.WriteFile(conf(), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	answer := a.get(t, "GET /page.html HTTP/1.0\r\n\r\n")
	if !strings.HasSuffix(answer, "by activation\n") {
		t.Errorf("answer %q\n%s", answer, &a.out)
	}
	eventually(t, "nginx to say that it uses what it inherits", func() bool {
		return strings.Contains(a.out.String(), "using inherited sockets")
	})
}

// TestNotify: what the target tells its manager arrives, at a socket with a path.
// With an abstract one all others of the host's would be open.
func TestNotify(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{filepath.Join(dir, "notify"), fmt.Sprintf("@sbx-test-%d", os.Getpid())} {
		conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		env := append(userEnv(), "NOTIFY_SOCKET="+name)
		r := run(t, call{args: []string{binary("sbx"), "--policy", "web", "--read", binary("probe"), "--", binary("probe"),
			"notify", "READY=1\nSTATUS=serving", "MAINPID=%p"}, dir: t.TempDir(), env: env})
		if strings.HasPrefix(name, "@") {
			for _, policy := range []string{"web", "default", "open"} {
				r := run(t, call{args: []string{binary("sbx"), "--policy", policy, "--", "true"}, dir: t.TempDir(), env: env})
				if r.status != 125 || !strings.Contains(r.stderr, "every abstract socket of the host would be open") ||
					!strings.Contains(r.stderr, "sbx: hint: ") {
					t.Errorf("%s, policy %s: %v", name, policy, r)
				}
			}
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		r.want(t, 0, "notified")
		var got []string
		buf := make([]byte, 4096)
		if err := conn.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for len(got) < 2 {
			n, err := conn.Read(buf)
			if err != nil {
				t.Errorf("%s: %v, after %q", name, err, got)
				break
			}
			got = append(got, string(buf[:n]))
		}
		if len(got) > 0 && got[0] != "READY=1\nSTATUS=serving" {
			t.Errorf("%s: first message %q", name, got[0])
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
