package policy

import (
	"fmt"
	"strings"
	"testing"
)

// lint is Lint without errors.
func lint(t *testing.T, file *Policy, parents []*Policy, whole *Policy) []Finding {
	t.Helper()
	found, _, err := Lint(file, parents, whole)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestLint(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"[files]\nread = ['/usr', '/usr/lib']", `p:3:17: "/usr/lib" is shown already by "/usr" (shadowed)`},
		{"[files]\nread = ['/usr', '/usr/lib/x']\ntmpfs = ['/usr/lib']", ""},
		{"[files]\nread = ['/x/y']\nwrite = ['/x']", ""},
		{"[files]\nwrite = ['/var/lib/x']", ""},
		{"[files]\nwrite = ['./.git']\nread = ['./.git/hooks', './.git/config']", ""},
		{"[files]\nwrite = ['./.git']\nread = ['./.git/hooks']",
			`p:3:10: "${CWD}/.git" makes ${CWD}/.git writable, which other programs obey (startup-writable)`},
		{"[files]\nwrite = ['/var/lib/dpkg/x']",
			`p:3:10: "/var/lib/dpkg/x" can be written, in /var/lib/dpkg, where other programs find what they obey ` +
				`(startup-writable)`},
		{"[files]\nwrite = ['/x', '/x/y']", `p:3:16: "/x/y" is writable already by "/x" (shadowed)`},
		{"[files]\nwrite = ['/x', '/x/y']\nread = ['/x/y/z']", ""},
		{"[files]\nhide = ['/x/y']", `p:3:9: "/x/y" is hidden, but nothing there is shown (hides-nothing)`},
		{"[files]\nread = ['/x']\nhide = ['/x/y', '*.pem', './z']", ""},
		{"[files]\nwrite = ['~/.local']",
			`p:3:10: "${HOME}/.local" makes ${HOME}/.local/bin writable, which is in PATH: what is left there runs on the ` +
				`host (path-writable)`},
		{"[files]\nwrite = ['/usr/local/bin/x']",
			`p:3:10: "/usr/local/bin/x" can be written, in /usr/local/bin, which is in PATH: what is left there runs on the ` +
				`host (path-writable)`},
		{"[files]\nwrite = ['/etc/cron.d']",
			`p:3:10: "/etc/cron.d" can be written, in /etc, where other programs find what they obey (startup-writable)`},
		{"[network]\nhosts = ['*.com:443', 'a.com:443', '@github']",
			`p:3:10: "*.com:443" is about all names below com (wide-host)` + "\n" +
				`p:3:23: "a.com:443" is allowed by another entry already (shadowed)`},
		{"[network]\nport = 443\nhosts = ['*.a.com', 'b.a.com', 'b.a.com:80']",
			`p:4:21: "b.a.com" is allowed by another entry already (shadowed)`},
		{"[network]\nhosts = ['0.0.0.0/0:80', '169.254.169.254:80']",
			`p:3:10: "0.0.0.0/0:80" is about most of the internet (wide-host)` + "\n" +
				`p:3:26: "169.254.169.254:80": there clouds hand credentials to the programs of a machine (metadata)`},
		{"[network]\nlisten = ['0.0.0.0:80', '[::1]:80', '8080']",
			`p:3:11: "0.0.0.0:80:80" lets other machines connect, at all of the host's addresses (published)`},
		{"[files]\nread = ['/proc']", `p:3:9: "/proc" shows the machine's processes (host-proc)`},
		{"[files]\nread = ['/dev/kvm']", `p:3:9: "/dev/kvm" shows a device of the machine (host-device)`},
		{"[namespaces]\npid = 'host'",
			`p: namespaces.pid is "host": /proc shows the machine's processes, and without Landlock the target can signal ` +
				`them (host-proc)`},
		{"[namespaces]\nmount = 'host'",
			`p: namespaces.mount is "host": the host's files are there, and Landlock alone keeps them from being read and ` +
				`written (host-mount)`},
		{"[files]\nsockets = ['?/run']",
			`p:3:12: "?/run" opens /run/docker.sock: the service behind it acts without this policy (socket)`},
		{"[files]\ndevices = ['/dev/dri', '?/dev/sda1']",
			`p:3:24: "?/dev/sda1" is near to the whole machine: disks, memory, keyboards and consoles know nothing of this ` +
				`policy (host-device)`},
		{"[files]\nsockets = ['${SSH_AUTH_SOCK}']",
			`p:3:12: "${SSH_AUTH_SOCK}" opens ${SSH_AUTH_SOCK}: the service behind it acts without this policy (socket)`},
		{"[files]\nread = ['${XDG_RUNTIME_DIR}/bus']",
			`p:3:9: "${XDG_RUNTIME_DIR}/bus" lies in ${XDG_RUNTIME_DIR}, with secrets or what is other programs' own ` +
				"(secret-shown)\n" +
				`p:3:9: "${XDG_RUNTIME_DIR}/bus" is shown in vain: the target can connect only to what files.sockets names ` +
				`(socket)`},
		{"[process]\ncapabilities = ['?sys_admin']", `p:3:17: "?sys_admin" is near to all of root's power (capability)`},
		{"[process]\nnest = true", `p: process.nest: in a user namespace of its own the target reaches kernel code that ` +
			`only root reaches otherwise (nest)`},
		{"[process]\nenv = ['SSH_*']",
			`p:3:8: "SSH_*" lets the caller's environment choose code that runs inside (env-code)` + "\n" +
				`p:3:8: "SSH_*" lets secrets such as SSH_AUTH_SOCK cross (env-secret)`},
		{"[process]\nenv = ['LD_PRELOAD']",
			`p:3:8: "LD_PRELOAD" lets the caller's environment choose code that runs inside (env-code)`},
		{"[process]\nenv = ['A*', 'AB']", `p:3:8: "A*" lets secrets such as AWS_SECRET_ACCESS_KEY cross (env-secret)` + "\n" +
			`p:3:14: "AB" crosses already by "A*" (shadowed)`},
		{"[process]\nlandlock = 'off'", `p: process.landlock is "off": mounts alone protect the files (landlock-off)`},
		{"[seccomp]\ndefault = 'allow'",
			`p: seccomp.default is "allow": every system call that deny does not name is allowed (default-allow)`},
		{"[seccomp]\nunknown = 'log'", `p: action "log" lets the call happen (default-allow)`},
		{"[seccomp]\nallow = ['@terminal-input', '@nest']",
			`p:3:10: "@terminal-input" lets the target type into the caller's terminal (terminal-input)` + "\n" +
				`p:3:29: "@nest" lets the target make namespaces (nest)`},
		{"[seccomp]\nallow = ['@debug']", `p:3:10: "@debug" allows ptrace (kernel-surface)`},
		{"[seccomp]\nallow = ['@debug']\n" +
			"deny = ['ptrace', 'perf_event_open', 'pidfd_getfd', 'kcmp', 'process_vm_readv', 'lookup_dcookie']", ""},
		{"[seccomp]\nallow = ['ptrace']\n[[seccomp.rule]]\nsyscalls = ['ptrace']\naction = 'trap'", ""},
		{"[seccomp]\nallow = ['read']\ndeny = ['@basic-io']",
			`p:3:10: all of "read" is denied, and deny beats allow (shadowed)`},
		{"[seccomp]\nallow = ['@basic-io', 'read']", `p:3:23: "read" is part of "@basic-io" (shadowed)`},
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
}

func TestLintInherited(t *testing.T) {
	find := func(name string, _ *Policy) (*Policy, error) {
		return Parse(name, []byte(head+"[files]\nread = ['/usr', '?/opt']"+tail))
	}
	file, err := Parse("p", []byte(head+"extends = ['a']\n[files]\nread = ['/usr', '/opt']"+tail))
	if err != nil {
		t.Fatal(err)
	}
	a, err := find("a", nil)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := Resolve(file, find)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(lint(t, file, []*Policy{a}, whole))
	if want := `[p:4:9: files.read has "/usr" already, from a (inherited)]`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestLintExpectations: who expects only what works tests nothing that is to fail.
func TestLintExpectations(t *testing.T) {
	for text, want := range map[string]string{
		"": "[]", "[expect]\n": "[]", "[expect]\ndeny = ['read /x']": "[]",
		"[expect]\nallow = ['read /x']": "[p:3:10: expect.allow without expect.deny: nothing is tested to fail " +
			"(no-expectation)]",
	} {
		file, err := Parse("p", []byte(head+text))
		if err != nil {
			t.Fatal(err)
		}
		whole, err := Resolve(file, findNone)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(lint(t, file, nil, whole)); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}
