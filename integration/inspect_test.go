package integration

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// inspection is what "sbx inspect --json" prints, as far as the tests read it.
type inspection struct {
	Seccomp    string   `json:"seccomp"`
	Filters    int      `json:"seccomp_filters"`
	NoNewPrivs bool     `json:"no_new_privs"`
	Effective  []string `json:"effective"`
	Bounding   []string `json:"bounding"`
	Namespaces []struct {
		Kind string `json:"kind"`
		Ours bool   `json:"ours"`
	} `json:"namespaces"`
	Descriptors []struct {
		FD   int    `json:"fd"`
		What string `json:"what"`
	} `json:"descriptors"`
	Secrets      []string `json:"secret_variables"`
	Instructions []int    `json:"seccomp_instructions"`
	Rlimits      []string `json:"rlimits"`
	Could        []string `json:"could"`
}

func inspected(t *testing.T, word string) (i inspection) {
	t.Helper()
	r := sbx(t, "inspect", "--json", word)
	if err := json.Unmarshal([]byte(r.stdout), &i); err != nil || r.status != 0 {
		t.Fatalf("%v: %v", err, r)
	}
	return i
}

// own are the kinds of namespaces that are not the test's.
func (i inspection) own() string {
	var list []string
	for _, n := range i.Namespaces {
		if !n.Ours {
			list = append(list, n.Kind)
		}
	}
	return strings.Join(list, " ")
}

// startWaiting starts a program that prints a line once it runs as it will, and waits for that.
func startWaiting(t *testing.T, env []string, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env, cmd.Dir, cmd.Stderr = append(userEnv(), env...), dir, os.Stderr
	begin(t, cmd)
	return cmd
}

// begin starts a program whose input and output are pipes, and returns after its first line
// of output. With the test it ends.
func begin(t *testing.T, cmd *exec.Cmd) (in io.WriteCloser, out *bufio.Reader, first string) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	out = bufio.NewReader(stdout)
	if first, err = out.ReadString('\n'); err != nil {
		cmd.Process.Kill()
		cmd.Wait() // until all is in its Stderr
		t.Fatalf("%q did not begin: %v\n%v", cmd.Args, err, cmd.Stderr)
	}
	return in, out, strings.TrimSuffix(first, "\n")
}

// pidBelow is the youngest process below one, whose pid is on the host.
func pidBelow(t *testing.T, pid int) string {
	t.Helper()
	for {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(pid) + "/children")
		if err != nil {
			t.Fatal(err)
		}
		f := strings.Fields(string(b))
		if len(f) == 0 {
			return strconv.Itoa(pid)
		}
		if pid, err = strconv.Atoi(f[len(f)-1]); err != nil {
			t.Fatal(err)
		}
	}
}

const waits = "echo ready; read x"

// TestInspect looks at processes that different tools have started.
func TestInspect(t *testing.T) {
	plain := startWaiting(t, []string{"GITHUB_TOKEN=x", "HARMLESS=y"}, "", "sh", "-c", waits)
	i := inspected(t, strconv.Itoa(plain.Process.Pid))
	if i.Seccomp != "none" || i.NoNewPrivs || i.own() != "" || !slices.Contains(i.Secrets, "GITHUB_TOKEN") ||
		slices.Contains(i.Secrets, "HARMLESS") ||
		!slices.Contains(i.Could, "make every system call (no seccomp filter)") {
		t.Errorf("a plain process: %+v", i)
	}
	r := sbx(t, "inspect", strconv.Itoa(plain.Process.Pid))
	if r.status != 0 || !strings.Contains(r.stdout, "GITHUB_TOKEN") || !strings.Contains(r.stdout, "no_new_privs   no") ||
		strings.Contains(r.stdout, "=x") {
		t.Errorf("%v", r)
	}

	bwrap := startWaiting(t, nil, "", "bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-all",
		"sh", "-c", waits)
	i = inspected(t, pidBelow(t, bwrap.Process.Pid))
	if !i.NoNewPrivs || !strings.Contains(i.own(), "mnt pid net ipc uts") || i.Seccomp != "none" {
		t.Errorf("bwrap: %s %+v", i.own(), i)
	}

	dir := t.TempDir()
	box := startWaiting(t, nil, dir, binary("sbx"), "--policy", "filter", "--limit", "open_files=77", "--",
		"sh", "-c", waits)
	pid := pidBelow(t, box.Process.Pid)
	i = inspected(t, pid)
	if !i.NoNewPrivs || !strings.Contains(i.own(), "mnt pid net ipc uts cgroup") || i.Seccomp != "filter" ||
		len(i.Effective) > 0 || len(i.Bounding) > 0 || !slices.Contains(i.Rlimits, "open files 77") ||
		asRoot() && (len(i.Instructions) < 1 || len(i.Instructions) != i.Filters) {
		t.Errorf("sbx: %s %+v", i.own(), i)
	}
	for _, c := range i.Could {
		if strings.Contains(c, "CAP_") || strings.Contains(c, "io_uring") || strings.Contains(c, "leave its root") {
			t.Errorf("sbx: it could %s", c)
		}
	}
	// By its command, which is not unique, and in the list.
	for _, args := range [][]string{{"list", "--json"}, {"list"}} {
		r = sbx(t, args...)
		if r.status != 0 || !strings.Contains(r.stdout, pid) || !strings.Contains(r.stdout, "filter") ||
			!strings.Contains(r.stdout, waits) {
			t.Errorf("%v: %v", args, r)
		}
	}
	if r := sbx(t, "inspect", "no-such-thing"); r.status != 125 || !strings.Contains(r.stderr, "sbx list shows them") {
		t.Errorf("%v", r)
	}

	// A descriptor that leads out of the root.
	out := startWaiting(t, nil, dir, "sh", "-c", "exec 9</; exec "+binary("sbx")+
		" --policy filter --keep-fd 9 -- sh -c '"+waits+"'")
	i = inspected(t, pidBelow(t, out.Process.Pid))
	if !strings.Contains(strings.Join(i.Could, "\n"), "leave its root by descriptor 9") {
		t.Errorf("a directory outside of the root: %+v", i)
	}
	self := inspected(t, "self")
	if self.Seccomp != "none" {
		t.Errorf("self: %+v", self)
	}
}

