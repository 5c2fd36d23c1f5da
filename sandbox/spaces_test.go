package sandbox

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
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/process"
)

func ptr[T any](v T) *T { return &v }

// TestKept holds who may keep which capabilities.
func TestKept(t *testing.T) {
	const bind = caps.Set(1) << unix.CAP_NET_BIND_SERVICE
	for _, c := range []struct {
		name string
		uid  int
		edit func(*policy.Policy, *Host)
		keep string
		want caps.Set
		err  string
	}{
		{"root", 0, nil, "net_bind_service", bind, ""},
		{"root, ambient", 0, func(p *policy.Policy, _ *Host) { p.Process.Ambient = ptr(true) }, "net_bind_service", bind, ""},
		{"root without it", 0, func(_ *policy.Policy, h *Host) { h.Held = 0 }, "net_bind_service", 0, "which the caller does not have"},
		{"root without it, optional", 0, func(_ *policy.Policy, h *Host) { h.Held = 0 }, "?net_bind_service", 0, ""},
		{"user", 1000, nil, "net_bind_service", 0, "which the caller does not have"},
		{"user, optional", 1000, nil, "?net_bind_service", 0, ""},
		{"user, ambient, optional", 1000, func(p *policy.Policy, _ *Host) { p.Process.Ambient = ptr(true) }, "?net_bind_service", 0, ""},
		{"user 0 of an automatic namespace", 1000, func(p *policy.Policy, _ *Host) { p.Namespaces.UID = ptr(0) }, "?net_bind_service", 0, ""},
		{"root mapped", 1000, func(p *policy.Policy, _ *Host) { p.Namespaces.User, p.Namespaces.UID = "new", ptr(0) }, "net_bind_service", bind, ""},
		{"root in a namespace of its own", 0, func(p *policy.Policy, h *Host) { p.Namespaces.User, h.Held = "new", 0 }, "net_bind_service", bind, ""},
		{"root as a user", 0, func(p *policy.Policy, _ *Host) { p.Namespaces.User, p.Namespaces.UID = "new", ptr(5) }, "net_bind_service", 0, "loses it when the program is executed"},
		{"user in a namespace of its own", 1000, func(p *policy.Policy, _ *Host) { p.Namespaces.User = "new" }, "net_bind_service", 0, "loses it when the program is executed"},
		{"user in a namespace of its own, ambient", 1000, func(p *policy.Policy, _ *Host) {
			p.Namespaces.User, p.Process.Ambient = "new", ptr(true)
		}, "net_bind_service", bind, ""},
		{"user with powers", 1000, func(_ *policy.Policy, h *Host) { h.Caps, h.Held = caps.Admin|bind, bind }, "net_bind_service", 0, "loses it when the program is executed"},
		{"user with powers, ambient", 1000, func(p *policy.Policy, h *Host) {
			p.Process.Ambient, h.Caps, h.Held = ptr(true), caps.Admin|bind, bind
		}, "net_bind_service", bind, ""},
		{"no such capability", 0, nil, "root", 0, `unknown capability "root"`},
	} {
		p := &policy.Policy{Name: "p", Process: policy.Process{Capabilities: []string{c.keep}}}
		h := debian(p, c.uid)
		if c.edit != nil {
			c.edit(p, h)
		}
		s, err := namespaces(p, h)
		if err != nil {
			t.Fatal(err)
		}
		got, err := kept(p, h, s)
		if got != c.want || c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: keeps %v, %v; want %v, %q", c.name, got, err, c.want, c.err)
		}
	}
}

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
	target := Target{Path: "/bin/sh", Args: []string{"sh", "-c", "{ " + script + "\n} >out 2>&1"}, Env: os.Environ(), Dir: home, PID: os.Getpid()}
	h, err := Probe(p, target)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	h.Terminal = false
	plan, err := Build(p, allowAll, target, h)
	if err != nil {
		t.Fatal(err)
	}
	ps, err := plan.Start()
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
			p.Namespaces.User, p.Namespaces.UID = "new", ptr(0)
			p.Process.Capabilities = []string{"net_bind_service"}
		}, none, bind, bind, none, false},
		{"root mapped, ambient", func(p *policy.Policy) {
			p.Namespaces.User, p.Namespaces.UID, p.Process.Ambient = "new", ptr(0), ptr(true)
			p.Process.Capabilities = []string{"net_bind_service"}
		}, bind, bind, bind, bind, false},
		{"user mapped, ambient", func(p *policy.Policy) {
			p.Namespaces.User, p.Namespaces.UID, p.Process.Ambient = "new", ptr(7), ptr(true)
			p.Process.Capabilities = []string{"net_bind_service"}
		}, bind, bind, bind, bind, false},
		{"nothing kept", func(p *policy.Policy) {
			p.Namespaces.User, p.Namespaces.UID, p.Process.Ambient = "new", ptr(0), ptr(true)
		},
			none, none, none, none, false},
		{"root of the host", func(p *policy.Policy) { p.Process.Capabilities = []string{"net_bind_service"} },
			none, bind, bind, none, true},
		{"root of the host, ambient", func(p *policy.Policy) {
			p.Process.Capabilities, p.Process.Ambient = []string{"net_bind_service"}, ptr(true)
		}, bind, bind, bind, bind, true},
	} {
		if c.root && os.Getuid() != 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			got := inside(t, c.edit, "grep ^Cap /proc/self/status")
			want := "CapInh:\t" + c.inh + "\nCapPrm:\t" + c.prm + "\nCapEff:\t" + c.prm + "\nCapBnd:\t" + c.bnd + "\nCapAmb:\t" + c.amb + "\n"
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
		n.User, n.UID, n.GID, n.Hostname = "new", ptr(77), ptr(88), "box.example"
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
			n.User, n.UID, n.GID, n.Hostname, n.Time, n.Boottime = "new", ptr(5), ptr(6), "box", "new", "1h"
			p.Process.Capabilities, p.Process.Ambient = []string{"net_raw", "checkpoint_restore"}, ptr(true)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if abi < c.abi {
				t.Skip("this kernel's Landlock keeps no signals inside: such a policy is refused")
			}
			plan := planWith(t, "default", c.edit, "/bin/touch", "ran")
			sweep(t, plan, func(s step.Step) bool {
				switch s.(type) {
				case ns.OpenProc, ns.IDMap, ns.NoUsers, ns.Clocks, ns.Hostname, caps.Ambient, caps.Securebits, caps.Reduce,
					process.Adopt, process.DieWithLauncher, process.DieWithInit, process.OutliveLauncher, process.CloseAll:
					return true
				}
				return false
			})
		})
	}
	// An ambient capability too few is noticed, for what it is.
	plan := planWith(t, "default", func(p *policy.Policy) {
		p.Namespaces.User, p.Process.Capabilities, p.Process.Ambient = "new", []string{"net_raw"}, ptr(true)
	}, "/bin/touch", "ran")
	_, err = run(plan, func(tab *step.Table) {
		for i := range tab.Calls {
			if c := &tab.Calls[i]; c.Nr == unix.SYS_PRCTL && c.Arg[0] == unix.PR_CAP_AMBIENT && c.Arg[1] == unix.PR_CAP_AMBIENT_RAISE {
				c.Nr = unix.SYS_GETPID
			}
		}
	})
	var se *StepError
	if !errors.As(err, &se) || se.Step.String() != "verify that the capabilities left are net_raw, ambient net_raw" {
		t.Errorf("a prctl that lies: %v", err)
	}
}
