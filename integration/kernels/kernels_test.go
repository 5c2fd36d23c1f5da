package kernels

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sbx/integration/kernels/job"
)

// guest is a line of the matrix.
type guest struct {
	machine // with no kernel: this one, without a guest
	name    string
	// small says that the root has nothing to lay out the tests with: they
	// find it done (see smallRoot in guest/root.go).
	small bool
	// facts must hold in the guest; see condition in integration/guest_test.go.
	facts string
	// run and skip choose from the tests of integration, as -test.run and
	// -test.skip do. The scripts of testdata/guest ask for what they need by
	// themselves.
	run, skip string
	// units says to run the other packages' tests as well.
	units bool
}

// all chooses the tests of integration that run in full; newer, those that ask
// what a kernel newer than this one's knows; short, what the ordinary `make test`
// has time for; refusals, what a kernel that lacks something has to say. Under
// emulation a launch takes a third of a second.
const (
	all = "."
	// Thousands of launches; megabytes; what is the same on every kernel; what
	// needs a compiler or systemd; what pretends another kernel.
	allSkip = "^Test(FaultSweep|Oracle|Soak.*|Many.*|.*KilledAtAnyInstant|Raced|CacheTogether|OwnTerminalOutput" +
		"|Storm|Arguments.*|FlagValues.*|SecretsAreNotPrinted|DirIsNoWayOut|SwappedWhilePlanned|InheritedOddities" +
		"|NoNamesInSharedPlaces|KeptCapabilities" +
		"|Export.*|Import.*|RoundTrip|OddNames|LongPaths|TenThousand|EvilPath|StaticBinary" +
		"|SocketActivation.*|Notify|Nginx.*|OuterFilter|NoLandlock)$" +
		"|^TestScript$/^(role-(build|fetch|web|pure|filter)|exact|dryrun|overrides|where|files-rules)$"
	// Of the other packages: hundreds of launches, ten thousand files.
	unitSkip = "^Test(Stress|Cut|LauncherKilled|Janitor.*)$"
	newer    = "^Test(Guest|PrivilegesCannotGrow|UnixSockets|NamedSockets|NotifyOnly|Buses|Ports" +
		"|AllOfHost|HostPID|HostMount|JoinedNamespaces" +
		"|NestedAndWrapped|ProcAndSys|MountFlags|KernelSurface|LimitKills|OwnTerminal|TerminalGroup)$" +
		"|^TestScript$/^(root|status|identity|hidden|limits|label|files-.*|" + scripts + ")$"
	short = "^(TestGuest|TestPrivilegesCannotGrow|TestTerminalGroup)$|^TestScript$/^(identity|status|" +
		"guest-(core|limits|nonamespaces))$"
	refusals = "^(TestGuest|TestNoLandlock|TestPrivilegesCannotGrow|TestTerminalGroup)$|^TestScript$/^(root|" +
		scripts + ")$"
	scripts  = "guest-.*"
	controls = " cgroup:memory cgroup:pids cgroup:cpu cgroup:io"
)

