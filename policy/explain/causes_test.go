package explain

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCauses: why a path that is there cannot be used, and what is the same on the host, which
// is not told.
func TestCauses(t *testing.T) {
	const r, w, x = unix.R_OK, unix.W_OK, unix.X_OK
	for _, c := range []struct {
		name       string
		file       File
		change     func(*Judge)
		why, allow string // nothing is told where both are ""
	}{
		{"root needs a capability to read", File{Path: "/usr/f", Use: Use{Need: r}, Cause: Modes, Mode: 0o600, Owner: 7},
			nil, "/usr/f is user 7's (0600), and root needs CAP_DAC_READ_SEARCH", `capabilities = ["dac_read_search"]`},
		{"and to write", File{Path: "/home/u/p/out/f", Use: Use{Need: w, Access: Writes}, Cause: Modes}, nil,
			"/home/u/p/out/f is user 0's", `capabilities = ["dac_override"]`},
		{"and to make", File{Path: "/home/u/p/out/f", Use: Use{Access: Makes}, At: "/home/u/p/out", Cause: Modes}, nil,
			"/home/u/p/out is user 0's", `capabilities = ["dac_override"]`},
		{"and on the way", File{Path: "/usr/d/e/f", Use: Use{Need: r}, At: "/usr/d", Cause: Modes}, nil,
			"/usr/d is user 0's", `capabilities = ["dac_read_search"]`},
		{"a user has none", File{Path: "/usr/f", Use: Use{Need: r}, Cause: Modes}, func(j *Judge) { j.Root = false },
			"the permissions of /usr/f", ""},
		{"the caller may not either", File{Path: "/usr/f", Use: Use{Need: r}, Cause: Modes},
			func(j *Judge) { j.May = func(string, uint32) bool { return false } }, "", ""},
		{"the policy keeps it", File{Path: "/usr/f", Use: Use{Need: r}, Cause: Modes},
			func(j *Judge) { j.Policy.Process.Capabilities = []string{"?dac_read_search"} }, "", ""},
		{"the program's own file", File{Path: "/tmp/f", Use: Use{Need: r}, Cause: Modes}, nil, "", ""},
		{"a mask", File{Path: "/home/u/p/.env", Use: Use{Need: r}, Cause: Modes}, nil, "hidden", ""},
		{"nothing runs there", File{Path: "/tmp/f", Use: Use{Need: x, Runs: true}, Cause: NoExec},
			func(j *Judge) { j.Places[2].NoExec = true }, "the policy lets nothing be executed at /tmp",
			`path."/tmp" = { exec = true } in [files]`},
		{"nor on the host", File{Path: "/usr/f", Use: Use{Need: x, Runs: true}, Cause: NoExec}, nil, "", ""},
		{"a device that is shown as a file", File{Path: "/usr/dev", Use: Use{Need: r, Opens: true}, Cause: NoDevices}, nil,
			"no device can be opened where the policy shows files", "--device /usr/dev"},
		{"no device of the host's", File{Path: "/usr/f", Use: Use{Need: r, Opens: true}, Cause: NoDevices}, nil, "", ""},
		{"Landlock, not shown", File{Path: "/etc/x", Use: Use{Need: r, Opens: true}, Cause: Landlock}, bare,
			"the policy does not show it, and Landlock denies it", "--read /etc/x"},
		{"Landlock, read-only", File{Path: "/home/u/p/f", At: "/home/u/p", Use: Use{Access: Makes}, Cause: Landlock}, bare,
			"read-only here, as /home/u/p is", "--write /home/u/p"},
		{"Landlock, fixed", File{Path: "/home/u/p/out/f", At: "/home/u/p/out", Use: Use{Access: Makes}, Cause: Landlock}, bare,
			"nothing can be made, renamed or removed directly in /home/u/p/out", ""},
		{"Landlock, nothing there", File{Path: "/none", Use: Use{Need: r, Opens: true}, Cause: Landlock}, bare, "", ""},
		{"a mask cannot be removed", File{Path: "/home/u/p/.env", Use: Use{Removes: true}, Cause: Mounted}, nil,
			"it is hidden by a mount", ""},
		{"nor a directory that is shown", File{Path: "/home/u/p/out", Use: Use{Removes: true}, Cause: Mounted}, nil,
			"something of the sandbox is mounted there", "--write /home/u/p"},
		{"a mount of the host's", File{Path: "/home/u/p/out", Use: Use{Removes: true}, Cause: Mounted},
			func(j *Judge) { j.Mount = func(string) (uint64, bool) { return 1, true } }, "", ""},
		{"from mount to mount", File{Path: "/home/u/p/f", At: "/home/u/p/out/f", Cause: Across}, nil,
			"/home/u/p/out is a mount of its own here, writable", "--write /home/u/p"},
		{"from a tmpfs", File{Path: "/tmp/f", At: "/home/u/p/out/f", Cause: Across}, nil,
			"/home/u/p/out is a mount of its own here, writable", ""},
		{"two mounts of the host's", File{Path: "/home/u/p/f", At: "/home/u/p/out/f", Cause: Across},
			func(j *Judge) { j.Mount = func(name string) (uint64, bool) { return uint64(len(name)), false } }, "", ""},
		{"before Linux 5.8", File{Path: "/home/u/p/f", At: "/home/u/p/out/f", Cause: Across},
			func(j *Judge) { j.Mount = func(string) (uint64, bool) { return 0, false } }, "", ""},
		{"the sandbox's link", File{Path: "/usr/f", Cause: ALink},
			func(j *Judge) { j.Places = append(j.Places, Place{Path: "/usr/f", Is: "link", To: "/x"}) },
			"the sandbox has a symbolic link there, to /x", ""},
		{"the host's link", File{Path: "/usr/lib/l", Cause: ALink}, nil, "", ""},
		{"the sandbox's socket", File{Path: "/usr/f", Cause: ASocket},
			func(j *Judge) { j.Places = append(j.Places, Place{Path: "/usr/f", Is: "socket"}) },
			"the sandbox has a socket of its own there", ""},
		{"the program's socket", File{Path: "/tmp/f", Cause: ASocket}, nil, "", ""},
		{"no terminal", File{Path: "/dev/tty", Cause: NoTerminal},
			func(j *Judge) { j.Policy.Process.Terminal = "new-session" },
			"the policy gives the program a session without a terminal", `terminal = "pty" in [process]`},
		{"the caller has none either", File{Path: "/dev/tty", Cause: NoTerminal},
			func(j *Judge) { j.Policy.Process.Terminal, j.Terminal = "new-session", false }, "", ""},
		{"the program has given it up", File{Path: "/dev/tty", Cause: NoTerminal}, nil, "", ""},
		{"an interpreter", File{Path: "/usr/f", At: "/etc/x", Use: Use{Need: x, Runs: true}, Cause: Interpret}, nil,
			"it takes the interpreter /etc/x, which is on the host", "--read /etc/x"},
		{"behind a link", File{Path: "/usr/f", At: "/usr/lib/l", Use: Use{Need: x, Runs: true}, Cause: Interpret}, nil,
			"it takes the interpreter /usr/lib/l", "--read /etc/x"},
		{"that is nowhere", File{Path: "/usr/f", At: "/none", Use: Use{Need: x, Runs: true}, Cause: Interpret}, nil, "", ""},
	} {
		j := find(t, "default")
		copied := *j.Policy
		j.Policy = &copied
		machine(j, "/", "/etc", "/etc/x", "/usr", "/usr/f", "/usr/dev", "/usr/d", "/usr/lib/l -> /etc/x", "/tmp", "/home/u",
			"/home/u/p", "/home/u/p/f", "/home/u/p/.env", "/home/u/p/out", "/home/u/p/out/f", "/dev")
		j.Root, j.Terminal = true, true
		j.May = func(string, uint32) bool { return true }
		j.Mount = func(string) (uint64, bool) { return 1, false }
		j.Device = func(name string) bool { return name == "/usr/dev" }
		if c.change != nil {
			c.change(j)
		}
		c.file.Answer, c.file.Count = uint16(unix.EACCES), 1
		got := j.files([]File{c.file})
		switch {
		case len(got) == 0:
			if c.why != "" {
				t.Errorf("%s: not told", c.name)
			}
		case (got[0].Harmless != "") != (c.name == "from a tmpfs"):
			t.Errorf("%s: %+v", c.name, got[0])
		case c.why == "" || !strings.HasPrefix(got[0].Why, c.why) || !strings.HasPrefix(got[0].Allow, c.allow) ||
			(c.allow == "") != (got[0].Allow == ""):
			t.Errorf("%s: %+v", c.name, got[0])
		}
	}
}

