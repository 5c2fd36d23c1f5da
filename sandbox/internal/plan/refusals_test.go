package plan

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
)

// shareProc and bareFiles are for policies with the host's pid and mount
// namespaces.
func shareProc(edit func(*policy.Policy, *host.Facts)) func(*policy.Policy, *host.Facts, *host.Target) {
	return func(p *policy.Policy, h *host.Facts, _ *host.Target) {
		p.Namespaces.PID, h.ListsChildren = "host", true
		h.Files["/proc"] = host.File{Real: "/proc", Mode: unix.S_IFDIR, Ino: 1}
		edit(p, h)
	}
}

func bareFiles(edit func(*policy.Policy, *host.Facts)) func(*policy.Policy, *host.Facts, *host.Target) {
	return func(p *policy.Policy, h *host.Facts, t *host.Target) {
		p.Namespaces.Mount, p.Files.Tmpfs, p.Files.Proc, p.Files.Read = "host", nil, plantest.Ptr(false), []string{"/usr"}
		h.Files["/usr"] = host.File{Real: "/usr", Mode: unix.S_IFDIR, Ino: 2}
		t.Dir = "/"
		edit(p, h)
	}
}

// TestRefusals checks what Build refuses rather than weakens, and the messages.
func TestRefusals(t *testing.T) {
	dir := func(uid, perm uint32) host.File {
		return host.File{Real: "/w", Mode: unix.S_IFDIR, UID: uid, Perm: perm, Ino: 1}
	}
	words := &refusals{}
	for _, c := range []struct {
		name string
		uid  int
		edit func(*policy.Policy, *host.Facts, *host.Target)
		want error // nil means that the plan is made
	}{
		{"plain", 1000, func(*policy.Policy, *host.Facts, *host.Target) {}, nil},
		{"missing path", 1000, func(p *policy.Policy, h *host.Facts, _ *host.Target) { p.Files.Read = []string{"/none"} },
			unix.ENOENT},
		{"missing optional path", 1000, func(p *policy.Policy, h *host.Facts, _ *host.Target) {
			p.Files.Read = []string{"?/none"}
		}, nil},
		{"unreadable path", 0, func(p *policy.Policy, h *host.Facts, _ *host.Target) {
			p.Files.Read = []string{"/x"}
			h.Files["/x"] = host.File{Err: unix.EIO}
		}, unix.EIO},
		{"not writable", 1000, func(p *policy.Policy, h *host.Facts, _ *host.Target) {
			p.Files.Write = []string{"/w"}
			h.Files["/w"] = host.File{Real: "/w", Mode: unix.S_IFDIR, NoWrite: unix.EROFS}
		}, host.NotWritable},
		{"another's directory as root", 0, func(p *policy.Policy, h *host.Facts, _ *host.Target) {
			p.Files.Write = []string{"/w"}
			h.Files["/w"] = dir(1000, 0o755)
		}, host.NotWritable},
		{"another's directory with dac_override", 0, func(p *policy.Policy, h *host.Facts, _ *host.Target) {
			p.Files.Write = []string{"/w"}
			p.Process.Capabilities = []string{"dac_override"}
			h.Files["/w"] = dir(1000, 0o755)
		}, nil},
		{"everybody's directory as root", 0, func(p *policy.Policy, h *host.Facts, _ *host.Target) {
			p.Files.Write = []string{"/w"}
			h.Files["/w"] = dir(1000, 0o777)
		}, nil},
		{"capability that the caller lacks", 1000, func(p *policy.Policy, _ *host.Facts, _ *host.Target) {
			p.Process.Capabilities = []string{"net_bind_service"}
		}, host.NoCapability},
		{"optional capability", 1000, func(p *policy.Policy, _ *host.Facts, _ *host.Target) {
			p.Process.Capabilities = []string{"?net_bind_service"}
		}, nil},
		{"no such capability", 0, func(p *policy.Policy, _ *host.Facts, _ *host.Target) {
			p.Process.Capabilities = []string{"root"}
		}, caps.UnknownError{Name: "root"}},
		{"Landlock required", 1000, func(p *policy.Policy, h *host.Facts, _ *host.Target) {
			p.Process.Landlock, h.LSM.Landlock = "require", 0
		}, host.NoLandlock},
		{"Landlock if there", 1000, func(p *policy.Policy, h *host.Facts, _ *host.Target) { h.LSM.Landlock = 0 }, nil},
		{"a flag without a listener", 1000, func(p *policy.Policy, _ *host.Facts, _ *host.Target) {
			yes := true
			p.Seccomp.WaitKillable = &yes
		}, host.Impossible},
		{"limits", 1000, func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Limits.CPU = "5%" }, host.NoLimit},
		{"Landlock required in a nest", 1000, func(p *policy.Policy, _ *host.Facts, _ *host.Target) {
			yes := true
			p.Process.Landlock, p.Process.Nest = "require", &yes
		}, host.Conflict},
		{"host user namespace", 1000, func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Namespaces.User = "host" },
			host.NoCapability},
		{"host pid namespace, no list of children", 0, shareProc(func(_ *policy.Policy, h *host.Facts) {
			h.ListsChildren = false
		}), host.KernelLacks},
		{"host pid namespace, old Landlock", 0, shareProc(func(_ *policy.Policy, h *host.Facts) { h.LSM.Landlock = 5 }),
			host.NoLandlock},
		{"host pid namespace, nest", 1000, shareProc(func(p *policy.Policy, _ *host.Facts) {
			p.Process.Nest = plantest.Ptr(true)
		}), host.WrongNamespace},
		{"host pid namespace", 0, shareProc(func(*policy.Policy, *host.Facts) {}), nil},
		{"host pid namespace, no Landlock asked", 1000, shareProc(func(p *policy.Policy, h *host.Facts) {
			p.Process.Landlock, h.LSM.Landlock = "off", 0
		}), nil},
		{"host mount namespace", 1000, bareFiles(func(*policy.Policy, *host.Facts) {}), nil},
		{"host mount namespace, tmpfs", 1000, bareFiles(func(p *policy.Policy, _ *host.Facts) {
			p.Files.Tmpfs = []string{"/x"}
		}), host.WrongNamespace},
		{"host mount namespace, hide", 1000, bareFiles(func(p *policy.Policy, _ *host.Facts) {
			p.Files.Hide = []string{"*.pem"}
		}), host.WrongNamespace},
		{"host mount namespace, proc", 1000, bareFiles(func(p *policy.Policy, _ *host.Facts) {
			p.Files.Proc = nil
		}), host.WrongNamespace},
		{"host mount namespace, no Landlock", 1000, bareFiles(func(_ *policy.Policy, h *host.Facts) { h.LSM.Landlock = 0 }),
			host.NoLandlock},
		{"host mount namespace, old Landlock", 1000, bareFiles(func(_ *policy.Policy, h *host.Facts) { h.LSM.Landlock = 2 }),
			host.NoLandlock},
		{"host mount namespace, Landlock off", 1000, bareFiles(func(p *policy.Policy, _ *host.Facts) {
			p.Process.Landlock = "off"
		}), host.Conflict},
		{"host mount namespace, nest", 1000, bareFiles(func(p *policy.Policy, _ *host.Facts) {
			p.Process.Nest = plantest.Ptr(true)
		}), host.Conflict},
		{"host mount namespace, missing path", 1000, bareFiles(func(p *policy.Policy, _ *host.Facts) {
			p.Files.Read = []string{"/none"}
		}), unix.ENOENT},
		{"host mount namespace, read-only by a link", 1000, bareFiles(func(p *policy.Policy, h *host.Facts) {
			p.Files.Write, p.Files.Read = []string{"/l"}, []string{"/w/guard"}
			h.Files["/w/guard"] = host.File{Real: "/w/guard", Mode: unix.S_IFDIR}
			h.Files["/l"] = host.File{Real: "/w", Link: "w", Mode: unix.S_IFDIR}
		}), host.WrongNamespace},
		{"host mount namespace, link out of what is shown", 1000, bareFiles(func(p *policy.Policy, h *host.Facts) {
			p.Files.Read = []string{"/r", "/r/l"}
			h.Files["/r"] = host.File{Real: "/r", Mode: unix.S_IFDIR}
			h.Files["/r/l"] = host.File{Real: "/vault", Link: "/vault", Mode: unix.S_IFDIR}
		}), host.BehindLink},
		{"host mount namespace, directory not shown", 1000, func(p *policy.Policy, h *host.Facts, t *host.Target) {
			bareFiles(func(*policy.Policy, *host.Facts) {})(p, h, t)
			t.Dir = "/srv"
		}, host.NotShown},
		{"another id without a namespace", 0, func(p *policy.Policy, _ *host.Facts, _ *host.Target) {
			p.Namespaces.UID = plantest.Ptr(5)
		}, host.WrongNamespace},
		{"an id out of range", 1000, func(p *policy.Policy, _ *host.Facts, _ *host.Target) {
			p.Namespaces.GID = plantest.Ptr(1<<32 - 1)
		}, host.Invalid},
		{"a negative id", 1000, func(p *policy.Policy, _ *host.Facts, _ *host.Target) { p.Namespaces.UID = plantest.Ptr(-1) },
			host.Invalid},
		{"hostname of the host", 1000, func(p *policy.Policy, _ *host.Facts, _ *host.Target) {
			p.Namespaces.UTS, p.Namespaces.Hostname = "host", "x"
		}, host.WrongNamespace},
		{"long hostname", 1000, func(p *policy.Policy, _ *host.Facts, _ *host.Target) {
			p.Namespaces.Hostname = strings.Repeat("x", 65)
		}, host.Invalid},
		{"directory not shown", 1000, func(_ *policy.Policy, _ *host.Facts, t *host.Target) {
			t.Dir = "/srv"
		}, host.NotShown},
		{"relative directory", 1000, func(_ *policy.Policy, _ *host.Facts, t *host.Target) { t.Dir = "." }, host.Invalid},
		{"zero byte", 1000, func(_ *policy.Policy, _ *host.Facts, t *host.Target) { t.Args = []string{"x", "a\x00b"} },
			host.Invalid},
		{"empty name", 1000, func(_ *policy.Policy, _ *host.Facts, t *host.Target) { t.Path = "" }, host.Invalid},
		{"relative PATH", 1000, func(p *policy.Policy, _ *host.Facts, t *host.Target) {
			p.Process.Env, t.Env = []string{"PATH"}, []string{"PATH=.:bin"}
		}, host.Invalid},
		{"standard descriptor", 1000, func(_ *policy.Policy, _ *host.Facts, t *host.Target) {
			t.KeepFDs = []int{2}
		}, host.Invalid},
		{"abstract notify socket without /dev", 1000, func(p *policy.Policy, _ *host.Facts, t *host.Target) {
			no := false
			p.Files.Dev, t.Env = &no, []string{"NOTIFY_SOCKET=@x"}
		}, host.Conflict},
		{"endless sockets", 1000, func(_ *policy.Policy, _ *host.Facts, t *host.Target) {
			t.PID, t.Env = 7, []string{"LISTEN_PID=7", "LISTEN_FDS=999999999"}
		}, host.Invalid},
		{"no device", 1000, func(_ *policy.Policy, h *host.Facts, _ *host.Target) {
			h.Files["/dev/null"] = host.File{Mode: unix.S_IFREG}
		}, host.WrongFile},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &policy.Policy{Name: "p", Files: policy.Files{Tmpfs: []string{"/tmp"}}}
			h := plantest.Debian(p, c.uid)
			target := host.Target{Path: "x", Args: []string{"x"}, Dir: "/tmp"}
			c.edit(p, h, &target)
			_, err := Build(p, plantest.AllowAll, target, h)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			words.add(c.name, err)
		})
	}
	golden(t, "refusals.txt", words.String())
	deny := []seccomp.Program{{6, 0, 0, 0, 1, 0, 5, 0}} // errno EPERM for everything
	p := &policy.Policy{Name: "p"}
	_, err := Build(p, deny, host.Target{Path: "x", Args: []string{"x"}, Dir: "/"}, plantest.Debian(p, 0))
	if !errors.Is(err, host.NothingRuns) {
		t.Errorf("a filter that lets nothing run: %v", err)
	}
}

