package policy

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// everything says all that the tables of files, namespaces, process and limits can.
const everything = `[namespaces]
user = "new"
net = "host"
time = "new"
uid = 0
gid = 4294967294
ranges = true
hostname = "a-1.Example"
monotonic = "1h30m"
boottime = "-2h"
[files]
read = ["/usr", "/in"]
tmpfs = ["/tmp"]
overlay = ["?/opt", "/src"]
directories = ["/mnt"]
sockets = ["?/run/x.sock"]
own_sockets = true
devices = ["/dev/kvm", "?/dev/dri"]
file."/etc/resolv.conf" = """
nameserver \"1.1.1.1\" \\
	two

"""
file."/etc/empty" = ""
file."~/.one" = "one"
symlink."/bin" = "usr/bin"
symlink."/home/${USER}" = "${HOME}"
path."/tmp" = { size = "64M", mode = "1777", exec = false }
path."/in" = { from = "fd:7" }
path."/src" = { from = "/srv/x", upper = "~/a", work = "~/b", exec = true }
path."/mnt" = { mode = "0700" }
[network]
bind = [0, "8080"]
connect = []
[process]
capabilities = ["net_raw"]
ambient = true
landlock_log = true
supervise = false
terminal = "pty"
apparmor = "a//b.c:d"
selinux = "system_u:system_r:x_t:s0:c1,c2"
[limits]
processes = "?5"
memory = "1G"
cpu = "?200%"
io = "10M"
time = "1h"
cpu_time = "90s"
file_size = "?2G"
open_files = 1024
core = 0
tmp = "64M"
`

func TestLanguage(t *testing.T) {
	p, err := Parse("p", []byte(head+everything+tail))
	if err != nil {
		t.Fatal(err)
	}
	zero, last, yes, no := 0, MaxID, true, false
	want := &Policy{
		Name: "p", Version: 1,
		Namespaces: Namespaces{
			User:      "new",
			Net:       "host",
			Time:      "new",
			UID:       &zero,
			GID:       &last,
			Ranges:    &yes,
			Hostname:  "a-1.Example",
			Monotonic: "1h30m",
			Boottime:  "-2h",
		},
		Files: Files{
			Read: []string{"/usr", "/in"}, Tmpfs: []string{"/tmp"}, Overlay: []string{"?/opt", "/src"},
			Directories: []string{"/mnt"}, Sockets: []string{"?/run/x.sock"}, OwnSockets: &yes,
			Devices: []string{"/dev/kvm", "?/dev/dri"},
			Inline: map[string]string{
				"/etc/resolv.conf": "nameserver \"1.1.1.1\" \\\n\ttwo\n\n", "/etc/empty": "", "${HOME}/.one": "one",
			},
			Symlinks: map[string]string{"/bin": "usr/bin", "/home/${USER}": "${HOME}"},
			Paths: map[string]PathOptions{
				"/tmp": {Size: "64M", Mode: "1777", Exec: &no}, "/in": {From: "fd:7"},
				"/src": {From: "/srv/x", Upper: "${HOME}/a", Work: "${HOME}/b", Exec: &yes}, "/mnt": {Mode: "700"},
			},
		},
		Network: Network{Bind: []string{"0", "8080"}, Connect: []string{}},
		Process: Process{
			Capabilities: []string{"net_raw"},
			Ambient:      &yes,
			LandlockLog:  &yes,
			Supervise:    &no,
			Terminal:     "pty",
			AppArmor:     "a//b.c:d",
			SELinux:      "system_u:system_r:x_t:s0:c1,c2",
		},
		Limits: Limits{
			Processes: "?5",
			Memory:    "1G",
			CPU:       "?200%",
			IO:        "10M",
			Time:      "1h",
			CPUTime:   "90s",
			FileSize:  "?2G",
			OpenFiles: "1024",
			Core:      "0",
			Tmp:       "64M",
		},
	}
	p.origins = nil
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got\n%s", p.Print())
	}
	// Printed and read again it is the same, resolved as well.
	q, err := Parse("p", p.Print())
	if err != nil {
		t.Fatalf("%v in\n%s", err, p.Print())
	}
	if q.origins = nil; !reflect.DeepEqual(q, want) {
		t.Errorf("printed\n%sand read it is\n%s", p.Print(), q.Print())
	}
	r, err := Resolve(q, findNone)
	if err != nil {
		t.Fatal(err)
	}
	fixpoint(t, r)
	x, err := r.Expand(Vars{Home: "/h", User: "u"})
	if err != nil {
		t.Fatal(err)
	}
	f := x.Files
	if f.Inline["/h/.one"] != "one" || f.Symlinks["/home/u"] != "/h" || f.Paths["/src"].Upper != "/h/a" ||
		f.Paths["/in"].From != "fd:7" || len(f.Paths) != 4 {
		t.Errorf("expanded %+v", f)
	}
}

