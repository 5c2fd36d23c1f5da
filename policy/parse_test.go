package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// head and tail make a policy of a few lines.
const (
	head = "version = 1\n"
	tail = "\n[expect]\n"
)

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ in, want, hint string }{
		// the file as a whole
		{"", "f:1:1: no version", "begin the file with: version = 1"},
		{"version = 2" + tail, "f:1:11: version 2 is not known; this sbx knows 1", ""},
		{"version = 0x1" + tail, `f:1:11: version: "0x1" is not a plain decimal number in range`, ""},
		{"version = +1" + tail, `f:1:11: version: "+1" is not a plain decimal number in range`, ""},
		{"version = 1.0" + tail, `f:1:1: version is a whole number, not float 1.0`, ""},
		{"version = \"1\"" + tail, `f:1:1: version is a whole number, not the string "1"`, ""},
		{"version = 1\nversion = 1" + tail, `f:2:1: "version" has a value already, in line 1`, ""},
		{head + "# \u202e\n" + tail, "f:2:3: the control character U+202E", ""},
		{head + "# \a\n" + tail, "f:2:3: the control character U+0007", ""},
		{"\ufeff" + head + tail, "f:1:1: the control character U+FEFF", ""},
		{head + "x = [" + tail, "f:3:2: not TOML: unexpected character U+0065 'e' at start of value", ""},
		{head + "summary = \"a", "f:2:12: not TOML: unterminated basic string", ""},

		// tables and keys
		{head + "[fiels]" + tail, `f:2:2: unknown table "fiels"`, `did you mean "files"?`},
		{head + "[files]\n[files]" + tail, `f:3:2: table "files" is there already`, ""},
		{head + "files.read = []\n[files]" + tail, `f:3:2: table "files" is there already`, ""},
		{head + "files = {}\n[files]" + tail, `f:3:2: table "files" is there already`, ""},
		{head + "files = {}\nfiles.read = []" + tail, `f:3:1: table "files" is there already`, ""},
		{head + "files = 1" + tail, `f:2:1: "files" is a table`, "write [files]"},
		{head + "[files.read]" + tail, `f:2:2: "files.read" is no table`,
			"write files.read = ... above the first table, or below its own"},
		{head + "[[files]]" + tail, `f:2:3: unknown list of tables "files"`, "the only one is [[seccomp.rule]]"},
		{head + "[seccomp.rule]" + tail, `f:2:2: [seccomp.rule] is one of several`, "write [[seccomp.rule]]"},
		{head + "[files]\nraed = []" + tail, `f:3:1: unknown key "files.raed"`, `did you mean "files.read"?`},
		{head + "[files]\n  env = []" + tail, `f:3:3: unknown key "files.env"`, `did you mean "process.env"?`},
		{head + "[files]\nwriteable = []" + tail, `f:3:1: unknown key "files.writeable"`, `did you mean "files.write"?`},
		{head + "[files]\nhidden = []" + tail, `f:3:1: unknown key "files.hidden"`, `did you mean "files.hide"?`},
		{head + "sumary = ''" + tail, `f:2:1: unknown key "sumary"`, `did you mean "summary"?`},
		{head + "\"files.read\" = []" + tail, `f:2:1: unknown key "\"files.read\""`, ""},
		{head + "[files]\nread = []\nwrite = []\nread = []" + tail, `f:5:1: "files.read" has a value already, in line 3`, ""},
		{head + "[files]\nread.x = 1" + tail, `f:3:1: unknown key "files.read.x"`, ""},

		// types
		{head + "[files]\nread = '/usr'" + tail,
			`f:3:1: files.read is a list of strings, as ["a", "b"], not the string "/usr"`, ""},
		{head + "[files]\nread = [1]" + tail, `f:3:1: files.read is a string, not integer 1`, ""},
		{head + "[files]\nread = [['/usr']]" + tail, `f:3:1: files.read is a string, not a list`, ""},
		{head + "[files]\nproc = 1" + tail, `f:3:1: files.proc is true or false, not integer 1`, ""},
		{head + "[files]\nproc = 'no'" + tail, `f:3:1: files.proc is true or false, not the string "no"`, ""},
		{head + "summary = []" + tail, `f:2:1: summary is a string, not a list`, ""},

		// strings
		{head + `summary = "a\nb"` + tail, `f:2:11: "a\nb" has the control character U+000A`, ""},
		{head + `summary = "a\u202eb"` + tail, `f:2:11: "a\u202eb" has the control character U+202E`, ""},
		{head + "[files]\nread = ['" + strings.Repeat("/x", 2049) + "']" + tail,
			`f:3:9: a string of 4098 bytes; the most is 4096`, ""},

		// paths
		{head + "[files]\nread = [\n  '/usr',\n  'etc/x'\n]" + tail,
			`f:5:3: path "etc/x" is neither absolute nor below ~/, ./ or a variable`, `"/etc/x" or "./etc/x"`},
		{head + "[files]\nread = ['']" + tail, `f:3:9: an empty string in files.read`, ""},
		{head + "[files]\nread = ['?']" + tail, `f:3:9: an empty path`, ""},
		{head + "[files]\nread = ['/a/../b']" + tail, `f:3:9: path "/a/../b" has a ..`, "write where it leads to"},
		{head + "[files]\nread = ['/a/*']" + tail, `f:3:9: "/a/*": "*" is for patterns, and only hide takes those`, ""},
		{head + "[files]\nread = ['~bob/x']" + tail,
			`f:3:9: path "~bob/x" is neither absolute nor below ~/, ./ or a variable`, `"/bob/x" or "./~bob/x"`},
		{head + "[files]\nread = ['$HOME/x']" + tail, `f:3:9: "$HOME/x": a $ that begins no variable`,
			"variables are written ${HOME}"},
		{head + "[files]\nread = ['${HOEM}/x']" + tail, `f:3:9: "${HOEM}/x": unknown variable "HOEM"`,
			`did you mean "HOME"?`},
		{head + "[files]\nread = ['${PATH}/x']" + tail, `f:3:9: "${PATH}/x": unknown variable "PATH"`,
			"one of HOME, CWD, USER, UID, XDG_CONFIG_HOME, XDG_CACHE_HOME, XDG_DATA_HOME, XDG_STATE_HOME, XDG_RUNTIME_DIR, " +
				"SSH_AUTH_SOCK, DISPLAY, WAYLAND_DISPLAY"},
		{head + "[files]\nread = ['/x/${HOME}']" + tail, `f:3:9: "/x/${HOME}": ${HOME} is a path and stands only in front`,
			""},
		{head + "[files]\nread = ['${HOME}x']" + tail, `f:3:9: "${HOME}x": a slash must follow ${HOME}`, ""},
		{head + "[files]\nread = ['${USER}/x']" + tail,
			`f:3:9: path "${USER}/x" is neither absolute nor below ~/, ./ or a variable that is a path`, ""},
		{head + "[files]\nread = ['/usr', '?/usr/']" + tail, `f:3:17: "?/usr" is in files.read already`, ""},
		{head + "[files]\nread = ['!?/usr']" + tail, `f:3:9: "!?/usr": what is taken out has no ?`,
			`write "!/usr"; it takes out "?/usr" as well`},
		{head + "[files]\nread = ['/usr', '!/usr']" + tail,
			`f:3:17: "/usr" is taken out of files.read twice, or taken out and put in`, ""},
		{head + "[files]\nhide = ['a/b']" + tail, `f:3:9: path "a/b" is neither absolute nor below ~/, ./ or a variable`,
			`"/a/b" or "./a/b"`},
		{head + "[files]\nhide = ['**/a/b']" + tail, `f:3:9: "**/a/b" is no pattern`,
			`as "*.pem", "**/*.pem" at any depth, or a path from / or ./`},
		{head + "[files]\nhide = ['/a/*.pem']" + tail, `f:3:9: "/a/*.pem": a pattern has no slash, but for **/ in front`, ""},
		{head + "[files]\nhide = ['[']" + tail, `f:3:9: "[" is no pattern: syntax error in pattern`, ""},

		// names
		{head + "[process]\ncapabilities = ['CAP_NET_RWA']" + tail, `f:3:17: unknown capability "CAP_NET_RWA"`,
			`did you mean "net_raw"?`},
		{head + "[process]\ncapabilities = ['net_raw', '?net_raw']" + tail,
			`f:3:28: "?net_raw" is in process.capabilities already`, ""},
		{head + "[process]\nenv = ['1A']" + tail, `f:3:8: "1A" is no environment entry`, "NAME, PREFIX_* or NAME=value"},
		{head + "[process]\nenv = ['A*B']" + tail, `f:3:8: "A*B" is no environment entry`, "NAME, PREFIX_* or NAME=value"},
		{head + "[process]\nenv = ['=x']" + tail, `f:3:8: "=x" is no environment entry`, "NAME, PREFIX_* or NAME=value"},
		{head + "[process]\nlandlock = 'requir'" + tail, `f:3:12: "requir" is no value of landlock`,
			`did you mean "require"?`},
		{head + "[namespaces]\nnet = 'hots'" + tail, `f:3:7: "hots" is no kind of namespace`, `did you mean "host"?`},
		{head + "[namespaces]\nnet = 'auto'" + tail, `f:3:7: "auto" is no kind of namespace`,
			`one of new, host, /path/to/join`},
		{head + "[namespaces]\nnet = '/a/../b'" + tail, `f:3:7: "/a/../b" is no plain path of a namespace`, ""},
		{head + "extends = ['web.toml']" + tail, `f:2:12: "web.toml" is no policy name`,
			"names have a-z, 0-9, - and _; a file is named by a path with a slash, as ./web.toml"},
		{head + "extends = ['~/x.toml']" + tail, `f:2:12: "~/x.toml": extends knows no variables`,
			"write the whole path, or one from this file's directory, as ./x.toml"},
		{head + "extends = ['!web']" + tail, `f:2:12: "!web": nothing can be taken out of extends`, ""},
		{head + "[limits]\nprocesses = 0" + tail, `f:3:13: count "0" is not a plain decimal number from 1`,
			`write "none" for no limit`},
		{head + "[limits]\nprocesses = 010" + tail, `f:3:13: not TOML: integers cannot have leading zeroes`, ""},
		{head + "[limits]\nmemory = '0G'" + tail, `f:3:10: size "0G" is not a number from 1 with K, M, G or T behind it`,
			`as "512M" or "2G"`},
		{head + "[limits]\nmemory = '99999999T'" + tail,
			`f:3:10: size "99999999T" is not a number from 1 with K, M, G or T behind it`, `as "512M" or "2G"`},
		{head + "[limits]\ntime = '-5m'" + tail, `f:3:8: time "-5m" is not a span of at least 1s`, `as "90s" or "1h30m"`},
		{head + "[limits]\ntime = '5ms'" + tail, `f:3:8: time "5ms" is not a span of at least 1s`, `as "90s" or "1h30m"`},

		// seccomp
		{head + "[seccomp]\nallow = ['opnat']" + tail, `f:3:10: unknown system call "opnat"`, `did you mean "openat"?`},
		{head + "[seccomp]\nallow = ['@system-servce']" + tail, `f:3:10: unknown group "@system-servce"`,
			`did you mean "@system-service"?`},
		{head + "[seccomp]\nallow = ['system-service']" + tail, `f:3:10: unknown system call "system-service"`,
			`did you mean "@system-service"?`},
		{head + "[seccomp]\ndefault = 'errno:EPREM'" + tail, `f:3:11: unknown errno "EPREM"`, `did you mean "EPERM"?`},
		{head + "[seccomp]\ndefault = 'errno:0'" + tail, `f:3:11: errno "0" is not a number from 1 to 4095`, ""},
		{head + "[seccomp]\ndefault = 'kill'" + tail, `f:3:11: unknown action "kill"`, ""},
		{head + "[seccomp]\narchitectures = ['i387']" + tail, `f:3:18: unknown architecture "i387"`, ""},
		{head + "[[seccomp.rule]]\naction = 'allow'" + tail, `f:2:3: a rule without syscalls`, ""},
		{head + "[[seccomp.rule]]\nsyscalls = ['read']" + tail, `f:2:3: a rule without an action`,
			"one of allow, errno:NAME, kill-process, kill-thread, trap, log, notify"},
		{head + "[[seccomp.rule]]\nsyscalls = ['read']\nwhen = []\naction = 'allow'" + tail,
			`f:4:1: seccomp.rule.when is empty`, ""},
		{head + "[[seccomp.rule]]\nsyscalls = ['socket']\nwhen = ['arg0 == AF_UNIXX']\naction = 'allow'" + tail,
			`f:4:9: condition "arg0 == AF_UNIXX": unknown constant "AF_UNIXX"`, `did you mean "AF_UNIX"?`},
		{head + "[[seccomp.rule]]\nsyscalls = ['socket']\nwen = []" + tail, `f:4:1: unknown key "seccomp.rule.wen"`,
			`did you mean "when"?`},
		{head + "[[seccomp.rule]]\nsyscalls = ['!socket']\naction = 'allow'" + tail,
			`f:2:3: a rule that takes out "!socket" does nothing else`, "write another [[seccomp.rule]] for the rest"},
		{head + "seccomp.rule = [{ syscalls = ['read'], action = 'allow' }]\n[[seccomp.rule]]" + tail,
			`f:3:3: seccomp.rule is there already`, ""},

		// expectations
		{head + "[expect]\ndeny = ['raed /x']", `f:3:9: unknown expectation "raed"`, `did you mean "read"?`},
		{head + "[expect]\ndeny = ['read']", `f:3:9: "read" is no expectation`, `as "read /etc/shadow" or "syscall keyctl"`},
		{head + "[expect]\ndeny = ['syscall @debug']", `f:3:9: "syscall @debug": an expectation names one system call`, ""},
		{head + "[expect]\ndeny = ['connect 127.0.0.1']", `f:3:9: "127.0.0.1" is no address`,
			`as "127.0.0.1:22" or "[::1]:22"`},
		{head + "[expect]\ndeny = ['connect 127.0.0.1:99999']", `f:3:9: "127.0.0.1:99999" has no port from 1 to 65535`, ""},
	} {
		_, err := Parse("f", []byte(c.in))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q: got %v, want %s", c.in, err, c.want)
			continue
		}
		if e.Error() != c.want || e.Fix != c.hint {
			t.Errorf("%q:\n got %s\nwant %s\n got hint %s\nwant hint %s", c.in, e, c.want, e.Fix, c.hint)
		}
	}
}

