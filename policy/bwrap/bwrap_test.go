package bwrap_test

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"sbx/policy"
	"sbx/policy/bwrap"
)

// parse reads a line whose descriptors have these contents.
func parse(t *testing.T, line string, contents map[int]string) (*bwrap.Line, error) {
	t.Helper()
	return bwrap.Parse(strings.Fields(line), bwrap.Options{Dir: "/work", Devices: []string{"?/dev/kvm"},
		Read: func(fd int) ([]byte, error) {
			s, ok := contents[fd]
			if !ok {
				return nil, fmt.Errorf("no descriptor %d", fd)
			}
			return []byte(s), nil
		}})
}

// kind is the mode of a directory or a file.
func kind(dir bool) fs.FileMode {
	if dir {
		return fs.ModeDir
	}
	return 0
}

// TestFiles: what is mounted later covers what was there, and each kind becomes an
// entry of the policy's.
func TestFiles(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string // lines of the policy
	}{
		{"--ro-bind /usr /usr --bind . /src x", []string{`"/usr"`, `"?/src"`, `path."/src" = { from = "/work" }`}},
		{"--ro-bind / / --tmpfs /home --ro-bind-try /home/u /home/u x", []string{`"/"`, `"?/home/u"`, `"/home"`}},
		{"--ro-bind /a /x/a --tmpfs /x x", []string{`"/x"`}},
		{"--tmpfs /t --dir /t/a/b --chmod 0700 /t/a x", []string{`"/t/a"`, `path."/t/a" = { mode = "0700" }`}},
		{"--mqueue /m x", []string{`"/m"`, `path."/m" = { mode = "1777" }`}},
		{"--dir /d --dir /d/e --symlink usr/bin /bin x", []string{`"/d"`, `symlink."/bin" = "usr/bin"`}},
		{"--perms 1777 --size 4096 --tmpfs /t --tmpfs /s x",
			[]string{`path."/t" = { size = "4096", mode = "1777" }`, `path."/s" = { mode = "0755" }`}},
		{"--ro-bind-data 5 /etc/x --ro-bind-fd 7 /d x", []string{`file."/etc/x"`, `path."/d" = { from = "fd:7" }`}},
		{"--bind /a /a --remount-ro /a x", []string{"read = [", `"/a"`}},
		{"--overlay-src /a --overlay /up /wk /o --overlay-src /b --tmp-overlay /p x",
			[]string{`path."/o" = { from = "/a", upper = "/up", work = "/wk" }`, `path."/p" = { from = "/b" }`}},
		{"--dev-bind / / x", []string{`"?/"`, `"?/dev/kvm"`}},
		{"--dev /dev --dev-bind-try /dev/dri /dev/dri x", []string{`"?/dev/dri"`}},
		{"--ro-bind / / --proc /proc x", []string{`"/"`}},
	} {
		l, err := parse(t, c.line, map[int]string{5: "text\n"})
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		text := string(l.Policy.Print())
		if _, err := policy.Parse("line", []byte(text)); err != nil {
			t.Errorf("%s: %v\n%s", c.line, err, text)
		}
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %s in\n%s", c.line, want, text)
			}
		}
		if strings.Contains(text, `"/x/a"`) {
			t.Errorf("%s: what is covered is there\n%s", c.line, text)
		}
	}
}

// TestNeeded: what a line shows has to be there, also where it covers it itself.
func TestNeeded(t *testing.T) {
	for line, want := range map[string][]string{
		"--ro-bind /a /x --bind-fd 7 /y --dev-bind-try /no /z --ro-bind / / x":            {"/a", "/proc/self/fd/7", "/"},
		"--overlay-src /l1 --overlay-src /l2 --ro-overlay /o --symlink /nowhere /l x":     {"/l1", "/l2"},
		"--ro-bind /a /x --tmpfs /x --proc /proc --dev /dev --dir /d --ro-bind /b /d/b x": {"/a", "/b"},
	} {
		l, err := parse(t, line, nil)
		if err != nil || !slices.Equal(l.Needed, want) {
			t.Errorf("%s: %+v, want %q: %v", line, l, want, err)
		}
	}
}

