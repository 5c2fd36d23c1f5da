package learn

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sbx/policy"
	"sbx/policy/seccomp"
)

func call(name string, args ...uint64) Call {
	c := Call{Name: name, By: By{Exe: "/bin/prog", Count: 12}}
	copy(c.Args[:], args)
	c.Class = Classify(name, c.Args)
	return c
}

func TestCalls(t *testing.T) {
	const tcgets = 0x5401
	for _, c := range []struct {
		what    string
		calls   []Call
		tight   bool
		extends string
		has     []string
		hasNot  []string
	}{
		{"usual ones", []Call{call("read"), call("write")}, false, "pure", nil, []string{"allow = [\n  \"read",
			"[seccomp]"}},
		{"one that the roles deny", []Call{call("ptrace"), call("mincore")}, false, "pure",
			[]string{`"!ptrace",  # prog, often`, `"ptrace",  # prog, often`}, []string{"mincore"}},
		{"one that none has", []Call{call("kcmp", 1, 2)}, false, "pure", []string{`"kcmp",  # prog, often`,
			`"!kcmp"`}, nil},
		{"sockets", []Call{call("socket", 2, 1, 0), call("socket", 2, 1, 6)}, false, "base",
			[]string{`when = ["arg0 not in {AF_INET, AF_UNIX}"]`}, nil},
		{"tight", []Call{call("read"), call("ioctl", 3, tcgets), call("clone", 0x1200011), call("prctl", 15)}, true,
			"pure",
			[]string{`"!@system-service",`, `"read",  # prog, often`, `arg1 not in {TCGETS}`,
				`arg0 not in {PR_SET_NAME}`,
				`"arg0 & 0xfedfff00 != 0"`, `"rt_sigreturn",`}, []string{`"write"`}},
	} {
		k := maker(newMachine())
		k.Tight = c.tight
		made, err := k.Make(&Seen{Calls: c.calls})
		if err != nil {
			t.Fatal(err)
		}
		if made.Own.Extends[0] != c.extends {
			t.Errorf("%s: extends %q", c.what, made.Own.Extends)
		}
		for _, s := range c.has {
			if !strings.Contains(string(made.Text), s) {
				t.Errorf("%s: there is no %s in\n%s", c.what, s, made.Text)
			}
		}
		for _, s := range c.hasNot {
			if strings.Contains(string(made.Text), s) {
				t.Errorf("%s: there is %s in\n%s", c.what, s, made.Text)
			}
		}
	}
}

// TestAllowed: the policy allows each call that was seen, with its arguments, tight or not.
func TestAllowed(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var names []string
	for s := range seccomp.Syscalls() {
		if _, ok := s.Number(seccomp.AMD64); ok {
			names = append(names, s.Name())
		}
	}
	widest, _, err := maker(newMachine()).Resolve(&policy.Policy{Name: "x", Version: 1, Extends: []string{"base"}})
	if err != nil {
		t.Fatal(err)
	}
	wide, err := answersOf(Calls(widest), seccomp.AMD64)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		var list []Call
		for range 60 {
			c := call(names[random.IntN(len(names))], random.Uint64N(20), random.Uint64N(4), 0)
			if _, denied := wide.denies(c); !denied {
				list = append(list, c)
			}
		}
		for _, tight := range []bool{false, true} {
			k := maker(newMachine(), "base")
			k.Tight = tight
			made, err := k.Make(&Seen{Calls: list})
			if err != nil {
				t.Fatal(err)
			}
			p, err := policy.Parse("made", made.Text)
			if err != nil {
				t.Fatalf("%v\n%s", err, made.Text)
			}
			resolved, _, err := k.Resolve(p)
			if err != nil {
				t.Fatalf("%v\n%s", err, made.Text)
			}
			a, err := answersOf(resolved, seccomp.AMD64)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range list {
				if why, denied := a.denies(c); denied {
					t.Errorf("tight %v: %s(%v) is denied: %v\n%s", tight, c.Name, c.Args, why, made.Text)
				}
			}
		}
	}
}