// bare has the host's mounts: what is not shown is as if it were hidden.
func bare(j *Judge) {
	j.Bare = true
	for i := range j.Places {
		if is := j.Places[i].Is; is == "directory" || is == "tmpfs" {
			j.Places[i].Is = "hidden"
		}
	}
}

// TestDevices: a device is handed over by a flag of its own, and one that was opened is
// nothing that the program only tried.
func TestDevices(t *testing.T) {
	j := find(t, "default")
	machine(j, "/dev", "/dev/kvm")
	j.Device = func(name string) bool { return name == "/dev/kvm" }
	for _, opens := range []bool{true, false} {
		f := File{Path: "/dev/kvm", Use: Use{Opens: opens}, Answer: uint16(unix.ENOENT)}
		if got := j.files([]File{f}); len(got) != 1 || got[0].Allow != "--device /dev/kvm" || (got[0].Harmless == "") != opens {
			t.Errorf("%+v", got)
		}
	}
}

// TestJoins: a program that is looked for and then executed is told once.
func TestJoins(t *testing.T) {
	j := find(t, "default")
	machine(j, "/etc", "/etc/x")
	no := uint16(unix.ENOENT)
	got := j.files([]File{{Path: "/etc/x", Answer: no, Count: 2}, {Path: "/etc/x", Use: Use{Runs: true}, Answer: no, Count: 1},
		{Path: "/etc/x", Use: Use{Access: Writes}, Answer: no, Count: 1}})
	if len(got) != 1 || got[0].Count != 4 || got[0].Allow != "--write /etc/x" {
		t.Errorf("%+v", got)
	}
}
