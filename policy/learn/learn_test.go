package learn

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"sbx/policies"
	"sbx/policy"
	"sbx/policy/seccomp"
)

// machine is an invented host: paths, with "/" behind for directories, " -> " before where a
// link leads, "=" before a socket.
type machine map[string]Info

func newMachine(names ...string) machine {
	m := machine{}
	for _, name := range names {
		i := Info{Kind: Regular, Mode: 0o644}
		name, target, link := strings.Cut(name, " -> ")
		switch {
		case link:
			i = Info{Kind: Link, Target: target}
		case strings.HasSuffix(name, "/"):
			i, name = Info{Kind: Directory, Mode: 0o755}, strings.TrimSuffix(name, "/")
		case name[0] == '=':
			i, name = Info{Kind: SocketFile}, name[1:]
		}
		m[name] = i
		for up := path.Dir(name); up != "/"; up = path.Dir(up) {
			if m[up].Kind == Missing {
				m[up] = Info{Kind: Directory, Mode: 0o755}
			}
		}
	}
	m["/"] = Info{Kind: Directory, Mode: 0o755}
	return m
}

func (m machine) look(name string) Info { return m[name] }

const (
	testHome = "/home/u"
	testDir  = "/home/u/p"
)

// loaded are the policies that were read already.
var loaded = map[string]*policy.Policy{}

// maker makes policies on that machine, of these roles.
func maker(m machine, roles ...string) *Maker {
	if len(roles) == 0 {
		roles = []string{"pure", "filter", "base", "default", "project", "commit", "build", "fetch", "web"}
	}
	vars := policy.Vars{Home: testHome, CWD: testDir, User: "u", UID: 1000}
	find := func(name string, _ *policy.Policy) (*policy.Policy, error) {
		if p := loaded[name]; p != nil {
			return p, nil
		}
		l, err := policies.Load(name)
		if err != nil {
			return nil, err
		}
		p, err := l.Parse()
		loaded[name] = p
		return p, err
	}
	return &Maker{
		Roles: roles, Home: testHome, Dir: testDir, Look: m.look, Arch: seccomp.AMD64, FirstPort: 1024,
		Command: "/bin/prog",
		Resolve: func(own *policy.Policy) (resolved, expanded *policy.Policy, err error) {
			if resolved, err = policy.Resolve(own, find); err == nil {
				expanded, err = resolved.Expand(vars)
			}
			return resolved, expanded, err
		},
	}
}

// did are files as they were seen: "r" for one that was read, "l" looked at, "w" written, "m"
// made.
func did(list ...string) (out []File) {
	for _, s := range list {
		access := map[byte]Access{'l': Looks, 'r': Opens, 'w': Writes, 'm': Makes}[s[0]]
		out = append(out, File{Path: s[2:], Access: access, By: By{Exe: "/bin/prog", Count: 1}})
	}
	return out
}

// entries are the entries of the lists of [files], as "list entry".
func entries(p *policy.Policy) (out []string) {
	for _, l := range lists(p) {
		if name, ok := strings.CutPrefix(l.key, "files."); ok {
			for _, e := range *l.list {
				out = append(out, forPeople(`"`+name+` `+e+`"`))
			}
		}
	}
	for i := range out {
		out[i] = strings.Trim(out[i], `"`)
	}
	return out
}

// TestRoleThatStarts: a role that shows what this place has not is not the nearest one.
func TestRoleThatStarts(t *testing.T) {
	m := newMachine("/home/u/p/a", "/home/u/.gitconfig", "/usr/", "/etc/")
	made, err := maker(m).Make(&Seen{Files: did("m /home/u/p/a", "l /home/u/.gitconfig")})
	if err != nil {
		t.Fatal(err)
	}
	if made.Own.Extends[0] != "project" {
		t.Errorf("extends %q without a repository, want project", made.Own.Extends)
	}
}

