package explain

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy/seccomp"
)

// TestFileCalls: the table names calls that there are, all that take a path on the
// architectures that sbx is built for, but for execve and those that no policy of ours
// allows a program.
func TestFileCalls(t *testing.T) {
	for _, c := range fileCalls {
		s, err := seccomp.LookupSyscall(c.name)
		if err != nil || len(c.args) > s.Args() || strings.Trim(c.args, "drlsiwvtmnucxopa-") != "" {
			t.Errorf("%+v: %v", c, err)
		}
		for _, a := range c.Paths(nil, [6]uint64{}, nil) {
			if a.Path >= s.Args() || a.Dir >= a.Path {
				t.Errorf("%s: %+v", c.name, a)
			}
		}
	}
	if n := len(Observed(seccomp.ARM64)); n < 18 || len(Observed(seccomp.AMD64)) <= n {
		t.Errorf("%d calls are observed on arm64, %d on amd64", n, len(Observed(seccomp.AMD64)))
	}
	r, w, x := uint8(unix.R_OK), uint8(unix.W_OK), uint8(unix.X_OK)
	how := &unix.OpenHow{Flags: unix.O_RDWR, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV}
	for _, c := range []struct {
		name string
		args [6]uint64
		want []FileArg
	}{
		{"open", [6]uint64{1, 0}, []FileArg{{0, -1, Use{Opens: true, Need: r}}}},
		{"open", [6]uint64{1, 1}, []FileArg{{0, -1, Use{Access: Writes, Opens: true, Need: w}}}},
		{"open", [6]uint64{1, 2}, []FileArg{{0, -1, Use{Access: Writes, Opens: true, Need: r | w}}}},
		{"open", [6]uint64{1, unix.O_PATH | 2}, []FileArg{{0, -1, Use{Opens: true}}}},
		{"open", [6]uint64{1, unix.O_NOFOLLOW}, []FileArg{{0, -1, Use{Opens: true, Need: r, Straight: true}}}},
		{"openat", [6]uint64{3, 1, unix.O_TMPFILE | 2}, []FileArg{{1, 0, Use{Access: Writes, Opens: true, Need: w | x}}}},
		{"openat", [6]uint64{3, 1, 2}, []FileArg{{1, 0, Use{Access: Writes, Opens: true, Need: r | w}}}},
		{"openat", [6]uint64{3, 1, 0o101}, []FileArg{{1, 0, Use{Access: Makes, Opens: true, Need: w}}}},
		{"openat", [6]uint64{3, 1, 0o301}, []FileArg{{1, 0, Use{Access: Makes, Opens: true, Need: w, New: true}}}},
		{"openat", [6]uint64{3, 1, 0o1000}, []FileArg{{1, 0, Use{Access: Writes, Opens: true, Need: r | w}}}},
		{"openat2", [6]uint64{3, 1, 2}, []FileArg{{1, 0,
			Use{Access: Writes, Opens: true, Need: r | w, NoLinks: true, OneMount: true}}}},
		{"faccessat", [6]uint64{3, 1, 2}, []FileArg{{1, 0, Use{Access: Writes, Asks: true, Need: w}}}},
		{"access", [6]uint64{3, 4}, []FileArg{{0, -1, Use{Asks: true, Need: r}}}},
		{"newfstatat", [6]uint64{3, 1, 4, unix.AT_SYMLINK_NOFOLLOW}, []FileArg{{1, 0, Use{NoFollow: true}}}},
		{"readlinkat", [6]uint64{3, 1}, []FileArg{{1, 0, Use{NoFollow: true}}}},
		{"execve", [6]uint64{3, 1}, []FileArg{{0, -1, Use{Need: x, Runs: true}}}},
		{"renameat2", [6]uint64{3, 1, 4, 1}, []FileArg{{1, 0, Use{Access: Makes, Removes: true, NoFollow: true}},
			{3, 2, Use{Access: Makes, NoFollow: true}}}},
		{"symlinkat", [6]uint64{1, 3, 1}, []FileArg{{2, 1, Use{Access: Makes, New: true, NoFollow: true}}}},
		{"link", [6]uint64{1, 3}, []FileArg{{0, -1, Use{NoFollow: true}},
			{1, -1, Use{Access: Makes, New: true, NoFollow: true}}}},
		{"getpid", [6]uint64{}, nil},
	} {
		var got []FileArg
		if call := LookupFileCall(c.name); call != nil {
			got = call.Paths(nil, c.args, how)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// machine is an invented host, with where links lead.
func machine(j *Judge, names ...string) {
	files := map[string]string{}
	for _, name := range names {
		name, to, link := strings.Cut(name, " -> ")
		if files[name] = name; link {
			files[name] = to
		}
	}
	j.Host = func(name string) (string, bool) {
		real, ok := files[name]
		return real, ok
	}
	j.Home, j.Dir = "/home/u", "/home/u/p"
	for _, line := range []string{"/ directory", "/usr read-only", "/tmp tmpfs", "/home/u tmpfs", "/home/u/p read-only",
		"/home/u/p/.env hidden", "/home/u/p/out writable", "/dev directory", "/proc read-only", "/proc/keys hidden"} {
		name, is, _ := strings.Cut(line, " ")
		j.Places = append(j.Places, Place{Path: name, Is: is})
	}
}

func TestJudgeFiles(t *testing.T) {
	j := find(t, "default")
	machine(j, "/", "/etc", "/etc/shadow", "/etc/x", "/home/u", "/home/u/.gitconfig", "/home/u/.bashrc",
		"/home/u/.ssh/config",
		"/home/u/p", "/home/u/p/.env", "/home/u/p/out/made", "/usr", "/usr/lib", "/usr/lib/l -> /etc/x", "/usr/lib/m.pyc",
		"/home/u/p/data -> /srv/data", "/srv/data", "/home/u/k/id_rsa", "/sys/devices/cpu", "/home/u/p/here -> /usr/lib",
		"/proc/keys", "/proc/sys/x", "/proc/kcore")
	for _, c := range []struct {
		path                 string
		access               Access
		errno                unix.Errno
		why, allow, against  string
		where, harmless, not bool
	}{
		{"/home/u/.gitconfig", Looks, unix.ENOENT, "it is on the host, under the empty tmpfs at /home/u",
			"--read /home/u/.gitconfig", "", true, false, false},
		{"/home/u/.gitconfig", Writes, unix.ENOENT, "it is on the host", "--write /home/u/.gitconfig",
			"", true, false, false},
		{"/etc/x", Looks, unix.ENOENT, "it is on the host, and the policy does not show it",
			"--read /etc/x", "", false, false, false},
		{"/etc/shadow", Looks, unix.ENOENT, "it is on the host", "--read /etc/shadow",
			"passwords", false, false, false},
		{"/home/u/.ssh/config", Looks, unix.ENOENT, "it is on the host", "--read /home/u/.ssh/config",
			"private keys", true, false, false},
		{"/home/u/k/id_rsa", Looks, unix.ENOENT, "it is on the host", "--read",
			"files of that name hold secrets", true, false, false},
		{"/home/u/p/.env", Looks, unix.EACCES, "hidden", "", "secrets", true, false, false},
		{"/home/u/p/new", Makes, unix.EROFS, "read-only here, as /home/u/p is", "--write /home/u/p",
			"", true, false, false},
		{"/usr/lib", Makes, unix.EROFS, "read-only here, as /usr is", "--write /usr/lib",
			"belongs to the machine", true, false, false},
		{"/usr/lib/l", Looks, unix.ENOENT, "it is a link to /etc/x; it is on the host, and",
			"--read /etc/x", "", false, false, false},
		{"/home/u/p/data", Looks, unix.ENOENT, "it is a link to /srv/data; ", "--read /srv/data",
			"", false, false, false},
		{"/home/u/.bashrc", Looks, unix.ENOENT, "it is on the host", "--read", "", true, true, false},
		{"/sys/devices/cpu", Looks, unix.ENOENT, "it is on the host", "--read", "", false, true, false},
		{"/usr/lib/m.pyc", Makes, unix.EROFS, "read-only here", "--write", "belongs", true, true, false},
		{"/etc/new", Makes, unix.ENOENT, "its directory is on the host", "--write /etc",
			"belongs", false, false, false},
		{"/usr/x", Looks, unix.EACCES, "the permissions of a directory", "", "", true, false, true},
		// The kernel's own.
		{"/proc/sys/x", Makes, unix.EROFS, "read-only here: what is written there", "", "outside", false, false, false},
		{"/proc/keys", Looks, unix.EACCES, "hidden here", "", "outside", false, false, false},
		{"/proc/kcore", Looks, unix.ENOENT, "no sandbox's /proc has it", "", "outside", false, true, false},
		{"/proc/sys/x", Looks, unix.EACCES, "", "", "", false, false, true},
		{"/proc/none", Looks, unix.ENOENT, "", "", "", false, false, true},
		// What is not there on the host either, and what was made later.
		{"/etc/none", Looks, unix.ENOENT, "", "", "", false, false, true},
		{"/none/new", Makes, unix.ENOENT, "", "", "", false, false, true},
		{"/new", Makes, unix.ENOENT, "", "", "", false, false, true},
		{"/home/u/p/out/made", Looks, unix.ENOENT, "", "", "", false, false, true},
		{"/home/u/p/here", Looks, unix.ENOENT, "", "", "", false, false, true},
		{"/etc/x", Looks, unix.ELOOP, "", "", "", false, false, true},
	} {
		got := j.files([]File{{Path: c.path, Use: Use{Access: c.access}, Answer: uint16(c.errno), Call: "openat", Count: 2}})
		if len(got) != 1 {
			if !c.not {
				t.Errorf("%s: not told", c.path)
			}
			continue
		}
		g := got[0]
		if c.not || !strings.HasPrefix(g.Why, c.why) || !strings.HasPrefix(g.Allow, c.allow) ||
			(c.allow == "") != (g.Allow == "") ||
			!strings.Contains(g.Against, c.against) || (g.Where != "") != c.where || (g.Harmless != "") != c.harmless ||
			g.Count != 2 || g.What != "file" || g.Answer != unix.ErrnoName(c.errno) {
			t.Errorf("%+v, want %+v", g, c)
		}
	}
}

// TestNotWritable: what the caller could not write on the host either is not told, as no flag would
// help; what may be replaced in its directory is.
func TestNotWritable(t *testing.T) {
	j := find(t, "default")
	machine(j, "/", "/run", "/srv", "/srv/x", "/srv/y", "/home/u/p", "/home/u/p/x")
	j.May = func(name string, _ uint32) bool { return name == "/home/u/p" || name == "/srv/y" }
	for name, want := range map[string]string{
		"/run/x": "", "/srv/x": "", "/srv/y": "--write /srv/y", "/srv/new": "", "/home/u/p/new": "--write /home/u/p",
		"/home/u/p/x": "--write /home/u/p/x",
	} {
		answer := unix.ENOENT
		if strings.HasPrefix(name, "/home") {
			answer = unix.EROFS
		}
		got := ""
		for _, item := range j.files([]File{{Path: name, Use: Use{Access: Makes}, Answer: uint16(answer), Count: 1}}) {
			got = item.Allow
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	j.May = nil
	got := j.files([]File{{Path: "/run/x", Use: Use{Access: Makes}, Answer: uint16(unix.ENOENT)}})
	if len(got) != 1 || !strings.Contains(got[0].Against, "other programs use it") {
		t.Errorf("%+v", got)
	}
}

// TestSiblings: many files of one directory are told as one.
func TestSiblings(t *testing.T) {
	j := find(t, "default")
	names := []string{"/srv/d"}
	var list []File
	for i := range 10 {
		name := fmt.Sprintf("/srv/d/%d", i)
		names = append(names, name)
		list = append(list, File{Path: name, Answer: uint16(unix.ENOENT), Count: 3})
	}
	machine(j, names...)
	got := j.files(list)
	if len(got) != 1 || got[0].Call != "/srv/d (10 files in it)" || got[0].Allow != "--read /srv/d" || got[0].Count != 30 {
		t.Errorf("%+v", got)
	}
	if got := j.files(list[:4]); len(got) != 4 {
		t.Errorf("%+v", got)
	}
	report, err := j.Report(Record{Files: append(list, File{Path: "/sys/x", Answer: uint16(unix.ENOENT)})})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(report.Lines(false), "\n")
	const want = "policy default denied no system call, and 1 file could not be used\n" +
		"  /srv/d (10 files in it) was answered with ENOENT, 30 times\n" +
		"    it is on the host, and the policy does not show it; to allow it: --read /srv/d"
	if text != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
}

// TestJudgeKinds: the flag is that for the kind of file. A socket that is only shown
// cannot be connected to, and a writable .git has its hooks writable, too.
func TestJudgeKinds(t *testing.T) {
	for _, c := range []struct{ policy, path, place, want string }{
		{"default", "/tmp/s", "tmpfs", "--socket /tmp/s"},
		{"project", "/home/u/p/.git/index.lock", "read-only", "--policy commit"},
		{"project", "/home/u/p/.vscode/x", "read-only", "--write /home/u/p/.vscode"},
		{"default", "/home/u/p/.git/index.lock", "read-only", "--write /home/u/p/.git"},
	} {
		j := find(t, c.policy)
		machine(j, "/tmp/s", path.Dir(c.path))
		j.Places = append(j.Places, Place{Path: path.Dir(c.path), Is: c.place})
		j.Socket = func(name string) bool { return name == "/tmp/s" }
		f := File{Path: c.path, Use: Use{Access: Makes}, Answer: uint16(unix.EROFS)}
		if c.place == "tmpfs" {
			f.Access, f.Answer = Looks, uint16(unix.ENOENT)
		}
		if got := j.files([]File{f}); len(got) != 1 || got[0].Allow != c.want {
			t.Errorf("%s: %+v, want %s", c.path, got, c.want)
		}
	}
	f, err := find(t, "default").Judge(Denial{Arch: seccomp.AMD64, Number: 101 /* ptrace */, Count: 1})
	if err != nil || !strings.Contains(f.Against, "--policy debug") {
		t.Errorf("ptrace: %+v, %v", f, err)
	}
}

// TestJudgeNotMasked: why there are no Unix sockets, and what helps.
func TestJudgeNotMasked(t *testing.T) {
	d := Denial{Arch: seccomp.AMD64, Number: 41 /* socket */, Count: 1, Filter: noUnixSockets + " but pairs"}
	j := find(t, "project")
	for _, dir := range []string{"", "/srv/many"} {
		j.NotMasked = dir
		item, err := j.Item(d)
		if err != nil || item.Flag != (dir != "") || (item.Allow == "--socket /tmp") != (dir != "") ||
			!strings.Contains(item.Why, dir) {
			t.Errorf("%q: %+v, %v", dir, item, err)
		}
	}
}
