package bwrap_test

import (
	"fmt"
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
		"":                            "there is no program to run",
		"--nosuch x":                  `bubblewrap has no option --nosuch`,
		"--bind /a":                   "read --bind: it takes 2 arguments",
		"--uid 5 x":                   "--uid: it needs --unshare-user",
		"--hostname h x":              "--hostname: it needs --unshare-uts",
		"--disable-userns x":          "--disable-userns: it needs --unshare-user",
		"--unshare-user --userns 3 x": "either new or entered",
		"--cap-add nosuch x":          "there is no capability nosuch",
		"--perms 9 --tmpfs /t x":      "9 is no mode in octal",
		"--size 0 --tmpfs /t x":       "0 is no number of bytes",
		"--ro-bind /usr /usr --dir /usr/x --symlink a /usr/y x": "there is no place for it",
		"--symlink a /b --dir /b x":                             "it is there, and no directory",
		"--proc /p x":                                           "sbx mounts it at /proc alone",
		"--mqueue /m x":                                         "sbx mounts no message queues",
		"--overlay-src /a --overlay-src /b --tmp-overlay /o x":  "takes one --overlay-src, and here are 2",
		"--overlay-src /a x":                                    "no overlay follows",
		"--file x /f y":                                         "x is no descriptor",
		"--ro-bind-data 4 /f y":                                 "read descriptor 4: no descriptor 4",
		"--userns-block-fd 3 x":                                 "sbx maps the ids itself",
		"--remount-ro /x y":                                     "nothing is mounted there",
		"--chmod 700 /x y":                                      "changes the mode of nothing but what it makes",
	} {
		if _, err := parse(t, line, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
	if _, err := bwrap.Parse(slices.Repeat([]string{"--unshare-pid"}, 10000), bwrap.Options{}); err == nil {
		t.Error("any number of arguments is taken")
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