// TestTableSpellings: the ways that TOML has for tables in tables.
func TestTableSpellings(t *testing.T) {
	want := ""
	for i, in := range []string{
		"[files]\ntmpfs = ['/tmp']\npath.'/tmp' = { size = '1M', exec = false }\nfile.'/x' = 'y'\nsymlink.'/l' = 'k'",
		"[files]\ntmpfs = ['/tmp']\npath.'/tmp'.size = '1M'\npath.'/tmp/'.exec = false\nfile = { '/x' = 'y' }\nsymlink = " +
			"{ '//l' = 'k' }",
		"[files.path.'/tmp']\nsize = '1M'\nexec = false\n[files]\ntmpfs = ['/tmp']\nfile.'/x' = 'y'\nsymlink.'/l' = 'k'",
		"[files]\ntmpfs = ['/tmp']\n[files.path]\n'/tmp' = { size = '1M', exec = false }\n[files.file]\n'/x' = " +
			"'y'\n[files.symlink]\n'/l' = 'k'",
		"[files.path]\n'/tmp'.size = '1M'\n'/tmp'.exec = false\n[files]\ntmpfs = ['/tmp']\nfile.'/x' = 'y'\nsymlink.'/l' " +
			"= 'k'",
		"files.tmpfs = ['/tmp']\nfiles.path.'/tmp'.size = '1M'\nfiles.path.'/tmp'.exec = false\nfiles.file.'/x' = " +
			"'y'\nfiles.symlink.'/l' = 'k'",
		"files = { tmpfs = ['/tmp'], path = { '/tmp' = { size = '1M', exec = false } }, file.'/x' = 'y', " +
			"symlink = { '/l' = 'k' } }",
		"[files]\ntmpfs = ['/tmp']\nfile.'/x' = 'y'\nsymlink.'/l' = 'k'\npath = {}\n[network]",
	} {
		text := head + in + tail
		p, err := Parse("f", []byte(text))
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if !isTOML([]byte(text)) {
			t.Errorf("%q is not TOML to another decoder", in)
		}
		switch got := string(p.Print()); {
		case i == 0:
			want = got
		case strings.Contains(in, "{}"):
			if p.Files.Paths != nil {
				t.Errorf("%q makes a table", in)
			}
		case got != want:
			t.Errorf("%q prints\n%swant\n%s", in, got, want)
		}
	}
}