// The same policy in the ways TOML has to write it.
func TestParseSpellings(t *testing.T) {
	want := ""
	for i, in := range []string{
		head + "[files]\nread = ['/usr/', '?~/x', '.']\n[seccomp]\ndefault = 'trap'\n[[seccomp.rule]]\nsyscalls = " +
			"['read']\nwhen = ['arg0   == 1']\naction = 'allow'" + tail,
		head + "[[seccomp.rule]]\nsyscalls = ['read']\nwhen = ['arg0 == 1']\naction = 'allow'\n[seccomp]\ndefault = " +
			"'trap'\n[files]\nread = ['/usr', '?${HOME}/x/', './']" + tail,
		head + "files.read = ['//usr/.', '?~//x', '${CWD}']\nseccomp = { default = 'trap', rule = [{ syscalls = ['read'], " +
			"when = ['arg0 == 1'], action = 'allow' }] }" + tail,
		head + "files = { read = [\"/\\u0075sr\", '?~/x', './.'] }\nseccomp.default = 'trap'\nseccomp.rule = [{ syscalls " +
			"= ['read'], when = ['arg0 == 1'], action = 'allow' }]" + tail,
	} {
		p, err := Parse("f", []byte(in))
		if err != nil {
			t.Fatal(err)
		}
		got := string(p.Print())
		if i == 0 {
			want = got
		} else if got != want {
			t.Errorf("%q prints\n%swant\n%s", in, got, want)
		}
		if !isTOML([]byte(in)) {
			t.Errorf("%q is not TOML to another decoder", in)
		}
	}
}