// TestPlain: nothing is open that the line does not ask for.
func TestPlain(t *testing.T) {
	l, err := parse(t, "--ro-bind / / --unshare-all --share-net -- prog --bind", nil)
	if err != nil {
		t.Fatal(err)
	}
	p := l.Policy
	n := p.Namespaces
	if n.PID != "new" || n.Net != "host" || n.IPC != "new" || n.User != "new" || len(p.Process.Capabilities) > 0 ||
		p.Process.Nest != nil || len(p.Files.Sockets) > 0 || len(p.Files.Devices) > 0 ||
		!slices.Contains(p.Seccomp.Deny, "@mount") || !slices.Equal(l.Command, []string{"prog", "--bind"}) {
		t.Errorf("%+v\n%s", l, p.Print())
	}
	l, err = parse(t, "--ro-bind / / prog", nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := l.Policy.Namespaces; n.PID != "host" || n.Net != "host" || n.User != "auto" || n.Cgroup != "host" {
		t.Errorf("%+v", n)
	}
}

// TestArgs: options of a descriptor count as those of the line do.
func TestArgs(t *testing.T) {
	l, err := parse(t, "--args 9 --unsetenv C prog", map[int]string{9: "--setenv\x00A\x00b c\x00--ro-bind\x00/\x00/\x00"})
	if err != nil || !slices.Contains(l.Set, "A=b c") || !slices.Contains(l.Policy.Files.Read, "/") ||
		!slices.Equal(l.Unset, []string{"C"}) {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := parse(t, "--args 9 prog", map[int]string{9: "prog\x00"}); err == nil {
		t.Error("a program in --args is taken")
	}
	if l, err := parse(t, "--args 9 prog", map[int]string{9: ""}); err != nil || len(l.Command) != 1 {
		t.Errorf("no options: %v", err)
	}
}

// TestRefused: what cannot be had, or is not understood, is said, and nothing runs.
func TestRefused(t *testing.T) {
	for line, want := range map[string]string{
		"":                                     "there is no program to run",
		"--nosuch x":                           "Unknown option --nosuch",
		"--bind /a":                            "--bind takes two arguments",
		"--overlay /a":                         "--overlay takes three arguments",
		"--dir":                                "--dir takes an argument",
		"--uid 5 x":                            "Specifying --uid requires --unshare-user or --userns",
		"--unshare-user --uid a x":             "Invalid uid: a",
		"--hostname h x":                       "Specifying --hostname requires --unshare-uts",
		"--disable-userns x":                   "--disable-userns requires --unshare-user",
		"--unshare-user --userns 3 x":          "--userns is not compatible with --unshare-user",
		"--as-pid-1 x":                         "Specifying --as-pid-1 requires --unshare-pid",
		"--cap-add nosuch x":                   "unknown cap: nosuch",
		"--perms 9 --tmpfs /t x":               "--perms takes an octal argument <= 07777",
		"--perms 700 --perms 700 --tmpfs /t x": "--perms given twice for the same action",
		"--perms 700 --proc /proc x":           "--perms must be followed by an option that creates a file",
		"--size 1 --dir /t x":                  "--size must be followed by --tmpfs",
		"--size 1 --size 1 --tmpfs /t x":       "--size given twice for the same action",
		"--size 0 --tmpfs /t x":                "--size takes a non-zero number of bytes",
		"--size -1 --tmpfs /t x":               "--size takes a non-zero number of bytes",
		"--size 18446744073709551616 --tmpfs /t x":               "--size (for tmpfs) is limited to",
		"--size 9223372036854775808 --tmpfs /t x":                "--size (for tmpfs) is limited to",
		"--symlink a /b --dir /b x":                              "Destination is not a directory /b",
		"--symlink a /b --symlink c /b x":                        "Can't make symlink at /b: existing destination is a",
		"--dir /b --symlink c /b x":                              "destination exists and is not a symlink",
		"--dir /d --symlink d /l --ro-bind /usr /l x":            "Can't mount on symlink destination /l",
		"--symlink l2 /l --symlink l /l2 --dir /l/x y":           "Too many levels of symbolic links",
		"--proc /proc --symlink /proc/self/fd/9 /l --dir /l/x y": "there is no place for it",
		"--proc /p x":                          "sbx mounts it at /proc alone",
		"--tmp-overlay /o x":                   "--tmp-overlay requires at least one --overlay-src",
		"--overlay /u /w /o x":                 "--overlay requires at least one --overlay-src",
		"--overlay-src /a --ro-overlay /o x":   "--ro-overlay requires at least two --overlay-src",
		"--args 9 x":                           "Can't read --args data: no descriptor 9",
		"--overlay-src /a x":                   "--overlay-src must be followed by another --overlay-src or one of",
		"--overlay-src /a --chdir / x":         "--overlay-src must be followed by another --overlay-src or one of",
		"--file x /f y":                        "Invalid fd: x",
		"--seccomp -1 y":                       "Invalid fd: -1",
		"--seccomp 3 --add-seccomp-fd 4 y":     "--add-seccomp-fd cannot be combined with --seccomp",
		"--add-seccomp-fd 3 --seccomp 4 y":     "--seccomp cannot be combined with --add-seccomp-fd",
		"--argv0 a --argv0 b y":                "--argv0 used multiple times",
		"--ro-bind-data 4 /f y":                "read descriptor 4: no descriptor 4",
		"--userns-block-fd 3 x":                "--userns-block-fd requires --unshare-user",
		"--userns-block-fd 3 --unshare-user x": "--userns-block-fd requires --info-fd",
		"--userns-block-fd 3 --info-fd 4 --unshare-user --disable-userns x": "--disable-userns is not compatible " +
			"with --userns-block-fd",
		"--remount-ro /x y": "nothing is mounted there",
		"--chmod 700 /x y":  "Can't chmod 0700 /x: No such file or directory",
	} {
		if _, err := parse(t, line, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
	if _, err := bwrap.Parse(slices.Repeat([]string{"--unshare-pid"}, 10000), bwrap.Options{}); err == nil {
		t.Error("any number of arguments is taken")
	}
}

// TestMade: what is to be there in a directory of the host's that can be written is made
// there first, and elsewhere it has to be there.
func TestMade(t *testing.T) {
	l, err := bwrap.Parse(strings.Fields("--ro-bind /usr /usr --bind /w /in --dir /in/a/b --perms 0700 --dir /in/c "+
		"--symlink t /in/l --chmod 1777 /in/c --ro-bind /dir /in/m --ro-bind /file /in/n --dir /usr/x --symlink y /usr/z "+
		"--bind /dir /usr/d --dir /own --symlink own /via --ro-bind /dir /via/d p"),
		bwrap.Options{Mode: func(name string) (fs.FileMode, bool) { return kind(name != "/file"), true }})
	if err != nil {
		t.Fatal(err)
	}
	want := []bwrap.Made{
		{Path: "/in/a/b", Dir: "/w", Rel: "a/b", What: bwrap.MakeDir, Mode: 0o755},
		{Path: "/in/c", Dir: "/w", Rel: "c", What: bwrap.MakeDir, Mode: 0o700, HasMode: true},
		{Path: "/in/l", Dir: "/w", Rel: "l", What: bwrap.MakeLink, Target: "t"},
		{Path: "/in/c", Dir: "/w", Rel: "c", What: bwrap.MakeMode, Mode: 0o1777},
		{Path: "/in/m", Dir: "/w", Rel: "m", What: bwrap.MakeMountPoint, Source: "/"},
		{Path: "/in/n", Dir: "/w", Rel: "n", What: bwrap.MakeMountPoint},
		{Path: "/usr/x", Dir: "/usr", Rel: "x", What: bwrap.MakeDir, Mode: 0o755, ReadOnly: true},
		{Path: "/usr/z", Dir: "/usr", Rel: "z", What: bwrap.MakeLink, Target: "y", ReadOnly: true},
		{Path: "/usr/d", Dir: "/usr", Rel: "d", What: bwrap.MakeMountPoint, Source: "/", ReadOnly: true},
	}
	if !slices.Equal(l.Make, want) {
		t.Errorf("%+v", l.Make)
	}
	if !slices.Contains(l.Policy.Files.Read, "/own/d") { // the link was followed
		t.Errorf("%s", l.Policy.Print())
	}
	for line, want := range map[string]string{
		"--ro-bind-data 5 /f --ro-bind /dir /f x":    "Destination is not a directory /f",
		"--dir /d --ro-bind /file /d x":              "Destination is not a file /d",
		"--ro-bind-data 5 /f --ro-bind /file /f/x p": "Can't mkdir parents for /f/x: Not a directory",
		"--ro-bind-data 5 /f --dir /f/x p":           "Can't mkdir parents for /f/x: Not a directory",
	} {
		_, err := bwrap.Parse(strings.Fields(line), bwrap.Options{
			Read: func(int) ([]byte, error) { return nil, nil },
			Mode: func(name string) (fs.FileMode, bool) { return kind(name == "/dir"), true }})
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}

// TestSockets: what a line shows for the sake of its sockets has them, and nothing else does.
func TestSockets(t *testing.T) {
	look := func(name string) (fs.FileMode, bool) {
		if strings.HasSuffix(name, ".sock") {
			return fs.ModeSocket, true
		}
		return kind(!strings.HasSuffix(name, ".txt")), true
	}
	for line, want := range map[string]string{
		"--ro-bind / / --ro-bind /run /run x":                                       "",
		"--bind / / x":                                                              "/",
		"--ro-bind / / --bind /run /run --bind /tmp /tmp x":                         "/run /tmp",
		"--ro-bind /usr /usr --ro-bind /srv/a.sock /run/b --ro-bind /srv/d /d x":    "?/run/b",
		"--ro-bind /run/user/5/pulse /pulse --ro-bind /tmp/f.txt /f --tmpfs /tmp x": "?/pulse",
		"--bind /srv/a.sock /srv/a.sock --ro-bind / / x":                            "?/srv/a.sock",
		"--bind /srv/a.sock /srv/b.sock --ro-bind / / x":                            "",
		"--bind /tmp/a.sock /tmp/a.sock --tmpfs /tmp x":                             "",
		"--bind /srv/a.sock /m/a.sock --bind /srv /m x":                             "",
		"--tmpfs /tmp --ro-bind /tmp/.X11-unix /tmp/.X11-unix x":                    "?/tmp/.X11-unix",
	} {
		l, err := bwrap.Parse(strings.Fields(line), bwrap.Options{Mode: look})
		if err != nil {
			t.Errorf("%s: %v", line, err)
		} else if got := strings.Join(l.Policy.Files.Sockets, " "); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
	l, err := parse(t, "--ro-bind / / --ro-bind /run/user/5 /u x", nil)
	if err != nil || len(l.Policy.Files.Sockets) > 0 || !slices.ContainsFunc(l.Lost, func(s string) bool {
		return strings.Contains(s, "sockets at /u ")
	}) {
		t.Errorf("where nothing is known: %v, %+v", err, l)
	}
}

// TestNest: sandboxes inside are for who asks for them, and neither for root nor for a line that says no.
func TestNest(t *testing.T) {
	for line, want := range map[string]bool{
		"--ro-bind / / --unshare-pid --cap-drop ALL x": true,
		"--ro-bind / / x": true,
		"--ro-bind / / --unshare-user --disable-userns x":                false,
		"--ro-bind / / --unshare-user --userns-block-fd 3 --info-fd 4 x": false,
	} {
		for _, o := range []bwrap.Options{{}, {Nest: true}, {Nest: true, Root: true}} {
			l, err := bwrap.Parse(strings.Fields(line), o)
			if err != nil {
				t.Errorf("%s: %v", line, err)
			} else if got := l.Policy.Process.Nest != nil; got != (want && o.Nest && !o.Root) {
				t.Errorf("%s, %+v: %t", line, o, got)
			}
		}
	}
}

// TestWarnings: of some options the last one counts.
func TestWarnings(t *testing.T) {
	l, err := parse(t, "--level-prefix --chdir /a --chdir /b --argv0 name --die-with-parent "+
		"--not-a-security-boundary x", nil)
	if err != nil || l.Dir != "/b" || !l.LevelPrefix || !l.DieWithParent || l.Argv0 == nil || *l.Argv0 != "name" ||
		!slices.Equal(l.Warnings, []string{"Only the last --chdir option will take effect"}) {
		t.Errorf("%+v, %v", l, err)
	}
}

// TestCapabilities: they are changed in the order of the line.
func TestCapabilities(t *testing.T) {
	for line, want := range map[string]string{
		"--cap-add CAP_NET_RAW x":                          "?net_raw",
		"--cap-add net_raw --cap-drop ALL x":               "",
		"--cap-drop ALL --cap-add CAP_KILL x":              "?kill",
		"--cap-add CAP_KILL --cap-drop CAP_KILL x":         "",
		"--cap-add chown --cap-add kill x":                 "?chown ?kill",
		"--unshare-user --disable-userns --cap-add kill x": "?kill",
	} {
		l, err := parse(t, line, nil)
		if err != nil {
			t.Errorf("%s: %v", line, err)
		} else if got := strings.Join(l.Policy.Process.Capabilities, " "); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
	l, err := parse(t, "--cap-add ALL --cap-drop CAP_KILL x", nil)
	if err != nil || len(l.Policy.Process.Capabilities) < 30 || slices.Contains(l.Policy.Process.Capabilities, "?kill") ||
		l.Policy.Process.Nest == nil {
		t.Errorf("%v\n%s", err, l.Policy.Print())
	}
}

// FuzzParse: whatever the line, its policy can be written and read.
func FuzzParse(f *testing.F) {
	f.Add("--ro-bind / / --dir /x --tmpfs /tmp sh")
	f.Add("--args 3 --perms 0700 --dir ../.. --symlink a /b --chmod 1777 / x")
	f.Fuzz(func(t *testing.T, line string) {
		l, err := parse(t, line, map[int]string{3: "--bind\x00a\x00/b", 4: "text"})
		if err != nil || l.Policy == nil {
			return
		}
		written := l.Policy.Print()
		plain := printable(line) && !strings.ContainsAny(line, "\\${}~!?*[\"'")
		if _, err := policy.Parse("line", written); err != nil && plain {
			t.Errorf("%q: %v\n%s", line, err, written)
		}
	})
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}