var matrix = []guest{
	{name: "6.1", machine: machine{kernel: "6.1"}, run: all, skip: allSkip, units: true,
		facts: "guest kernel:6.1 !kernel:6.2 landlock:2 !landlock:3 lsm:apparmor" + controls},
	{name: "6.12", machine: machine{kernel: "6.12"}, run: all, skip: allSkip, units: true,
		facts: "guest kernel:6.12 !kernel:6.13 landlock:6 !landlock:7 lsm:apparmor" + controls},
	{name: "new", machine: machine{kernel: "new"}, run: newer,
		facts: "guest kernel:7.1 landlock:9 lsm:apparmor" + controls},
	{name: "running", run: all, skip: allSkip},
	{name: "6.1-bare", machine: machine{kernel: "6.1", cmdline: "lsm=lockdown,yama cgroup_disable=memory"}, run: refusals,
		facts: "guest kernel:6.1 !landlock:1 !lsm:apparmor !cgroup:memory cgroup:pids"},
	{name: "6.12-bare", machine: machine{kernel: "6.12", cmdline: "lsm=lockdown,yama cgroup_disable=memory"},
		run:   refusals,
		facts: "guest kernel:6.12 !landlock:1 !lsm:apparmor !cgroup:memory cgroup:pids"},
	{name: "6.12-selinux", machine: machine{kernel: "6.12", cmdline: "lsm=landlock,lockdown,yama,selinux selinux=1"},
		run:   refusals,
		facts: "guest kernel:6.12 landlock:6 !lsm:apparmor lsm:selinux" + controls},
	{name: "6.12-busybox", machine: machine{kernel: "6.12", cmdline: "sbx.root=small"},
		run: "^(TestGuest|TestSmallRoot)$", small: true,
		facts: "guest rootfs:tmpfs"},
	{name: "6.1-initramfs", machine: machine{kernel: "6.1", cmdline: "sbx.root=initramfs"},
		run: "^(TestGuest|TestSmallRoot)$", small: true,
		facts: "guest rootfs:rootfs"},
	{name: "5.10", machine: machine{kernel: "5.10"}, run: "^TestGuest$|^TestScript$/^guest-(old|doctor)$",
		facts: "guest kernel:5.10 !kernel:5.11 !landlock:1 lsm:apparmor" + controls},
}

// TestKernels boots the guests that SBX_KERNELS names ("all", "short", or
// names of the matrix) and runs the tests in each, as root and as a user.
// SBX_GUEST_RUN chooses other tests of integration, as -run does.
func TestKernels(t *testing.T) {
	names := strings.Fields(os.Getenv("SBX_KERNELS"))
	if len(names) == 0 {
		t.Skip("SBX_KERNELS names no kernels; see make test-kernels")
	}
	guests := slices.Clone(matrix)
	switch {
	case slices.Equal(names, []string{"short"}):
		guests = guests[:1]
		guests[0].run, guests[0].skip, guests[0].units = short, "^$", false
	case !slices.Equal(names, []string{"all"}):
		guests = nil
		for _, name := range names {
			i := slices.IndexFunc(matrix, func(g guest) bool { return g.name == name })
			if i < 0 {
				t.Fatalf("no kernel %s in the matrix", name)
			}
			guests = append(guests, matrix[i])
		}
	}
	if run := os.Getenv("SBX_GUEST_RUN"); run != "" {
		for i := range guests {
			guests[i].run, guests[i].skip, guests[i].units = "^TestGuest$|"+run, "^$", false
		}
	}
	start := time.Now()
	var units []string
	if slices.ContainsFunc(guests, func(g guest) bool { return g.units }) {
		var err error
		if units, err = unitPackages(); err != nil || len(units) < 5 {
			t.Fatal(units, err)
		}
	}
	d, err := layDisks(t.TempDir(), os.Getenv("SBX_BIN"), append([]string{"integration"}, units...))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("disks: %.1fs", time.Since(start).Seconds())
	for _, g := range guests {
		if g.kernel == "" {
			t.Run(g.name, func(t *testing.T) { g.native(t, d) }) // alone: some of it measures
		}
	}
	// Two at a time, in the order of the matrix: the longest first.
	queue, reports := make(chan int, len(guests)), make([]chan booted, len(guests))
	for i := range guests {
		if g := &guests[i]; g.kernel != "" {
			g.lay(units)
			reports[i] = make(chan booted, 1)
			queue <- i
		}
	}
	close(queue)
	for range 2 {
		go func() {
			for i := range queue {
				reports[i] <- guests[i].start(t, d)
			}
		}()
	}
	for i, g := range guests {
		if g.kernel != "" {
			t.Run(g.name, func(t *testing.T) { g.test(t, <-reports[i]) })
		}
	}
}