// TestInspectFirejail looks at a process of firejail's, which make test-inspect installs.
func TestInspectFirejail(t *testing.T) {
	if os.Getenv("SBX_INSPECT") == "" || !asRoot() {
		return // firejail starts for users with a line in /etc/passwd: root's test is such a one, the user's is not
	}
	jail := startWaiting(t, []string{"HOME=/"}, "/", "setpriv", "--reuid=33", "--regid=33", "--clear-groups",
		"firejail", "--quiet", "--noprofile", "--seccomp", "--nonewprivs",
		"--caps.drop=all", "--net=none", "sh", "-c", waits)
	i := inspected(t, pidBelow(t, jail.Process.Pid))
	if i.Seccomp != "filter" || i.Filters == 0 || !i.NoNewPrivs || !strings.Contains(i.own(), "mnt pid net") ||
		len(i.Effective) > 0 || asRoot() && len(i.Instructions) != i.Filters {
		t.Errorf("firejail: %s %+v", i.own(), i)
	}
	for _, c := range i.Could {
		if strings.Contains(c, "CAP_") || strings.Contains(c, "use this network") {
			t.Errorf("firejail: it could %s", c)
		}
	}
}

// tryInspect looks at a process of systemd-run's, under a systemd that was booted for that.
func (s *bootedSystemd) tryInspect(t *testing.T) {
	out, err := s.inside(`systemd-run --quiet --unit=inspected -p Type=exec -p DefaultDependencies=no \
		-p NoNewPrivileges=yes -p SystemCallFilter=@system-service \
		-p PrivateNetwork=yes -p "CapabilityBoundingSet=CAP_KILL" sleep 1000 &&
		/run/sbx inspect --json "$(systemctl show -p MainPID --value inspected)"; status=$?
		systemctl stop inspected; exit $status`)
	var i inspection
	if err == nil {
		err = json.Unmarshal([]byte(out), &i)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if i.Seccomp != "filter" || len(i.Instructions) == 0 || !i.NoNewPrivs || !strings.Contains(i.own(), "net") ||
		strings.Contains(i.own(), "pid") || strings.Join(i.Effective, " ") != "kill" {
		t.Errorf("systemd-run: %s %+v", i.own(), i)
	}
}

// TestInspectRunc looks at a container of runc's, which has Docker's filter.
func TestInspectRunc(t *testing.T) {
	if !asRoot() {
		return // runc's containers here are root's
	}
	handed, err := moby.GetDefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(handed)
	if err != nil {
		t.Fatal(err)
	}
	bundle := t.TempDir()
	writeBundle(t, bundle, data)
	state := filepath.Join(bundle, "state")
	cmd := exec.Command("runc", "--root", state, "run", "-b", bundle, "sbx-inspect")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		cmd.Wait()
	}()
	var s struct {
		PID    int    `json:"pid"`
		Status string `json:"status"`
	}
	for deadline := time.Now().Add(patient(20 * time.Second)); s.Status != "running"; time.Sleep(20 * time.Millisecond) {
		out, err := exec.Command("runc", "--root", state, "state", "sbx-inspect").Output()
		if err == nil {
			err = json.Unmarshal(out, &s)
		}
		if time.Now().After(deadline) {
			t.Fatalf("the container does not run: %v %s", err, out)
		}
	}
	i := inspected(t, strconv.Itoa(s.PID))
	if i.Seccomp != "filter" || len(i.Instructions) == 0 || !i.NoNewPrivs || len(i.Effective) > 0 ||
		!strings.Contains(i.own(), "mnt pid ipc uts") {
		t.Errorf("runc: %s %+v", i.own(), i)
	}
}