// TestTemporary: the run had a /tmp of its own, so what the host has there under the same names was
// not what the program saw, and no policy shows it.
func TestTemporary(t *testing.T) {
	m := newMachine("/tmp/", "/tmp/s/a", "/tmp/l -> /etc/foo", "/etc/foo/b", "/var/tmp/", "/var/tmp/x")
	seen := did("m /tmp/s/a", "r /tmp/s/a", "r /tmp/l/b", "l /var/tmp/x", "m /var/tmp/y")
	x := maker(m, "project")
	for _, private := range []bool{true, false} {
		x.Private = func(string) bool { return private }
		made, err := x.Make(&Seen{Files: seen})
		if err != nil {
			t.Fatal(err)
		}
		if got := entries(made.Own); private != (len(got) == 0) {
			t.Errorf("private %v: %q", private, got)
		}
	}
}

func TestFiles(t *testing.T) {
	m := newMachine("/usr/lib/a.so", "/etc/foo/a", "/etc/foo/b", "/etc/foo/sub/c", "/etc/bar.conf", "/etc/shadow",
		"/etc/foo-1.2/x", "/etc/foo-1.2/y", "/etc/foo-1.2/z", "/var/lib/svc/state", "/var/lib/svc/1f2e3d4c5b6a/x",
		"/var/log/",
		"/opt/tool/bin/t", "/opt/tool/lib/a", "/opt/tool/lib/b", "/opt/link -> /opt/tool/lib/a", "/run/", "/srv/",
		"/home/u/.toolrc", "/home/u/.gitconfig", "/home/u/.ssh/id", "/home/u/.config/tool/a", "/home/u/.cache/",
		"/home/u/.cache/tool/x",
		"/home/u/p/src.c", "/home/u/p/.git/config", "/home/u/p/.git/hooks/", "/home/u/p/.github/",
		"/home/u/p/.github/w", "/home/u/p/key.pem",
		"/data/set/1", "/data/set/2", "/data/set/3", "/tmp/", "/var/tmp/", "/var/lib/keys/a", "/var/lib/keys/b",
		"/usr/share/x/", "/var/cache/fontconfig/a.cache-8", "/etc/machine-id", "/etc/gitconfig",
		"/home/u/.local/lib/python3.11/site-packages/mine.py")
	for _, c := range []struct {
		what    string
		seen    []File
		extends string
		want    []string
	}{
		{"nothing", nil, "pure", nil},
		{"what is installed", did("r /usr/lib/a.so", "r /nowhere", "m /tmp/x"), "filter", nil},
		{"the project is read", did("r /home/u/p/src.c"), "default", nil},
		{"the project is written", did("m /home/u/p/out.o", "r /home/u/p/src.c"), "project", nil},
		{"what commit shows besides", did("m /home/u/p/a", "l /home/u/.gitconfig"), "commit", nil},
		{"git's own", did("m /home/u/p/.git/index", "w /home/u/p/.git/x"), "commit", nil},
		{"a guarded file", did("m /home/u/p/a", "w /home/u/p/.github/w"), "project", []string{"write ?./.github"}},
		{"few files", did("r /etc/foo/a", "r /etc/bar.conf"), "pure", []string{"read ?/etc/bar.conf",
			"read ?/etc/foo/a"}},
		{"a package", did("r /etc/foo/a", "l /etc/foo/b", "r /etc/foo/sub/c"), "pure", []string{"read ?/etc/foo"}},
		{"a package with a version", did("r /etc/foo-1.2/x", "r /etc/foo-1.2/y", "r /etc/foo-1.2/z"), "pure",
			[]string{"read ?/etc/foo-1.2"}},
		{"a hash", did("r /var/lib/svc/1f2e3d4c5b6a/x"), "pure", []string{"read ?/var/lib/svc"}},
		{"a directory of data", did("r /data/set/1", "r /data/set/2", "r /data/set/3"), "pure",
			[]string{"read ?/data/set"}},
		{"parts of a package", did("r /opt/tool/bin/t", "r /opt/tool/lib/a", "r /opt/tool/lib/b"), "pure",
			[]string{"read ?/opt/tool"}},
		{"what programs do without", did("r /etc/machine-id", "l /etc/gitconfig", "l /var/cache/fontconfig"), "pure", nil},
		{"and use if they find it", did("r /var/cache/fontconfig/a.cache-8", "r /etc/gitconfig",
			"r /home/u/.local/lib/python3.11/site-packages/mine.py"), "pure", []string{"read ?/etc/gitconfig",
			"read ?~/.local/lib/python3.11/site-packages/mine.py", "read ?/var/cache/fontconfig/a.cache-8"}},
		{"a link", did("r /opt/link"), "pure", []string{"read ?/opt/link", "read ?/opt/tool/lib/a"}},
		{"a container is listed", did("r /srv"), "pure", []string{"directories /srv"}},
		{"what was found by listing", did("r /etc", "l /etc/bar.conf", "l /etc/foo/a"), "pure",
			[]string{"read ?/etc/foo/a"}},
		{"secrets", did("r /etc/shadow", "r /home/u/.ssh/id", "w /home/u/.ssh/id", "l /home/u/.ssh"), "pure", nil},
		{"a setting", did("r /home/u/.toolrc", "r /home/u/.config/tool/a"), "pure",
			[]string{"read ?~/.config/tool/a", "read ?~/.toolrc"}},
		{"the home", did("r /home/u", "m /home/u/.new", "l /home"), "filter", nil},
		{"a cache that is not there yet", did("m /home/u/.cache/new/x", "m /tmp/x"), "filter",
			[]string{"directories ~/.cache"}},
		{"a cache", did("m /home/u/.cache/tool/y", "r /home/u/.cache/tool/x"), "pure",
			[]string{"overlay ?~/.cache/tool"}},
		{"a service's state", did("w /var/lib/svc/state"), "pure", []string{"overlay ?/var/lib/svc"}},
		{"a pid file", did("m /run/svc.pid"), "pure", []string{"tmpfs /run"}},
		{"a log", did("m /var/log/svc.log"), "pure", []string{"tmpfs /var/log"}},
		{"what belongs to all", did("w /etc/bar.conf", "m /x", "m /usr/share/x/y"), "pure", nil},
		{"an answer of the kernel's", did("r /proc/self/maps", "r /dev/null", "r /sys/kernel"), "pure", nil},
		{"a name that no policy can have", did("r /data/set/$x"), "pure", nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			made, err := maker(m).Make(&Seen{Files: c.seen})
			if err != nil {
				t.Fatal(err)
			}
			if got := entries(made.Own); made.Own.Extends[0] != c.extends || !slices.Equal(got, c.want) {
				t.Errorf("extends %q, %q; want %q, %q\n%s", made.Own.Extends, got, c.extends, c.want, made.Text)
			}
			p, err := policy.Parse("made", made.Text)
			if err != nil {
				t.Fatalf("%v\n%s", err, made.Text)
			}
			if _, _, err := maker(m).Resolve(p); err != nil {
				t.Errorf("%v\n%s", err, made.Text)
			}
		})
	}
}