const each = 10 * time.Minute // is what a job may take

// lay adds the guest's jobs.
func (g *guest) lay(units []string) {
	env := []string{"SBX_BIN=/tests/bin/sbx", "SBX_PROBE=/tests/bin/probe", "SBX_MUST_WORK=1", "SBX_GUEST=" + g.facts}
	for _, role := range []string{"root", "user"} {
		as := "SBX_IT_ONLY=" + role
		if g.small {
			as = "SBX_IT_AS=" + role
		}
		g.jobs = append(g.jobs, job.Job{
			Name: role, Dir: "/tests/unit/integration", Env: append(slices.Clip(env), as, "SBX_IT_BASE=/base"), Timeout: each,
			User: g.small && role == "user",
			Args: []string{"/tests/unit/integration/test", "-test.v", "-test.run", g.run, "-test.skip", g.skip},
		})
		for _, pkg := range units {
			if g.units {
				dir := "/tests/unit/" + pkg
				g.jobs = append(g.jobs, job.Job{Name: role + "/" + pkg, User: role == "user", Dir: dir, Env: env, Timeout: each,
					Args: []string{dir + "/test", "-test.v", "-test.short", "-test.skip", unitSkip}})
			}
		}
	}
}

// booted is what came of a guest.
type booted struct {
	results    []job.Result
	console    string
	took, used time.Duration
	err        error
}

// start boots the guest and waits until it has ended.
func (g guest) start(t *testing.T, d disks) (b booted) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute+each*time.Duration(len(g.jobs)))
	defer cancel()
	start := time.Now()
	b.results, b.console, b.used, b.err = g.boot(ctx, g.name, t.TempDir(), d)
	b.took = time.Since(start)
	return b
}

// test reports what the guest's tests have reported.
func (g guest) test(t *testing.T, b booted) {
	if b.err != nil {
		t.Errorf("%v\nconsole:\n%s", b.err, tail(b.console, 60))
	}
	for _, j := range g.jobs {
		t.Run(j.Name, func(t *testing.T) {
			i := slices.IndexFunc(b.results, func(r job.Result) bool { return r.Name == j.Name })
			if i < 0 {
				t.Fatal("was not run")
			}
			report(t, b.results[i])
		})
	}
	t.Logf("%s: %.1fs, of the processors %.1fs", g.name, b.took.Seconds(), b.used.Seconds())
}

// native runs the tests on the kernel that there is, as both if by root.
func (g guest) native(t *testing.T, d disks) {
	roles := []string{"root", "user"}
	if os.Getuid() != 0 {
		roles = roles[1:]
	}
	for _, role := range roles {
		t.Run(role, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), filepath.Join(d.tests, "unit", "integration", "test"), "-test.v",
				"-test.run", g.run, "-test.skip", g.skip)
			cmd.Dir = repo + "/integration"
			cmd.Env = append(os.Environ(), "SBX_BIN="+filepath.Join(d.tests, "bin", "sbx"),
				"SBX_PROBE="+filepath.Join(d.tests, "bin", "probe"), "SBX_IT_ONLY="+role)
			start := time.Now()
			out, err := cmd.CombinedOutput()
			r := job.Result{Name: role, Status: cmd.ProcessState.ExitCode(), Took: time.Since(start), Output: string(out),
				Ended: true}
			if err != nil && r.Status == 0 {
				t.Error(err)
			}
			report(t, r)
		})
	}
}

// tail is the last lines of a text.
func tail(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}

// TestScriptsAskRightly: each script for guests is named so that the matrix
// finds it.
func TestScriptsAskRightly(t *testing.T) {
	files, err := filepath.Glob(repo + "/integration/testdata/guest/*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		if base := filepath.Base(name); !strings.HasPrefix(base, "guest-") || !strings.HasSuffix(base, ".txtar") {
			t.Error(fmt.Errorf("%s: want guest-NAME.txtar", name))
		}
	}
}
