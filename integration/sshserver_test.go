package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sshServer is an sshd of a world's, which serves the test's git repositories to one key.
type sshServer struct{ dir string }

// serve is for newWorld: it runs where the server is.
func (s *sshServer) serve(t *testing.T, _ *world) {
	t.Helper()
	layFile(t, filepath.Join(s.dir, "config"), fmt.Sprintf(`ListenAddress %s
HostKey %s/host
AuthorizedKeysFile %[2]s/authorized
PermitRootLogin forced-commands-only
StrictModes no
UsePAM no
PidFile none
`, serverAddr, s.dir))
	for _, key := range []string{"host", "user"} {
		out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f",
			filepath.Join(s.dir, key)).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
			return
		}
	}
	layFile(t, filepath.Join(s.dir, "authorized"), fmt.Sprintf(
		`command="cd %s && exec git-shell -c \"$SSH_ORIGINAL_COMMAND\"" %s`,
		filepath.Join(base, "git"), readFile(t, filepath.Join(s.dir, "user.pub"))))
	// It wants a /run/sshd, which the machine need not have.
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Error(err)
		return
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Error(err)
		return
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		t.Error(err)
		return
	}
	if err := os.Mkdir("/run/sshd", 0o755); err != nil {
		t.Error(err)
		return
	}
	cmd := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", filepath.Join(s.dir, "config"))
	background(t, cmd)
	await(t, "the ssh server", func() bool {
		c, err := net.Dial("tcp", serverAddr+":22")
		return err == nil && c.Close() == nil
	})
}

// agent starts an agent with the user's key, as a caller, and gives its socket.
func (s *sshServer) agent(t *testing.T, home string, attr *syscall.SysProcAttr) (socket string) {
	t.Helper()
	socket, key := filepath.Join(home, ".agent"), filepath.Join(home, ".key")
	layFile(t, key, readFile(t, filepath.Join(s.dir, "user")))
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	chownAll(t, home, attr)
	cmd := exec.Command("ssh-agent", "-D", "-a", socket)
	cmd.SysProcAttr = attr
	background(t, cmd)
	await(t, "the agent", func() bool {
		c, err := net.Dial("unix", socket)
		return err == nil && c.Close() == nil
	})
	add := exec.Command("ssh-add", "-q", key)
	add.SysProcAttr, add.Env = attr, []string{"SSH_AUTH_SOCK=" + socket, "PATH=/usr/bin:/bin"}
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return socket
}

// background has a program run until the test ends.
func background(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it was killed
	})
}

// await waits for a condition.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for before := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(before) > patient(20*time.Second) {
			t.Errorf("waited for %s", what)
			return
		}
	}
}