// isTOML asks go-toml's decoder, which knows more of TOML's rules than the
// parser below it.
func isTOML(data []byte) bool {
	var v map[string]any
	return toml.Unmarshal(data, &v) == nil
}

// TestAllErrors: what is wrong is told at once, in the order of the file, and
// nothing that only follows from it.
func TestAllErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`version = 1
sumary = "x"
extends = ["a b"]
[files]
raed = ["/usr"]
write = ["etc", "/ok", 7, "/ok", "$X"]
tmpfs = { "/x" = 1 }
[fiels]
anything = "is not read here"
[files]
hide = ["/a/*"]
[[seccomp.rule]]
syscals = ["read"]
action = "alow"
[[seccomp.rule]]
syscalls = ["raed", "write", "write"]
when = []
[[seccomp.rule]]
syscalls = ["read"]
[process]
nest = "yes"
`, `2:1: unknown key "sumary"
3:12: "a b" is no policy name
5:1: unknown key "files.raed"
6:1: files.write is a string, not integer 7
6:10: path "etc" is neither absolute nor below ~/, ./ or a variable
6:27: "/ok" is in files.write already
6:34: "$X": a $ that begins no variable
7:1: files.tmpfs is a list of strings, as ["a", "b"], not a table
8:2: unknown table "fiels"
10:2: table "files" is there already
11:9: "/a/*": a pattern has no slash, but for **/ in front
13:1: unknown key "seccomp.rule.syscals"
14:10: unknown action "alow"
16:13: unknown system call "raed"
16:30: "write" is in seccomp.rule.syscalls already
17:1: seccomp.rule.when is empty
18:3: a rule without an action
21:1: process.nest is true or false, not the string "yes"`},
		{"verson = 1\nfiles = { raed = [], proc = 1 }\n" +
			"seccomp.rule = [{ syscalls = ['raed'], action = 'no' }, 1, { action = 'allow' }]", `1:1: unknown key "verson"
2:11: unknown key "files.raed"
2:22: files.proc is true or false, not integer 1
3:1: an entry of seccomp.rule is a table, not integer 1
3:31: unknown system call "raed"
3:49: unknown action "no"
3:60: a rule without syscalls`},
		{"x = 1\n[files]\n", "1:1: unknown key \"x\"\n1:1: no version"},
		{"version = 1\nx = 1\ny = [\n\n[files]\nz = 1", "2:1: unknown key \"x\"\n5:2: not TOML: expected keyword \"false\""},
		{"# \u202e \a\nx = 1", "1:3: the control character U+202E\n1:5: the control character U+0007"},
	} {
		_, err := Parse("f", []byte(c.text))
		list, more := All(err)
		var got []string
		for _, e := range list {
			got = append(got, strings.TrimPrefix(e.Error(), "f:"))
		}
		if g := strings.Join(got, "\n"); g != c.want || more {
			t.Errorf("%s\n got\n%s\nwant\n%s", c.text, g, c.want)
		}
	}
}