func TestLanguageErrors(t *testing.T) {
	for _, c := range []struct{ in, want, hint string }{
		// ids: strict
		{"[namespaces]\nuid = -1", `f:3:7: namespaces.uid: "-1" is not a plain decimal number in range`, ""},
		{"[namespaces]\nuid = +0", `f:3:7: namespaces.uid: "+0" is not a plain decimal number in range`, ""},
		{"[namespaces]\nuid = 0x0", `f:3:7: namespaces.uid: "0x0" is not a plain decimal number in range`, ""},
		{"[namespaces]\nuid = 1_0", `f:3:7: namespaces.uid: "1_0" is not a plain decimal number in range`, ""},
		{"[namespaces]\ngid = 4294967295", `f:3:7: namespaces.gid: "4294967295" is not a plain decimal number in range`, ""},
		{"[namespaces]\ngid = 00", `f:3:7: not TOML: integers cannot have leading zeroes`, ""},
		{"[namespaces]\ngid = '0'", `f:3:1: namespaces.gid is a whole number, not the string "0"`, ""},
		{"[namespaces]\nhostname = 'a_b'", `f:3:12: "a_b" is no hostname`,
			"labels of letters, digits and -, with dots between them; at most 64 bytes"},
		{"[namespaces]\nhostname = '-a'", `f:3:12: "-a" is no hostname`,
			"labels of letters, digits and -, with dots between them; at most 64 bytes"},
		{"[namespaces]\nhostname = 'a..b'", `f:3:12: "a..b" is no hostname`,
			"labels of letters, digits and -, with dots between them; at most 64 bytes"},
		{"[namespaces]\nmonotonic = '1d'", `f:3:13: offset "1d" is not a span of time`, `as "90s", "1h30m" or "-2h"`},
		{"[namespaces]\nboottime = '--2h'", `f:3:12: offset "--2h" is not a span of time`, `as "90s", "1h30m" or "-2h"`},

		// tables by path
		{"[files]\nfile.'x' = ''", `f:3:6: path "x" is neither absolute nor below ~/, ./ or a variable`, `"/x" or "./x"`},
		{"[files]\nfile.'/a/../b' = ''", `f:3:6: path "/a/../b" has a ..`, "write where it leads to"},
		{"[files]\nfile.'?/x' = ''", `f:3:6: "?/x": only an entry of a list has a ?`, ""},
		{"[files]\nfile.'!/x' = ''", `f:3:6: "!/x": only an entry of a list has a !`, `write "/x" = false to take it out`},
		{"[files]\nfile.\"/x\\n\" = ''", `f:3:6: "/x\n" has the control character U+000A`, ""},
		{"[files]\nfile.'/x' = true",
			`f:3:1: files.file."/x" is a string, or false to take out what is inherited, not bool true`, ""},
		{"[files]\nfile.'/x' = \"a\\rb\"", `f:3:13: the file's text has the control character U+000D`, ""},
		{"[files]\nfile.'/x' = \"a\\u202e\"", `f:3:13: the file's text has the control character U+202E`, ""},
		{"[files]\nfile.'~/x' = ''\nfile.'${HOME}/x' = ''",
			`f:4:1: "files.file.\"${HOME}/x\"" has a value already, in line 3`, ""},
		{"[files]\nfile = 'x'", `f:3:1: "files.file" is a table`, "write [files.file]"},
		{"[files.file.'/x']", `f:2:2: "files.file.\"/x\"" is no table`,
			`write files.file."/x" = ... above the first table, or below its own`},
		{"[files]\nsymlink.'/x' = ''", `f:3:16: a link's target has 1 to 4095 bytes, not 0`, ""},
		{"[files]\nsymlink.'/x' = '${X}'", `f:3:16: "${X}": unknown variable "X"`,
			"one of HOME, CWD, USER, UID, XDG_CONFIG_HOME, XDG_CACHE_HOME, XDG_DATA_HOME, XDG_STATE_HOME, XDG_RUNTIME_DIR, " +
				"SSH_AUTH_SOCK, DISPLAY, WAYLAND_DISPLAY"},
		{"[files]\npath.'/x' = true", `f:3:1: "files.path.\"/x\"" is a table`,
			`as files.path."/x" = { size = "64M" }; false takes out what is inherited`},
		{"[files]\npath.'/x'.siez = '1M'", `f:3:1: unknown key "files.path.\"/x\".siez"`, `did you mean "size"?`},
		{"[files]\npath.'/x' = { mode = 1777 }", `f:3:15: files.path."/x".mode is a string, not integer 1777`, ""},
		{"[files]\npath.'/x'.owner = '-x'", `f:3:19: "-x" is no user`, `a name as in /etc/passwd, or a number`},
		{"[files]\npath.'/x'.mode = '4755'", `f:3:18: mode "4755" is not three or four octal digits up to 1777`,
			`as "755" or "1777"`},
		{"[files]\npath.'/x'.size = 'none'", `f:3:18: size "none" is not a number from 1 with K, M, G or T behind it`,
			`as "512M" or "2G"`},
		{"[files]\npath.'/x'.from = 'fd:2'", `f:3:18: "fd:2" is no descriptor to show`, `as "fd:7", from 3 to 1048575`},
		{"[files]\npath.'/x'.from = '?/y'", `f:3:18: "?/y": only an entry of a list has a ?`, ""},
		{"[files]\npath.'/x'.size = '1M'\npath.'/x'.size = '1M'",
			`f:4:1: "files.path.\"/x\".size" has a value already, in line 3`, ""},
		{"[files]\npath.'/x' = {}\npath.'/x'.size = '1M'", `f:4:1: table "files.path.\"/x\"" is there already`, ""},
		{"[files]\npath.'/x' = false\npath.'/x'.size = '1M'", `f:4:1: table "files.path.\"/x\"" is there already`, ""},
		{"[files]\npath.'/x'.size = '1M'\npath.'/x' = false", `f:4:1: table "files.path.\"/x\"" is there already`, ""},
		{"[files.path.'/x']\n[files.path.'/x/']", `f:3:2: table "files.path.\"/x\"" is there already`, ""},
		{"[files]\npath = {}\n[files.path.'/x']", `f:4:2: table "files.path" is there already`, ""},
		{"[files]\npath.'/x'.size = '1M'\n[files.path]", `f:4:2: table "files.path" is there already`, ""},
		{"[files.fiel]", `f:2:2: unknown table "files.fiel"`, `did you mean "files.file"?`},

		// ports
		{"[network]\nbind = 80", `f:3:1: network.bind is a list of whole numbers, as [80, 443], not integer 80`, ""},
		{"[network]\nconnect = [0]", `f:3:12: port 0 cannot be connected to`, ""},
		{"[network]\nconnect = [65536]", `f:3:12: port "65536" is not a plain decimal number up to 65535`, ""},
		{"[network]\nconnect = ['080']", `f:3:12: port "080" is not a plain decimal number up to 65535`, ""},
		{"[network]\nconnect = [80, '80']", `f:3:16: "80" is in network.connect already`, ""},
		{"[network]\nconnect = ['?80']", `f:3:12: port "?80" is not a plain decimal number up to 65535`, ""},

		{"[process]\nterminal = 'new'", `f:3:12: "new" is no value of terminal`, "one of inherit, new-session, pty"},
		{"[process]\napparmor = 'a b'",
			`f:3:12: "a b" is no label of a security module: it has a space, or what is not ASCII`, ""},
		{"[process]\nselinux = ''", `f:3:11: an empty string in process.selinux`, ""},

		{"[limits]\nmemory = '?none'", `f:3:10: size "none" is not a number from 1 with K, M, G or T behind it`,
			`as "512M" or "2G"`},
		{"[limits]\nmemory = '??1G'", `f:3:10: size "?1G" is not a number from 1 with K, M, G or T behind it`,
			`as "512M" or "2G"`},
		{"[limits]\ncpu = '50'", `f:3:7: share "50" is not whole percents of one processor`, `as "50%" or "200%"`},
		{"[limits]\ncpu = '0%'", `f:3:7: share "0%" is not whole percents of one processor`, `as "50%" or "200%"`},
		{"[limits]\ncpu = '1.5%'", `f:3:7: share "1.5%" is not whole percents of one processor`, `as "50%" or "200%"`},
		{"[limits]\nopen_files = 0", `f:3:14: count "0" is not a plain decimal number from 1`, `write "none" for no limit`},
		{"[limits]\ncore = -1", `f:3:8: size "-1" is not a number from 1 with K, M, G or T behind it`, `as "512M" or "2G"`},
		{"[limits]\nmemory = 5", `f:3:1: limits.memory is a string, not integer 5`, ""},
	} {
		_, err := Parse("f", []byte(head+c.in+tail))
		wantError(t, c.in, err, c.want, c.hint)
	}
}

