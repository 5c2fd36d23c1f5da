package launch

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/policies"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	planner "sbx/sandbox/internal/plan"
	"sbx/sandbox/internal/plantest"
)

// spaceOf starts a process in namespaces of its own and returns its /proc/PID/ns.
func spaceOf(t *testing.T, flags ...string) string {
	t.Helper()
	launches(t)
	cmd := exec.Command("unshare", append(flags, "/bin/sh", "-c", "echo ready; exec sleep 1000")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("unshare %v: %q, %v", flags, line, err)
	}
	pid := cmd.Process.Pid
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)); err == nil && len(b) > 0 {
		if pid, err = strconv.Atoi(strings.Fields(string(b))[0]); err != nil { // unshare --fork
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("/proc/%d/ns/", pid)
}

func link(t *testing.T, name string) string {
	t.Helper()
	s, err := os.Readlink(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestJoin enters namespaces of every kind that somebody else has made, and
// looks from inside whether it is there.
func TestJoin(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a user's own are integration's")
	}
	own := spaceOf(t, "--user", "--map-root-user", "--net", "--ipc", "--uts", "--cgroup", "--time")
	other := spaceOf(t, "--net", "--ipc", "--uts", "--cgroup", "--time", "--monotonic", "100000")
	for _, c := range []struct {
		name string
		from string
		edit func(p *policy.Policy)
	}{
		{"one", other, func(p *policy.Policy) { p.Namespaces.Net = other + "net" }},
		{"all but user", other, func(p *policy.Policy) {
			n := &p.Namespaces
			n.Net, n.IPC, n.UTS, n.Cgroup, n.Time = other+"net", other+"ipc", other+"uts", other+"cgroup", other+"time"
		}},
		{"with user", own, func(p *policy.Policy) {
			n := &p.Namespaces
			n.User, n.Net, n.IPC, n.UTS, n.Cgroup, n.Time = own+"user", own+"net", own+"ipc", own+"uts", own+"cgroup", own+"time"
			n.UID, n.GID = plantest.Ptr(0), plantest.Ptr(0)
		}},
		{"others, then a user namespace of our own", other, func(p *policy.Policy) {
			p.Namespaces.User, p.Namespaces.UTS = "new", other+"uts"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := inside(t, c.edit, "cd /proc/self/ns; for k in user net ipc uts cgroup time pid mnt; "+
				"do echo $k $(readlink $k); done; grep ^CapEff /proc/self/status; cat /proc/1/comm; "+
				"echo pid $$")
			p := &policy.Policy{}
			c.edit(p)
			n := p.Namespaces
			for kind, say := range map[string]string{
				"user": n.User, "net": n.Net, "ipc": n.IPC, "uts": n.UTS, "cgroup": n.Cgroup, "time": n.Time,
			} {
				if host.IsPath(say) && !strings.Contains(got, kind+" "+link(t, say)+"\n") {
					t.Errorf("not in %s\n%s", say, got)
				}
			}
			for _, kind := range []string{"pid", "mnt"} {
				if strings.Contains(got, link(t, "/proc/self/ns/"+kind)) || strings.Contains(got, link(t, c.from+kind)) {
					t.Errorf("the %s namespace is not new\n%s", kind, got)
				}
			}
			if !strings.Contains(got, "CapEff:\t0000000000000000\nsbx-init\npid 2\n") {
				t.Errorf("capabilities, init or pid:\n%s", got)
			}
		})
	}
}

// TestJoinRefused holds what is refused of paths that are to be joined.
func TestJoinRefused(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		edit func(n *policy.Namespaces)
		want error
	}{
		{"nothing there", func(n *policy.Namespaces) { n.Net = dir + "/none" }, unix.ENOENT},
		{"a file", func(n *policy.Namespaces) { n.Net = "/etc/passwd" }, host.WrongFile},
		{"a FIFO", func(n *policy.Namespaces) { n.Net = fifo }, host.WrongFile},
		{"another kind", func(n *policy.Namespaces) { n.Net = "/proc/self/ns/uts" }, host.WrongFile},
		{"user without ids", func(n *policy.Namespaces) { n.User = "/proc/self/ns/user" }, host.Incomplete},
		{"a clock of the host", func(n *policy.Namespaces) { n.Monotonic = "1s" }, host.WrongNamespace},
		{"no duration", func(n *policy.Namespaces) { n.Time, n.Boottime = "new", "1x" }, host.Invalid},
		{"a hostname for others", func(n *policy.Namespaces) { n.UTS, n.Hostname = "/proc/self/ns/uts", "x" },
			host.WrongNamespace},
	} {
		p := &policy.Policy{Name: "p"}
		c.edit(&p.Namespaces)
		h := plantest.Debian(p, os.Getuid())
		h.ProbeNamespaces(p.Namespaces)
		_, err := planner.Build(p, plantest.AllowAll, host.Target{Path: "/x", Args: []string{"x"}, Dir: "/"}, h)
		h.Close()
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestJoinFails holds that a joining that fails is told as such, that nothing
// has run by then and that nothing stays.
func TestJoinFails(t *testing.T) {
	plan, marker := joinPlan(t)
	left := leavesNothing(t, "")
	asm, _ := plan.Compile(planner.Descriptors{Launcher: 998, Notify: 999, Janitor: 997, Ready: 996}, ownMemory)
	for i := range asm.Len() {
		if int(asm.StepOf(i)) > len(plan.Join) {
			break // the rest is TestFaults'
		}
		_, err := run(plan, func(tab *step.Table) {
			if c := &tab.Calls[i]; c.Op == step.OpSys || c.Op == step.OpEnter || c.Op == step.OpCompare {
				c.Op, c.Arg[0], c.Slots = step.OpFail, uintptr(unix.EBADE), 0
			}
		})
		var se *stepError
		if !errors.As(err, &se) || se.Err != unix.EBADE || se.Step.String() != plan.StepAt(int(asm.StepOf(i))).String() {
			t.Errorf("call %d: %v", i, err)
		}
		if _, err := os.Stat(marker); err == nil {
			t.Fatalf("call %d: the target ran", i)
		}
		left("call %d", i)
	}
	// A namespace that is another by now is not entered.
	_, err := run(plan, func(tab *step.Table) {
		for i := range tab.Calls {
			if c := &tab.Calls[i]; c.Op == step.OpSys && c.Nr == unix.SYS_SETNS {
				c.Nr = unix.SYS_GETPID // a setns(2) that lies
			}
		}
	})
	var se *stepError
	if !errors.As(err, &se) || !strings.HasPrefix(se.Step.String(), "join ") {
		t.Errorf("a setns that does nothing: %v", err)
	}
	if exit, err := run(plan, nil); err != nil || exit.Code() != 0 {
		t.Errorf("exit %d, %v", exit.Code(), err)
	}
	if _, err := os.Stat(marker); err != nil {
		t.Error(err)
	}
	left("a run")
}

// run runs the plan, whose table the hook may change.
func run(plan *planner.Plan, hook func(*step.Table)) (Exit, error) {
	ps, err := start(plan, hooks{table: hook})
	if err != nil {
		return Exit{}, err
	}
	return ps.Wait()
}

// joinPlan joins the network that the test is in, and makes a marker.
func joinPlan(t *testing.T) (*planner.Plan, string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("it takes root to join one's own")
	}
	p, err := policies.Find("default")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if p, err = p.Expand(policy.Vars{Home: home, User: "u"}); err != nil {
		t.Fatal(err)
	}
	p.Files.Write, p.Files.Tmpfs = append(p.Files.Write, home), nil
	p.Namespaces.Net = spaceOf(t, "--net") + "net"
	target := host.Target{Path: "/bin/touch", Args: []string{"touch", "ran"}, Dir: home, PID: os.Getpid()}
	h, err := host.Probe(p, target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	h.Terminal.Controlling = false
	plan, err := planner.Build(p, plantest.AllowAll, target, h)
	if err != nil {
		t.Fatal(err)
	}
	return plan, filepath.Join(home, "ran")
}

// TestClocks reads the clocks inside a new time namespace.
func TestClocks(t *testing.T) {
	up := func() float64 {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
			t.Fatal(err)
		}
		return float64(ts.Sec)
	}
	const day = 86400
	before := up()
	got := inside(t, func(p *policy.Policy) {
		p.Namespaces.Time, p.Namespaces.Boottime, p.Namespaces.Monotonic = "new", "2400h", "-2s"
	}, `cut -d" " -f1 /proc/uptime; python3 -c 'import time; print(time.clock_gettime(time.CLOCK_BOOTTIME), `+
		`time.monotonic())'; readlink /proc/self/ns/time; readlink /proc/self/ns/time_for_children`)
	after := up()
	f := strings.Fields(got)
	if len(f) != 5 {
		t.Fatal(got)
	}
	var n [3]float64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseFloat(f[i], 64); err != nil {
			t.Fatal(err)
		}
	}
	for i, by := range []float64{100 * day, 100 * day, -2} {
		// The monotonic clock stands still while the machine sleeps.
		if n[i] < before+by-1 && i < 2 || n[i] > after+by+2 {
			t.Errorf("clock %d is %f, was %f to %f outside", i, n[i], before, after)
		}
	}
	if f[3] != f[4] || f[3] == link(t, "/proc/self/ns/time") {
		t.Errorf("time namespaces %s and %s", f[3], f[4])
	}
}