func TestChanging(t *testing.T) {
	for name, want := range map[string]bool{
		"1234": true, "0f3a9c11de": true, "1.2.3": true, "left-pad@1.3.0": true, "tmpab12": true, "x.lock": true,
		"svc.pid": true, "conf.d": false, "lib64": false, "nginx": false, "python3.11": false,
		"x86_64-linux-gnu": false,
		"v2":               false, "deadbeef": false, "": false,
	} {
		if got := changing(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// TestObserve: what has a path, an address, a class or a capability is observed whatever is
// known; what the launcher calls itself under the filter never is.
func TestObserve(t *testing.T) {
	has := func(list []uint32, name string) bool {
		s, err := seccomp.LookupSyscall(name)
		if err != nil {
			t.Fatal(err)
		}
		nr, _ := s.Number(seccomp.AMD64)
		return slices.Contains(list, nr)
	}
	all := Observe(seccomp.AMD64, nil)
	some := Observe(seccomp.AMD64, []string{"read", "openat", "socket", "connect", "setuid", "set_tid_address",
		"mmap"})
	for name, want := range map[string][2]bool{
		"read": {true, false}, "mmap": {true, false}, "openat": {true, true}, "socket": {true, true},
		"connect": {true, true},
		"setuid":  {true, true}, "set_tid_address": {true, true}, "write": {true, true}, "execve": {false, false},
		"exit_group": {false, false},
	} {
		if has(all, name) != want[0] || has(some, name) != want[1] {
			t.Errorf("%s: %v, %v", name, has(all, name), has(some, name))
		}
	}
}

// TestKnown: what the tightest role allows with all arguments the others allow too, so it need
// not be observed whichever of them comes out.
func TestKnown(t *testing.T) {
	k := maker(newMachine())
	known := func(role string) []string {
		p, _, err := k.Resolve(&policy.Policy{Name: "x", Version: 1, Extends: []string{role}})
		if err != nil {
			t.Fatal(err)
		}
		list, err := Known(p, seccomp.AMD64)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	least := known(k.Roles[0])
	if len(least) < 150 || slices.Contains(least, "ptrace") || slices.Contains(least, "ioctl") {
		t.Errorf("%d calls: %q", len(least), least)
	}
	for _, role := range k.Roles[1:] {
		list := known(role)
		for _, name := range least {
			if !slices.Contains(list, name) {
				t.Errorf("%s does not allow %s", role, name)
			}
		}
	}
}

// TestWiden: in a run that is learnt from what is dangerous stays denied, and nothing of the
// host is changed.
func TestWiden(t *testing.T) {
	for _, role := range []string{"base", "default", "project", "build", "web"} {
		resolved, expanded, err := maker(newMachine()).Resolve(&policy.Policy{Name: "x", Version: 1,
			Extends: []string{role}})
		if err != nil {
			t.Fatal(err)
		}
		a, err := answersOf(Calls(resolved), seccomp.AMD64)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"mount", "bpf", "kexec_load", "init_module", "keyctl", "io_uring_setup",
			"perf_event_open",
			"userfaultfd", "open_by_handle_at", "clock_settime", "reboot", "swapon", "move_mount", "pidfd_getfd"} {
			if _, denied := a.denies(call(name)); !denied {
				t.Errorf("%s: %s is allowed", role, name)
			}
		}
		for _, name := range []string{"ptrace", "shmget", "mincore", "listxattr"} {
			if why, denied := a.denies(call(name)); denied {
				t.Errorf("%s: %s is denied: %v", role, name, why)
			}
		}
		tops := []Top{{Path: "/etc"}, {Path: "/opt", Mounts: true}, {Path: "/usr"}, {Path: "/sys"}, {Path: "/run"},
			{Path: testHome}}
		p := Files(expanded, tops, []string{"/etc/shadow", testHome + "/.ssh"}, testHome, testDir)
		tree := p.Tree()
		for name, want := range map[string]policy.Kind{
			"/etc/x": policy.KindOverlay, "/opt/x": policy.KindRead, "/usr/x": policy.KindRead,
			"/sys/x": policy.NoEntry,
			"/run/x": policy.KindTmpfs, testHome + "/x": policy.KindOverlay, "/tmp/x": policy.KindTmpfs,
		} {
			if got := tree.At(name).Kind; got != want {
				t.Errorf("%s: %s is %v, want %v", role, name, got, want)
			}
		}
		if !tree.Covers("/etc/shadow") || !tree.Covers(testHome+"/.ssh/id") {
			t.Errorf("%s: secrets are shown: %v", role, tree.Hidden)
		}
		writes := tree.At(testDir + "/x").Kind
		if want := role == "project" || role == "build"; want != (writes == policy.KindWrite) || !writes.Writes() {
			t.Errorf("%s: the project is %v", role, writes)
		}
	}
}

// TestVital: how a program waits differs from run to run, so each tight list has all ways.
func TestVital(t *testing.T) {
	for _, name := range []string{"rt_sigsuspend", "restart_syscall", "futex", "clock_nanosleep"} {
		if !slices.Contains(vital[:], name) {
			t.Errorf("%s is left out where one run has not waited by it", name)
		}
	}
}
