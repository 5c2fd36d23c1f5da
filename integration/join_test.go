package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// usersSpace starts a process of testUser's in namespaces of its own, in which a
// script is run first, and gives its /proc/PID/ns/.
func usersSpace(t *testing.T, script string, args ...string) string {
	t.Helper()
	script += "; echo; exec sleep 1000"
	flags := []string{"--user", "--map-root-user", "--mount", "--net", "--uts", "--ipc", "--cgroup"}
	cmd := exec.Command("unshare", append(append(flags, "/bin/sh", "-c", script), args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if asRoot() {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: testUser, Gid: testUser}
	}
	cmd.Dir, cmd.Stderr = "/", os.Stderr
	stays(t, cmd)
	return fmt.Sprintf("/proc/%d/ns/", cmd.Process.Pid)
}

// TestJoinedOwner: a namespace that a user has made is not joined without the
// user's user namespace. In a mount namespace the user says which program has
// which name, and it would run with the caller's ids: as the machine's root, if
// that is the caller.
func TestJoinedOwner(t *testing.T) {
	dir := t.TempDir()
	if refusedBefore(t, 3, bareArgs(t, dir, bareText)) {
		return
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// Where the user covers a directory, in the user's own mount namespace.
	own := usersSpace(t, `mount -t tmpfs x "$0" && cp /usr/bin/id "$0/tool"`, dir)
	tool := filepath.Join(dir, "tool")
	mount := strings.Replace(bareText, `mount = "host"`, fmt.Sprintf("mount = %q", own+"mnt"), 1)
	r := run(t, call{args: append(bareArgs(t, dir, mount), tool), dir: dir})
	if r.status != 125 || strings.Contains(r.stdout, "uid=") ||
		!strings.Contains(r.stderr, "belongs to a user namespace that user") ||
		!strings.Contains(r.stderr, "sbx: hint: join that user namespace too") {
		t.Errorf("a user's mount namespace: %v", r)
	}
	for _, kind := range []string{"net", "uts", "ipc", "cgroup"} {
		r := boxed(t, fmt.Sprintf("[namespaces]\n%s = %q", kind, own+kind), "id")
		if r.status != 125 || r.stdout != "" || !strings.Contains(r.stderr, "join "+kind+" namespace") {
			t.Errorf("a user's %s namespace: %v", kind, r)
		}
		if asRoot() {
			r := boxed(t, fmt.Sprintf("[namespaces]\nuser = \"new\"\n%s = %q", kind, own+kind), "id")
			if r.status != 125 || r.stdout != "" || !strings.Contains(r.stderr, "join "+kind+" namespace") {
				t.Errorf("a user's %s namespace, and a new user namespace: %v", kind, r)
			}
		}
	}
	// With the user's user namespace it runs, as one of that.
	mount = strings.Replace(mount, "[files]", fmt.Sprintf("user = %q\nuid = 0\ngid = 0\n[files]", own+"user"), 1)
	r = run(t, call{args: append(bareArgs(t, dir, mount), tool, "-u"), dir: dir})
	r.want(t, 0, "0")
	r = run(t, call{args: append(bareArgs(t, dir, mount), "/bin/sh", "-c", "echo x >mark"), dir: dir})
	r.want(t, 0)
	var st unix.Stat_t
	mark := filepath.Join(strings.TrimSuffix(own, "ns/"), "root", dir, "mark")
	if err := unix.Stat(mark, &st); err != nil || st.Uid != testUser && asRoot() {
		t.Errorf("what it makes belongs to %d on the host, %v", st.Uid, err)
	}
	// What root has made, in whatever user namespace, and the caller's own.
	if asRoot() {
		roots := space(t, "--user", "--map-root-user", "--net", "--uts")
		boxed(t, fmt.Sprintf("[namespaces]\nnet = %q\nuts = %q", roots+"net", roots+"uts"), "/bin/true").want(t, 0)
		machines := space(t, "--net", "--uts")
		boxed(t, fmt.Sprintf("[namespaces]\nnet = %q\nuts = %q", machines+"net", machines+"uts"), "/bin/true").want(t, 0)
		// Another user's user namespace is not the one that it belongs to.
		another := fmt.Sprintf("[namespaces]\nuser = %q\nuid = 0\ngid = 0\nnet = %q", roots+"user", own+"net")
		r := boxed(t, another, "/bin/true")
		if r.status != 125 || !strings.Contains(r.stderr, "belongs to a user namespace that user") {
			t.Errorf("a user's network, in root's user namespace: %v", r)
		}
	}
}