// TestLeft: what is not allowed for a run is said, with the reason.
func TestLeft(t *testing.T) {
	m := newMachine("/etc/shadow", "/etc/hosts.x", "/home/u/p/key.pem")
	k := maker(m)
	k.Denied = []string{"bpf(0)"}
	made, err := k.Make(&Seen{Files: did("r /etc/shadow", "w /etc/hosts.x", "r /data/\x1b[31m"), Coarse: true})
	if err != nil {
		t.Fatal(err)
	}
	text := string(made.Text)
	for _, want := range []string{"/etc/shadow (prog, once): it may hold secrets",
		"/etc/hosts.x (prog, once): other programs",
		"bpf(0): denied while learning", "more was done"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not said:\n%s", want, text)
		}
	}
	if strings.ContainsRune(text, 0x1b) {
		t.Errorf("%q", text)
	}
}

// TestDeterministic: the order of what was seen changes nothing but who was first.
func TestDeterministic(t *testing.T) {
	m := newMachine("/etc/foo/a", "/etc/foo/b", "/etc/bar", "/home/u/.x", "/var/lib/s/1")
	files := did("r /etc/foo/a", "r /etc/foo/b", "r /etc/bar", "r /home/u/.x", "w /var/lib/s/1", "m /home/u/p/z")
	calls := []Call{call("ptrace"), call("socket", 2, 1), call("socket", 1, 1), call("ioctl", 0, 7), call("kcmp")}
	var first []byte
	for i := range 20 {
		made, err := maker(m).Make(&Seen{Files: files, Calls: calls})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = made.Text
		}
		if string(made.Text) != string(first) {
			t.Fatalf("%s\n%s", first, made.Text)
		}
		rand.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
		rand.Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
	}
}

