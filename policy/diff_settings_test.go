package policy

import (
	"slices"
	"strings"
	"testing"
)

func TestCompareSettings(t *testing.T) {
	for _, c := range []struct{ a, b, verdict, lines string }{
		{"[namespaces]\nuser = 'new'\nuid = 0", "[namespaces]\nuser = 'new'\nuid = 0", "equal", ""},
		{"", "[namespaces]\nuid = 0", "neither", "~user id inside: 0 instead of the caller's"},
		{"", "[namespaces]\nranges = true", "wider", "+the caller's ranges of ids"},
		{"", "[namespaces]\nhostname = 'x'", "equal", "=namespaces.hostname: x instead of none"},

		{"", "[files]\noverlay = ['/a']", "wider", "+read and private changes to /a"},
		{"[files]\nread = ['/a']", "[files]\noverlay = ['/a']", "wider", "+private changes to /a"},
		{"[files]\noverlay = ['/a']", "[files]\nwrite = ['/a']", "wider", "+write /a"},
		{"[files]\nwrite = ['/a']", "[files]\noverlay = ['/a']", "narrower", "-write /a"},
		{"", "[files]\ndirectories = ['/a']", "wider", "+a thing of the sandbox's own at /a"},
		{"[files]\ndirectories = ['/a']", "[files]\ntmpfs = ['/a']", "wider", "+private space at /a"},
		{"[files]\nread = ['/a']", "[files]\nread = ['/a']\nfile.'/a/b' = ''", "narrower", "-read /a/b"},
		{"[files]\nfile.'/a' = 'x'\nsymlink.'/l' = 'm'", "[files]\nfile.'/a' = 'y'\nsymlink.'/l' = 'n'", "equal",
			"=another target of /l =another text of /a"},
		{"", "[files]\nsockets = ['/s']", "wider", "+connecting to sockets at /s +read /s"},
		{"[files]\nsockets = ['/s']", "[files]\nsockets = ['?/s/t']", "narrower", "-connecting to sockets at /s -read /s"},
		{"[files]\nread = ['/a']\npath.'/a'.exec = false", "[files]\nread = ['/a']", "wider", "+executing files of /a"},
		{"[files]\nread = ['/a']", "[files]\nread = ['/a']\npath.'/a'.exec = true", "equal", ""},
		{"[files]\nread = ['/a']", "[files]\nread = ['/a']\npath.'/a'.from = '/b'", "neither",
			"~what is shown at /a: /b instead of the path itself"},
		{"[files]\ntmpfs = ['/a']", "[files]\ntmpfs = ['/a']\npath.'/a' = { size = '1M', mode = '700' }", "narrower",
			"-size of /a: 1M instead of no bound =mode of /a: 700 instead of none"},
		{"[files]\ntmpfs = ['/a']", "[files]\ntmpfs = ['/a']\npath.'/a'.owner = 'u'", "equal",
			"=owner of /a: u instead of none"},

		{"namespaces.net = 'host'\n", "namespaces.net = 'host'\n[network]\nbind = [80]", "narrower",
			"-bind TCP ports but 80 ..."},
		{"[network]\nconnect = []", "", "wider", "+connect to TCP ports but none ..."},
		{"namespaces.net = 'host'\n[network]\nconnect = [80, 443]", "namespaces.net = 'host'\n[network]\nconnect = [80, 22]",
			"neither", "+connect to TCP port 22 -connect to TCP port 443"},
		{"namespaces.net = 'host'\n[network]\nconnect = []", "namespaces.net = 'host'\n[network]\nconnect = [80]", "wider",
			"+connect to TCP port 80"},

		{"", "[network]\nhosts = ['a.com:443']", "wider", "+reach a.com:443"},
		{"[network]\nhosts = ['*.a.com:443']", "[network]\nhosts = ['x.a.com:443', '*.y.a.com:443']", "narrower",
			"-reach *.a.com:443"},
		{"[network]\nhosts = ['a.com']\nport = 443", "[network]\nhosts = ['a.com:443']", "equal", ""},
		{"[network]\nhosts = ['a.com']\nport = 443", "[network]\nhosts = ['a.com']\nport = 80", "neither",
			"+reach a.com:80 -reach a.com:443"},
		{"[network]\nhosts = ['pypi.org:443', 'files.pythonhosted.org:443']", "[network]\nhosts = ['@pypi']", "equal", ""},
		{"[network]\nhosts = ['0.0.0.0/0:443']", "[network]\nhosts = ['0.0.0.0/0:443', '10.0.0.0/8:443']", "wider",
			"+reach 10.0.0.0/8:443"},
		{"namespaces.net = 'host'\n", "[network]\nhosts = ['a.com:443']\nlisten = ['8080']", "narrower",
			"-the machine's net namespace"},
		{"namespaces.net = 'host'\n[network]\nconnect = [80]", "[network]\nhosts = ['a.com:443']", "neither",
			"+connect to TCP ports but 80 +reach a.com:443 -the machine's net namespace ..."},
		{"[network]\nlisten = ['0.0.0.0:80']", "[network]\nlisten = ['80']", "narrower",
			"-listen on the host at 0.0.0.0:80:80"},

		{"[files]\ndevices = ['/dev/kvm', '/dev/dri']", "[files]\ndevices = ['/dev/dri/card0', '?/dev/snd']", "neither",
			"+using devices at /dev/snd -using devices at /dev/dri -using devices at /dev/kvm"},
		{"", "[files]\nown_sockets = true", "wider", "+Unix sockets of its own before Linux 7.1"},
		{"[files]\nown_sockets = true", "[files]\nsockets = ['/']", "wider", "+connecting to sockets at /"},

		{"", "[process]\nambient = true", "wider", "+the capabilities kept as ambient ones"},
		{"", "[process]\nterminal = 'pty'", "narrower", "-the caller's terminal (now pty)"},
		{"[process]\nterminal = 'new-session'", "", "wider", "+the caller's terminal (instead of new-session)"},
		{"[process]\nterminal = 'new-session'", "[process]\nterminal = 'pty'", "neither",
			"~terminal: pty instead of new-session"},
		{"", "[process]\napparmor = 'x'", "neither", "~AppArmor profile: x instead of none"},
		{"", "[process]\nlandlock_log = true", "equal", "=process.landlock_log: true instead of false"},
		{"", "[process]\nsupervise = false", "wider",
			"+processes that stay when the program has ended (process.supervise is false)"},
		{"[process]\nsupervise = false", "", "narrower",
			"-processes that stay when the program has ended (process.supervise is false)"},

		{"", "[limits]\ncpu = '50%'", "narrower", "-cpu: 50% instead of no bound"},
		{"[limits]\nio = '1M'", "[limits]\nio = '2048K'", "wider", "+io: 2048K instead of 1M"},
		{"[limits]\ncore = 0", "", "equal", ""},
		{"[limits]\ncore = 0", "[limits]\ncore = '1M'", "wider", "+core: 1M instead of 0"},
		{"[limits]\nmemory = '1G'", "[limits]\nmemory = '?1G'", "wider", "+memory: ?1G instead of 1G"},
		{"[limits]\nopen_files = '?9'", "[limits]\nopen_files = 8", "narrower", "-open_files: 8 instead of ?9"},
		{"[limits]\ncpu_time = '1h'", "[limits]\ncpu_time = '?30m'", "neither", "~cpu_time: ?30m instead of 1h"},
		{"[limits]\nfile_size = '?1G'\ntmp = '1G'", "[limits]\nfile_size = '?1024M'\ntmp = '1024M'", "equal", ""},
	} {
		a, b := resolvedText(t, c.a), resolvedText(t, c.b)
		d := compare(t, a, b)
		var lines []string
		for sign, list := range map[string][]string{"+": d.Wider, "-": d.Narrower, "~": d.Other, "=": d.Notes} {
			for _, l := range list {
				lines = append(lines, sign+l)
			}
		}
		got := strings.Join(slices.Sorted(slices.Values(lines)), " ")
		want, more := strings.CutSuffix(c.lines, "...") // of system calls, with another errno
		if d.Verdict() != c.verdict || got != want && !(more && strings.HasPrefix(got, want+"=system calls, ")) {
			t.Errorf("%q to %q: %s, %s\nwant %s, %s", c.a, c.b, d.Verdict(), got, c.verdict, c.lines)
		}
		turned := map[string]string{"equal": "equal", "wider": "narrower", "narrower": "wider", "neither": "neither"}
		if back := compare(t, b, a).Verdict(); back != turned[c.verdict] {
			t.Errorf("%q to %q: the other way %s", c.a, c.b, back)
		}
	}
}