// TestPinned checks that a protected path in a writable directory stays where it is: no
// directory over it can be renamed.
func TestPinned(t *testing.T) {
	p := &policy.Policy{
		Name:  "p",
		Files: policy.Files{Write: []string{"/w"}, Read: []string{"/w/a/b/guard", "/w/top", "/r/x"}},
	}
	h := plantest.Debian(p, 1000)
	plan, err := Build(p, plantest.AllowAll, host.Target{Path: "x", Args: []string{"x"}, Dir: "/w"}, h)
	if err != nil {
		t.Fatal(err)
	}
	text := plan.String()
	last := -1
	for _, want := range []string{
		"bind /w writable", "keep /w/a from being renamed", "keep /w/a/b from being renamed", "bind /w/a/b/guard read-only",
	} {
		at := strings.Index(text, want+"\n")
		if at <= last {
			t.Errorf("%q is missing or too early in\n%s", want, text)
		}
		last = at
	}
}

// TestHideEverywhere checks that a hidden path is hidden under every name that it has inside,
// and that nothing is masked twice.
func TestHideEverywhere(t *testing.T) {
	p := &policy.Policy{
		Name: "p",
		Files: policy.Files{
			Read: []string{"/l/p", "/real", "/other"},
			Hide: []string{"/l/p/secret", "/real/p/dir", "/real/p/dir/x"},
		},
	}
	h := plantest.Debian(p, 1000)
	h.Files["/l/p"] = host.File{Real: "/real/p", Mode: unix.S_IFDIR, Major: 8, Ino: 5}
	h.Files["/l/p/secret"] = host.File{Real: "/real/p/secret", Mode: unix.S_IFREG, Major: 8, Ino: 6}
	h.Files["/real/p/dir"] = host.File{Real: "/real/p/dir", Mode: unix.S_IFDIR, Major: 8, Ino: 7}
	h.Files["/real/p/dir/x"] = host.File{Real: "/real/p/dir/x", Mode: unix.S_IFREG, Major: 8, Ino: 8}
	plan, err := Build(p, plantest.AllowAll, host.Target{Path: "x", Args: []string{"x"}, Dir: "/other"}, h)
	if err != nil {
		t.Fatal(err)
	}
	text := plan.String()
	for _, want := range []string{"hide /l/p/secret\n", "hide /real/p/secret\n", "hide /l/p/dir\n", "hide /real/p/dir\n"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q is there %d times in\n%s", want, strings.Count(text, want), text)
		}
	}
	if strings.Contains(text, "dir/x") {
		t.Errorf("masked twice:\n%s", text)
	}
	h.Files["/l/p/secret"] = host.File{Err: unix.EACCES}
	if _, err := Build(p, plantest.AllowAll, host.Target{Path: "x", Args: []string{"x"}, Dir: "/other"}, h); err == nil {
		t.Error("a path that cannot be looked at counts as hidden")
	}
}

// TestGuardedLink checks what becomes of a protected path that is a link.
func TestGuardedLink(t *testing.T) {
	p := &policy.Policy{Name: "p", Files: policy.Files{Write: []string{"/w"}, Read: []string{"?/w/.git"}}}
	h := plantest.Debian(p, 1000)
	h.Files["/w/.git"] = host.File{Real: "/w/real", Link: "real", Mode: unix.S_IFDIR, Major: 8, Ino: 5}
	target := host.Target{Path: "x", Args: []string{"x"}, Dir: "/w"}
	plan, err := Build(p, plantest.AllowAll, target, h)
	if err != nil {
		t.Fatal(err)
	}
	if text := plan.String(); !strings.Contains(text, "bind /w/real read-only\n") || len(plan.Notes) != 1 {
		t.Errorf("the link's target is not protected, or there is no note:\n%s", text)
	}
	p.Files.Read = []string{"/w/.git"}
	if _, err := Build(p, plantest.AllowAll, target, h); !errors.Is(err, host.BehindLink) {
		t.Errorf("a protection that does not apply: %v", err)
	}
}