// TestMerge: a union has all that the parts have; what is known already changes nothing, and
// what a person has written stays.
func TestMerge(t *testing.T) {
	m := newMachine("/etc/foo/a", "/etc/bar", "/home/u/.x", "/var/lib/s/1")
	for _, tight := range []bool{false, true} {
		run := func(files []File, calls []Call, merge ...[]byte) string {
			k := maker(m)
			k.Tight = tight
			for i, text := range merge {
				own, err := Parse(fmt.Sprint("part", i), text)
				if err != nil {
					t.Fatalf("%v\n%s", err, text)
				}
				k.Merge = append(k.Merge, own)
			}
			made, err := k.Make(&Seen{Files: files, Calls: calls})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := policy.Parse("made", made.Text); err != nil {
				t.Fatalf("%v\n%s", err, made.Text)
			}
			return string(made.Text)
		}
		one := run(did("r /etc/foo/a", "m /home/u/p/z"), []Call{call("socket", 2, 1), call("clone", 0x11),
			call("ioctl", 0, 7)})
		two := run(did("r /etc/bar"), []Call{call("socket", 10, 1), call("clone", 0x811), call("ioctl", 0, 9),
			call("ptrace")})
		if again := run(did("r /etc/foo/a", "m /home/u/p/z"), []Call{call("socket", 2, 1)},
			[]byte(one)); again != one {
			t.Errorf("a second run makes of\n%s\n%s", one, again)
		}
		own := strings.Replace(one, "[expect]", "[limits]\nprocesses = 7\n\n[expect]", 1)
		own = strings.Replace(own, "version = 1", "version = 1\n", 1)
		union := run(nil, []Call{call("read")}, []byte(own), []byte(two))
		for _, want := range []string{`"?/etc/foo/a",  # prog, once`, `"?/etc/bar",  # prog, once`,
			"arg0 not in {AF_INET, AF_INET6, AF_UNIX}", "extends = [\n  \"project\",\n]", "processes = 7", "ptrace"} {
			if !strings.Contains(union, want) {
				t.Errorf("the union has no %s:\n%s", want, union)
			}
		}
		for _, want := range []string{"arg1 not in {0x7, 0x9}", `"arg0 & 0xfffff700 != 0"`} {
			if tight && !strings.Contains(union, want) {
				t.Errorf("the union has no %s:\n%s", want, union)
			}
		}
	}
}

func TestNetwork(t *testing.T) {
	k := maker(newMachine())
	k.Flags = &policy.Policy{Namespaces: policy.Namespaces{Net: "host"}}
	k.Root = true
	seen := &Seen{
		Calls: []Call{call("socket", 2, 1, 0)},
		Sockets: []Socket{{Call: "bind", Address: "0.0.0.0:80", By: By{Exe: "/bin/prog", Count: 1}},
			{Call: "connect", Address: "10.0.0.1:5432"}, {Call: "connect", Address: "/run/x"}},
		Capabilities: []Capability{{Name: "setuid", By: By{Count: 1}}},
	}
	made, err := k.Make(seen)
	if err != nil {
		t.Fatal(err)
	}
	p := made.Own
	if !slices.Equal(p.Network.Bind, []string{"80"}) || !slices.Equal(p.Network.Connect, []string{"5432"}) {
		t.Errorf("%s", made.Text)
	}
	seen.Calls = append(seen.Calls, call("socket", 2, 2, 0)) // UDP
	if made, err = k.Make(seen); err != nil || made.Own.Network.Bind != nil {
		t.Errorf("%v\n%s", err, made.Text)
	}
	seen.Sockets = seen.Sockets[1:]
	if made, err = k.Make(seen); err != nil || made.Own.Extends[0] == "web" || made.Own.Namespaces.Net == "host" &&
		made.Own.Extends[0] == "fetch" || !slices.Contains(made.Own.Process.Capabilities, "?setuid") {
		t.Errorf("%v\n%s", err, made.Text)
	}
}