func TestLintSettings(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"[namespaces]\nnet = 'host'\n[network]\nconnect = [443]", ""},
		{"[network]\nconnect = []", ""},
		{"[process]\nsupervise = false",
			`p:3:1: process.supervise: a launch refuses it, since namespaces.pid is "new": ` +
				`a process never enters one itself (no-effect)`},
		{"[namespaces]\npid = 'host'\n[process]\nsupervise = false",
			`p: namespaces.pid is "host": /proc shows the machine's processes, and without Landlock the target can signal ` +
				`them (host-proc)`},
		{"[process]\nlandlock_log = true\nnest = true",
			`p: process.nest: in a user namespace of its own the target reaches kernel code that only root reaches ` +
				`otherwise (nest)` + "\n" +
				`p:3:1: process.landlock_log: there is no Landlock whose denials could be logged (no-effect)`},
		{"[process]\nambient = true", `p:3:1: process.ambient: no capability is kept that could be ambient (no-effect)`},
		{"[process]\nambient = true\ncapabilities = ['net_bind_service']",
			`p:3:1: process.ambient: every program started inside has the capabilities kept, whoever it runs as (capability)`},
		{"[limits]\ntmp = '1M'", `p:3:1: limits.tmp: there is no tmpfs to bound (no-effect)`},
		{"[namespaces]\nranges = true",
			`p:3:1: namespaces.ranges: files that the target leaves can belong to other ids of the caller's ranges (id-ranges)`},
		{"[files]\ntmpfs = ['/t']\npath.'/t'.mode = '777'",
			`p:4:1: "/t" has mode 777: without the sticky bit (1777) each user inside can remove another's files (mode)`},
		{"[files]\ntmpfs = ['/t']\npath.'/t'.mode = '1777'", ""},
		{"[files]\nwrite = ['/w']\noverlay = ['/o']\npath.'/o' = { upper = '/w/u', work = '/v' }",
			`p:5:15: the upper of "/o" is writable inside too: what overlayfs makes of changes to it is undefined ` +
				`(overlay-shown)`},
		{"[files]\nsockets = ['?/run/docker.sock']",
			`p:3:12: "?/run/docker.sock" opens /run/docker.sock: the service behind it acts without this policy (socket)`},
		{"[files]\noverlay = ['/x']\nhide = ['/x/y']", ""},
	} {
		file, err := Parse("p", []byte(head+c.text+tail+"deny = ['read /x']\n"))
		if err != nil {
			t.Fatal(err)
		}
		whole, err := Resolve(file, findNone)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range lint(t, file, nil, whole) {
			got = append(got, f.String())
		}
		if g := strings.Join(got, "\n"); g != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.text, g, c.want)
		}
	}
	a := resolvedText(t, "[files]\nfile.'/f' = 'x'")
	file, err := Parse("p", []byte(head+"extends = ['a']\n[files]\nfile.'/f' = 'x'"+tail+"deny = ['read /x']\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := lint(t, file, []*Policy{a}, a); len(got) != 1 || got[0].Rule != "inherited" {
		t.Errorf("an inherited file: %v", got)
	}
}