// TestErrorBound: of very many errors the first are told, soon.
func TestErrorBound(t *testing.T) {
	for _, text := range []string{
		head + strings.Repeat("x = 1\n", 100000), head + "[seccomp]\nallow = [" +
			strings.Repeat("'raed', 'wriet', ", 20000) + "]",
		head + strings.Repeat("[[seccomp.rule]]\n", 20000), head + "# " + strings.Repeat("\a\u202e", 10000),
		head + "files = { " + strings.Repeat("x = 1, ", 10000) + "x = 1 }",
		head + "seccomp.rule = [" + strings.Repeat("{ }, ", 10000) + "]",
		head + strings.Repeat("[files]\n", 10000),
	} {
		_, err := Parse("f", []byte(text))
		list, more := All(err)
		if want := " (and at least 19 more)"; len(list) != MaxErrors || !more || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%.40q: %d errors, %v: %v", text, len(list), more, err)
		}
	}
	_, err := Parse("f", []byte("version = 1\nx = 1\ny = 1"))
	if err == nil || err.Error() != `f:2:1: unknown key "x" (and 1 more)` {
		t.Errorf("two errors in one line: %v", err)
	}
}

// TestNearKeys: a key's neighbours are those of its own table.
func TestNearKeys(t *testing.T) {
	for key, want := range map[string]string{
		"files.deny": `did you mean "files.hide"?`, "files.allow": `did you mean "files.read"?`,
		"files.rw":  `did you mean "files.write"?`,
		"files.env": `did you mean "process.env"?`, "files.raed": `did you mean "files.read"?`,
		"files.symlnk":  `did you mean "files.symlink"?`,
		"network.allow": `did you mean "network.hosts"?`, "network.inbound": `did you mean "network.bind"?`,
		"network.mode": `did you mean "namespaces.net"?`,
		"network.deny": `seccomp.deny and expect.deny are keys, each below its own table`,
		"process.caps": `did you mean "process.capabilities"?`,
		"limits.pids":  `did you mean "limits.processes"?`, "limits.mem": `did you mean "limits.memory"?`,
		"limits.timeout":    `did you mean "limits.time"?`,
		"seccomp.blacklist": `did you mean "seccomp.deny"?`, "seccomp.rules": `did you mean "seccomp.rule"?`,
		"namespaces.network": `did you mean "namespaces.net"?`,
		"description":        `did you mean "summary"?`, "include": `did you mean "extends"?`,
		"read": `did you mean "files.read"?`, "expect.fail": `did you mean "expect.deny"?`,
		"process.xyzzy": `one of capabilities, env, ambient, nest, landlock, landlock_log, supervise, terminal, apparmor, selinux`,
	} {
		_, err := Parse("f", []byte(head+key+" = ['x']\n"))
		wantError(t, key, err, "f:2:1: unknown key \""+key+"\"", want)
	}
	for _, f := range fields() {
		if got := meant(f.key); got != "" {
			t.Errorf("%s is a key, and is taken for %s", f.key, got)
		}
	}
}

func TestParseBounds(t *testing.T) {
	var e *Error
	if _, err := Parse("f", make([]byte, MaxSize+1)); !errors.As(err, &e) || !strings.Contains(e.Msg, "1 MiB") {
		t.Errorf("a byte too many: %v", err)
	}
	var b strings.Builder
	b.WriteString(head + "[files]\nread = [\n")
	for i := range MaxEntries + 1 {
		fmt.Fprintf(&b, "'/%d',\n", i)
	}
	b.WriteString("]" + tail)
	if _, err := Parse("f", []byte(b.String())); !errors.As(err, &e) || e.Line != MaxEntries+4 {
		t.Errorf("an entry too many: %v", err)
	}
	deep := head + "x = " + strings.Repeat("[", 500000)
	if _, err := Parse("f", []byte(deep)); err == nil {
		t.Error("deep nesting passed")
	}
}
