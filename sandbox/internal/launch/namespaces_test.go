package launch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/internal/step"
	"sbx/ns"
	"sbx/policies"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/plan"
	"sbx/sandbox/internal/plantest"
	"sbx/sandbox/internal/process"
)

// inside runs a script in a sandbox of the default policy, edited, and returns
// what it printed.
func inside(t *testing.T, edit func(*policy.Policy), script string) string {
	t.Helper()
	launches(t)
	p, err := policies.Find("default")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if p, err = p.Expand(policy.Vars{Home: home, User: "u", UID: os.Getuid()}); err != nil {
		t.Fatal(err)
	}
	p.Files.Write, p.Files.Tmpfs = append(p.Files.Write, home), nil
	edit(p)
	target := host.Target{
		Path: "/bin/sh",
		Args: []string{"sh", "-c", "{ " + script + "\n} >out 2>&1"},
		Env:  os.Environ(),
		Dir:  home,
		PID:  os.Getpid(),
	}
	h, err := host.Probe(p, target)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	h.Terminal.Controlling = false
	plan, err := plan.Build(p, plantest.AllowAll, target, h)
	if err != nil {
		t.Fatal(err)
	}
	ps, err := Start(plan)
	if err != nil {
		t.Fatal(err)
	}
	exit, err := ps.Wait()
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(filepath.Join(home, "out"))
	if err != nil || exit.Code() != 0 {
		t.Fatalf("exit %d, %v\n%s", exit.Code(), err, out)
	}
	return string(out)
}

// TestCapabilitySets reads the five sets back inside: after the exec of a
// program, which is when they count.
func TestCapabilitySets(t *testing.T) {
	const bind = "0000000000000400"
	none := "0000000000000000"
	for _, c := range []struct {
		name               string
		edit               func(*policy.Policy)
		inh, prm, bnd, amb string
		root               bool
	}{
		{"root mapped", func(p *policy.Policy) {
			p.Namespaces.User, p.Namespaces.UID = "new", plantest.Ptr(0)
			p.Process.Capabilities = []string{"net_bind_service"}
		}, none, bind, bind, none, false},
		{"root mapped, ambient", func(p *policy.Policy) {
			p.Namespaces.User, p.Namespaces.UID, p.Process.Ambient = "new", plantest.Ptr(0), plantest.Ptr(true)
			p.Process.Capabilities = []string{"net_bind_service"}
		}, bind, bind, bind, bind, false},
		{"user mapped, ambient", func(p *policy.Policy) {
			p.Namespaces.User, p.Namespaces.UID, p.Process.Ambient = "new", plantest.Ptr(7), plantest.Ptr(true)
			p.Process.Capabilities = []string{"net_bind_service"}
		}, bind, bind, bind, bind, false},
		{"nothing kept", func(p *policy.Policy) {
			p.Namespaces.User, p.Namespaces.UID, p.Process.Ambient = "new", plantest.Ptr(0), plantest.Ptr(true)
		},
			none, none, none, none, false},
		{"root of the host", func(p *policy.Policy) { p.Process.Capabilities = []string{"net_bind_service"} },
			none, bind, bind, none, true},
		{"root of the host, ambient", func(p *policy.Policy) {
			p.Process.Capabilities, p.Process.Ambient = []string{"net_bind_service"}, plantest.Ptr(true)
		}, bind, bind, bind, bind, true},
	} {
		if c.root && os.Getuid() != 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			got := inside(t, c.edit, "grep ^Cap /proc/self/status")
			want := "CapInh:\t" + c.inh + "\nCapPrm:\t" + c.prm + "\nCapEff:\t" + c.prm + "\nCapBnd:\t" + c.bnd +
				"\nCapAmb:\t" + c.amb + "\n"
			if got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// TestNames holds ids and hostname inside, and that no user namespace can be
// had there even though the filter here lets everything through.
func TestNames(t *testing.T) {
	outside, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	got := inside(t, func(p *policy.Policy) {
		n := &p.Namespaces
		n.User, n.UID, n.GID, n.Hostname = "new", plantest.Ptr(77), plantest.Ptr(88), "box.example"
	}, "id -u; id -g; uname -n; cat /proc/sys/user/max_user_namespaces; unshare --user true && echo nested; true")
	if want := "77\n88\nbox.example\n0\nunshare: "; !strings.HasPrefix(got, want) || strings.Contains(got, "nested") {
		t.Errorf("got %q, want %q", got, want)
	}
	if now, err := os.Hostname(); err != nil || now != outside {
		t.Errorf("the host is called %q now, %v", now, err)
	}
	number, err := os.ReadFile("/proc/sys/user/max_user_namespaces")
	if err != nil || strings.TrimSpace(string(number)) == "0" {
		t.Errorf("the host's max_user_namespaces is %q, %v", number, err)
	}
}

// TestSpaceFaults makes each call of the steps fail that only some namespaces
// and capabilities take, and of all that surrounds them.
func TestSpaceFaults(t *testing.T) {
	abi, err := landlock.ABI()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		abi  int // Landlock's that it takes
		edit func(*policy.Policy)
	}{
		{"host's processes", landlock.ABIScopes, func(p *policy.Policy) { p.Namespaces.PID = "host" }},
		{"ids, clocks, ambient", 0, func(p *policy.Policy) {
			n := &p.Namespaces
			n.User, n.UID, n.GID, n.Hostname, n.Time, n.Boottime = "new", plantest.Ptr(5), plantest.Ptr(6), "box", "new", "1h"
			p.Process.Capabilities, p.Process.Ambient = []string{"net_raw", "checkpoint_restore"}, plantest.Ptr(true)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if abi < c.abi {
				t.Skip("this kernel's Landlock keeps no signals inside: such a policy is refused")
			}
			plan := planWith(t, "default", c.edit, "/bin/touch", "ran")
			sweep(t, plan, func(s step.Step) bool {
				switch s.(type) {
				case ns.OpenProc, ns.IDMap, ns.NoUserNS, ns.Clocks, ns.Hostname, caps.Ambient, caps.Securebits, caps.Reduce,
					process.Subreaper, process.DieWithLauncher, process.DieWithInit, process.OutliveLauncher, process.CloseAll:
					return true
				}
				return false
			})
		})
	}
	// An ambient capability too few is noticed, for what it is.
	plan := planWith(t, "default", func(p *policy.Policy) {
		p.Namespaces.User, p.Process.Capabilities, p.Process.Ambient = "new", []string{"net_raw"}, plantest.Ptr(true)
	}, "/bin/touch", "ran")
	_, err = run(plan, func(tab *step.Table) {
		for i := range tab.Calls {
			if c := &tab.Calls[i]; c.Nr == unix.SYS_PRCTL && c.Arg[0] == unix.PR_CAP_AMBIENT &&
				c.Arg[1] == unix.PR_CAP_AMBIENT_RAISE {
				c.Nr = unix.SYS_GETPID
			}
		}
	})
	var se *stepError
	if !errors.As(err, &se) || se.Step.String() != "verify that the capabilities left are net_raw, ambient net_raw" {
		t.Errorf("a prctl that lies: %v", err)
	}
}