func wantError(t *testing.T, in string, err error, want, hint string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("%q: got %v, want %s", in, err, want)
	} else if e.Error() != want || e.Fix != hint {
		t.Errorf("%q:\n got %s\nwant %s\n got hint %s\nwant hint %s", in, e, want, e.Fix, hint)
	}
}

// TestRandomTables: however tables are opened and reopened, what Parse takes
// is TOML to a decoder that knows the whole standard.
func TestRandomTables(t *testing.T) {
	pieces := []string{
		"[files]", "[files.path]", "[files.file]", "[files.symlink]", "[files.path.'/a']", "[files.path.'/b']", "[network]",
		"[files.path.'/a/']",
		"path.'/a'.size = '1M'", "path.'/a'.exec = true", "path.'/b' = { size = '1M' }", "path.'/b' = false",
		"path = { '/a' = {}, '/b'.size = '2M' }", "path = {}",
		"'/a'.mode = '700'", "'/a' = {}", "'/b' = { mode = '700' }", "'/b' = false", "size = '1M'", "exec = false",
		"file.'/x' = ''", "file = { '/y' = 'z' }", "'/x' = 'y'", "symlink.'/a' = 'b'", "read = []", "bind = []",
		"files.path.'/a'.size = '3M'", "files.path.'/b' = {}", "files.file = {}", "files = { path = { '/c' = {} } }",
		"files.read = ['/r']", "files.file.'/q' = ''",
	}
	taken := 0
	for seed := range uint64(20000) {
		a := author{rand.New(rand.NewPCG(seed, 2))}
		var w strings.Builder
		w.WriteString(head)
		for range 1 + a.IntN(5) {
			w.WriteString(a.one(pieces...) + "\n")
		}
		w.WriteString(tail)
		p, err := Parse("f", []byte(w.String()))
		if err != nil {
			continue
		}
		taken++
		if !isTOML([]byte(w.String())) {
			t.Fatalf("taken, but no TOML:\n%s", w.String())
		}
		if q, err := Parse("f", p.Print()); err != nil || string(q.Print()) != string(p.Print()) {
			t.Fatalf("%v:\n%sprints\n%s", err, w.String(), p.Print())
		}
	}
	if taken < 300 {
		t.Errorf("only %d are taken", taken)
	}
}
