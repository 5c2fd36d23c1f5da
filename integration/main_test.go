// Package integration is the user's view of sbx: the static binary as it is
// shipped, real programs below it, and a probe that looks around inside.
//
// Started by root, the whole package runs twice at once, as root and as a user who
// has nothing, each in a network namespace of its own with nothing but a
// loopback, so that ports are free and nothing gets out. Some tests, or those in a
// guest, run as one after the other. Started by a user it runs once, as that user.
package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// testUser is an id that no machine gives to anybody. It has no line in
// /etc/passwd: sbx must not need one.
const testUser = 61042

// base is a directory with what the tests need, readable by everybody: a
// checkout may lie below a home that is not.
var base string

func TestMain(m *testing.M) {
	if spec := os.Getenv("SBX_IT_FILTER"); spec != "" {
		fmt.Fprintln(os.Stderr, "integration: filter:", underFilter(spec))
		os.Exit(99)
	}
	var err error
	code := 0
	switch role := os.Getenv("SBX_IT_AS"); {
	case role != "":
		base = os.Getenv("SBX_IT_BASE")
		code, err = runHere(m)
	case os.Getuid() == 0:
		code, err = runTwice()
	default:
		fmt.Println("integration: started by a user, so nothing runs as root")
		if base, err = lay(); err == nil {
			if err = errors.Join(os.Chdir(base), os.Setenv("TMPDIR", home())); err == nil {
				code, err = runHere(m)
			}
			err = errors.Join(err, os.RemoveAll(base))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		code = 1
	}
	os.Exit(code)
}

// runHere runs the tests in this process. It adopts what its descendants
// orphan, so that nothing left behind goes unseen.
func runHere(m *testing.M) (int, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 1, fmt.Errorf("become a subreaper: %w", err)
	}
	// Who starts the tests in the background may have ignored these, and what is executed would inherit that.
	for _, sig := range []os.Signal{unix.SIGINT, unix.SIGQUIT, unix.SIGHUP} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	return m.Run(), nil
}

// alone are the tests that measure time, so nothing runs beside them, and who runs them:
// with -run, as in make soak, both do.
var alone = map[string]string{
	"root": "TestStorm|TestLimitKills|TestInitStopped",
	"user": "TestStormJoined|TestStormAtTerminal|TestLimitKills",
}

// runTwice runs this test binary as root and as testUser, with the same flags.
func runTwice() (int, error) {
	var err error
	if base, err = lay(); err != nil {
		return 1, err
	}
	defer os.RemoveAll(base)
	roles := []string{"root", "user"}
	if only := os.Getenv("SBX_IT_ONLY"); only != "" {
		roles = []string{only}
	}
	some := slices.ContainsFunc(os.Args, func(s string) bool {
		return strings.HasPrefix(s, "-test.run") || strings.HasPrefix(s, "-test.skip")
	})
	var passed bool
	if some || guestFacts != "" || len(roles) == 1 {
		passed, err = inTurn(roles)
	} else {
		passed, err = atOnce(roles, "-test.skip=^("+alone["root"]+"|"+alone["user"]+")$")
		for _, role := range roles {
			var rest bool
			if err == nil {
				rest, err = inTurn([]string{role}, "-test.run=^("+alone[role]+")$")
			}
			passed = passed && rest
		}
	}
	if err != nil || !passed {
		return 1, err
	}
	return 0, nil
}

// inTurn runs the tests as one and then as the other, and says whether all passed.
func inTurn(roles []string, flags ...string) (passed bool, err error) {
	passed = true
	for _, role := range roles {
		ok, err := reexec(role, os.Stdout, flags)
		if err != nil {
			return false, err
		}
		passed = passed && ok
	}
	return passed, nil
}

// atOnce runs the tests as all of them at once, since much of a test is waiting. What
// the first prints is printed as it comes, that of the others afterwards.
func atOnce(roles []string, flags ...string) (passed bool, err error) {
	type result struct {
		passed bool
		err    error
		output bytes.Buffer
	}
	results, done := make([]result, len(roles)), make([]chan struct{}, len(roles))
	for i, role := range roles {
		r, w := &results[i], io.Writer(&results[i].output)
		if i == 0 {
			w = os.Stdout
		}
		done[i] = make(chan struct{})
		go func() {
			r.passed, r.err = reexec(role, w, flags)
			close(done[i])
		}()
	}
	passed = true
	for i := range results {
		<-done[i]
		r := &results[i]
		_, failed := r.output.WriteTo(os.Stdout)
		passed, err = passed && r.passed, errors.Join(err, r.err, failed)
	}
	return passed, err
}

