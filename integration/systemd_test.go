package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

// TestNotify: what the target tells its manager comes from sbx, at a socket with a path or an
// abstract name, under policies with and without the host's network.
func TestNotify(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@sbx-test-%d", os.Getpid())} {
		for _, policy := range []string{"web", "default", "open"} {
			if policy == "open" && name[0] == '@' {
				continue // with the host's /dev there is no place for it
			}
			conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			heard := hearNotifications(t, conn)
			cmd := exec.Command(binary("sbx"), "--policy", policy, "--read", binary("probe"), "--", binary("probe"), "notify",
				"READY=1\nSTATUS=serving", "STATUS", "NOTIFYACCESS=all", "STATUS="+strings.Repeat("x", 5000), "MAINPID=1234567",
				"MAINPID=%p", "RELOADING=1\nMONOTONIC_USEC=123456789", "STOPPING=1")
			cmd.Dir, cmd.Env = t.TempDir(), append(userEnv(), "NOTIFY_SOCKET="+name)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.HasPrefix(string(out), "notified\n") {
				t.Errorf("%s, policy %s: %v\n%s", name, policy, err, out)
			}
			conn.SetReadDeadline(time.Now().Add(time.Second))
			want := []string{"READY=1\nSTATUS=serving", fmt.Sprintf("MAINPID=%d", cmd.Process.Pid),
				"RELOADING=1\nMONOTONIC_USEC=123456789", "STOPPING=1"}
			for _, w := range want {
				if got := <-heard; got.text != w || got.pid != cmd.Process.Pid {
					t.Errorf("%s, policy %s: heard %+v, want %q from %d", name, policy, got, w, cmd.Process.Pid)
				}
			}
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			os.Remove(name)
		}
	}
	// Without a mount namespace of its own the sandbox has no socket for it.
	file := filepath.Join(t.TempDir(), "p.toml")
	text := "version = 1\nextends = [\"open\"]\n[namespaces]\nmount = \"host\"\npid = \"host\"\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	r := run(t, call{args: []string{binary("sbx"), "--policy", file, "--", "true"}, dir: t.TempDir(),
		env: append(userEnv(), "NOTIFY_SOCKET=@x")})
	if r.status != 125 || !strings.Contains(r.stderr, "every abstract socket of the host would be open") ||
		!strings.Contains(r.stderr, "sbx: hint: ") {
		t.Error(r)
	}
}

// TestServiceDirectories: what systemd has made for a service is shown, as far as it is for
// this process.
func TestServiceDirectories(t *testing.T) {
	dir := t.TempDir()
	var vars []string
	for _, name := range []string{"RUNTIME", "STATE", "CACHE", "LOGS", "CONFIGURATION", "CREDENTIALS"} {
		list := []string{filepath.Join(dir, name), filepath.Join(dir, name+"2")}
		for _, d := range list {
			if err := os.Mkdir(d, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(d, "x"), []byte("there\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if name == "CREDENTIALS" {
			list = list[:1]
		}
		vars = append(vars, name+"_DIRECTORY="+strings.Join(list, ":"))
	}
	const script = `for v in RUNTIME STATE CACHE LOGS CONFIGURATION CREDENTIALS; do
eval "dirs=\$${v}_DIRECTORY"
for d in $(echo $dirs | tr : ' '); do read x <$d/x; echo $v $x $( (echo new >$d/y) 2>/dev/null && echo writes); done
done; echo $SYSTEMD_EXEC_PID $$ $INVOCATION_ID $JOURNAL_STREAM`
	start := func(pid string) string {
		cmd := exec.Command("sh", append([]string{"-c", "export SYSTEMD_EXEC_PID=" + pid + `; exec "$@"`, "sh", binary("sbx"),
			"--policy", "web", "--"}, "sh", "-c", script)...)
		cmd.Dir, cmd.Env = t.TempDir(), append(append(userEnv(), vars...), "INVOCATION_ID=abc", "JOURNAL_STREAM=8:1")
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return string(out)
	}
	want := ""
	for _, name := range []string{"RUNTIME", "STATE", "CACHE", "LOGS"} {
		want += strings.Repeat(name+" there writes\n", 2)
	}
	want += "CONFIGURATION there\nCONFIGURATION there\nCREDENTIALS there\n2 2 abc 8:1\n"
	if got := start("$$"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := start("1"); strings.Contains(got, "there") || strings.TrimSpace(got) != "2" {
		t.Errorf("what is another process's: %s", got)
	}
}

// TestOwnPID: the pids that a service manager names are the target's, as it sees itself,
// whether or not its pid namespace is its own.
func TestOwnPID(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"shared.toml": "extends = [\"open\"]\n[namespaces]\npid = \"host\"\n",
		"bare.toml":   "extends = [\"web\"]\n[files]\ntmpfs = [\"!~\", \"!/tmp\"]\n[namespaces]\nall = \"host\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("version = 1\n"+text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, flags := range []string{"--policy web", "--policy " + dir + "/shared.toml", "--policy " + dir + "/bare.toml",
		"--policy " + dir + "/bare.toml --exec"} {
		r := run(t, call{dir: t.TempDir(), args: []string{"sh", "-c",
			"export LISTEN_PID=$$ WATCHDOG_PID=$$ SYSTEMD_EXEC_PID=$$\n" +
				"exec " + binary("sbx") + " " + flags + ` -- sh -c 'echo $$ $LISTEN_PID $WATCHDOG_PID $SYSTEMD_EXEC_PID'`}})
		if f := strings.Fields(r.stdout); len(f) != 4 || len(slices.Compact(f)) != 1 {
			t.Errorf("%s: %v, want one pid four times", flags, r)
		}
	}
}

// notification is what a manager heard, and the pid of who said it.
type notification struct {
	text string
	pid  int
}

// hearNotifications hears what comes, until the socket is closed or its deadline.
func hearNotifications(t *testing.T, conn *net.UnixConn) <-chan notification {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	})
	if err = errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	heard := make(chan notification, 100)
	go func() {
		defer close(heard)
		data, oob := make([]byte, 1<<16), make([]byte, 256)
		for {
			n, rights, _, _, err := conn.ReadMsgUnix(data, oob)
			if err != nil {
				return
			}
			got := notification{text: string(data[:n])}
			if list, err := unix.ParseSocketControlMessage(oob[:rights]); err == nil {
				for i := range list {
					if c, err := unix.ParseUnixCredentials(&list[i]); err == nil {
						got.pid = int(c.Pid)
					}
				}
			}
			heard <- got
		}
	}()
	return heard
}