// reexec starts this binary once more, with further flags, and says whether its tests
// passed. It has a network namespace with a loopback and, so that nobody else's mounts and
// shared memory come and go, mount and IPC namespaces and a /dev/shm of its own.
func reexec(role string, output io.Writer, flags []string) (passed bool, err error) {
	// The thread is not unlocked: it ends with the goroutine, and the
	// namespaces with it.
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		result <- func() error {
			fmt.Fprintf(output, "integration: as %s\n", role)
			if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWIPC); err != nil {
				return fmt.Errorf("new network, mount and IPC namespaces: %w", err)
			}
			// Nothing comes from elsewhere or goes there, and mounts are shared, as on most machines.
			for _, kind := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
				if err := unix.Mount("", "/", "", kind|unix.MS_REC, ""); err != nil {
					return fmt.Errorf("set the propagation of mounts: %w", err)
				}
			}
			if err := unix.Mount("tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
				return fmt.Errorf("mount a /dev/shm: %w", err)
			}
			if err := loopbackUp(); err != nil {
				return fmt.Errorf("set lo up: %w", err)
			}
			cmd := exec.Command(filepath.Join(base, "tests"), append(childFlags(), flags...)...)
			cmd.Dir = base
			// Projects lie below the home, as most people's do.
			home := filepath.Join(base, role)
			cmd.Env = append(os.Environ(), "SBX_IT_AS="+role, "SBX_IT_BASE="+base, "HOME="+home, "TMPDIR="+home)
			cmd.Stdout, cmd.Stderr = output, output
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			// In a guest of the kernel matrix, the user has control groups.
			if dir := os.Getenv("SBX_IT_CGROUP_" + role); dir != "" {
				group, err := os.Open(dir)
				if err != nil {
					return err
				}
				defer group.Close()
				cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(group.Fd())
			}
			if role == "user" {
				cmd.SysProcAttr.Credential = &syscall.Credential{Uid: testUser, Gid: testUser}
			}
			return cmd.Run()
		}()
	}()
	var exit *exec.ExitError
	if err = <-result; errors.As(err, &exit) {
		return false, nil
	}
	return err == nil, err
}

// childFlags are this process's flags less those naming files of go test's.
func childFlags() []string {
	var flags []string
	for _, f := range os.Args[1:] {
		if !strings.HasPrefix(f, "-test.testlogfile") {
			flags = append(flags, f)
		}
	}
	return flags
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// lay makes the base directory: bin/sbx, bin/probe, the tests and their data.
func lay() (string, error) {
	dir, err := os.MkdirTemp("/var/tmp", "sbx-it-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		return "", err
	}
	sbx := os.Getenv("SBX_BIN")
	if sbx == "" {
		sbx = "../bin/sbx"
		if out, err := exec.Command("make", "-s", "-C", "..", "build").CombinedOutput(); err != nil {
			return "", fmt.Errorf("make build: %w\n%s", err, out)
		}
	}
	if ready := os.Getenv("SBX_PROBE"); ready != "" {
		if err := copyFile(ready, filepath.Join(dir, "bin", "probe"), 0o755); err != nil {
			return "", err
		}
	} else {
		probe := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "bin", "probe"), "./probe")
		probe.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := probe.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build the probe: %w\n%s", err, out)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	for from, to := range map[string]string{sbx: "bin/sbx", exe: "tests"} {
		if err := copyFile(from, filepath.Join(dir, to), 0o755); err != nil {
			return "", err
		}
	}
	if os.Getuid() == 0 {
		if err := layPrivileged(dir); err != nil {
			return "", fmt.Errorf("lay out privileged bait: %w", err)
		}
	}
	if err := copyTree("testdata", filepath.Join(dir, "testdata")); err != nil {
		return "", err
	}
	if err := os.Mkdir(filepath.Join(dir, "docs"), 0o755); err != nil {
		return "", err
	}
	for _, doc := range slices.Concat(cookbooks(), schemas(), unitDocs(), setups()) {
		if err := copyFile("../"+doc, filepath.Join(dir, "docs", filepath.Base(doc)), 0o644); err != nil {
			return "", err
		}
	}
	for role, uid := range map[string]int{"root": 0, "user": testUser} {
		work := filepath.Join(dir, role)
		if err := os.Mkdir(work, 0o755); err != nil {
			return "", err
		}
		if os.Getuid() == 0 {
			if err := os.Chown(work, uid, uid); err != nil {
				return "", err
			}
		}
	}
	return dir, nil
}

// layPrivileged makes probes that outside would run as root or with capabilities: one
// set-user-ID, one with file capabilities.
func layPrivileged(dir string) error {
	for _, name := range []string{"probe-suid", "probe-caps"} {
		if err := copyFile(filepath.Join(dir, "bin", "probe"), filepath.Join(dir, "bin", name), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(dir, "bin", "probe-suid"), 0o755|fs.ModeSetuid|fs.ModeSetgid); err != nil {
		return err
	}
	out, err := exec.Command("setcap", "cap_net_raw,cap_sys_admin,cap_dac_override+ep",
		filepath.Join(dir, "bin", "probe-caps")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("setcap: %w\n%s", err, out)
	}
	return nil
}

func copyFile(from, to string, mode fs.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(err, out.Close())
	}
	return errors.Join(out.Chmod(mode), out.Close())
}

func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		return copyFile(path, filepath.Join(to, rel), 0o644)
	})
}

func asRoot() bool { return os.Getuid() == 0 }

// home is the caller's home in this run; projects lie below it.
func home() string {
	if asRoot() {
		return filepath.Join(base, "root")
	}
	return filepath.Join(base, "user")
}

func binary(name string) string { return filepath.Join(base, "bin", name) }
