package policy

import (
	"slices"
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		a, b    string
		verdict string
		lines   string // + wider, - narrower, ~ not comparable, = noted
	}{
		{"", "", "equal", ""},
		{"summary = 'x'", "summary = 'y'", "equal", ""},
		{"", "[namespaces]\nnet = 'host'", "wider", "+the machine's net namespace"},
		{"[namespaces]\npid = 'host'", "", "narrower", "-the machine's pid namespace"},
		{"", "[namespaces]\nnet = '/run/netns/x'", "neither", "~net namespace: /run/netns/x instead of new"},

		{"", "[files]\nread = ['/a']", "wider", "+read /a"},
		{"[files]\nread = ['/a']", "[files]\nread = ['?/a']", "equal", ""},
		{"[files]\nread = ['/a']", "[files]\nread = ['/a', '/a/b']", "equal", ""},
		{"[files]\nread = ['/a']", "[files]\nread = ['/a']\nwrite = ['/a/b']", "wider", "+write /a/b"},
		{"[files]\nread = ['/a', '/a/b']", "[files]\nwrite = ['/a']", "wider", "+write /a"},
		{"[files]\nwrite = ['/a']", "[files]\nwrite = ['/a']\nread = ['/a/b']", "narrower", "-write /a/b"},
		{"[files]\nwrite = ['/a']", "[files]\nread = ['/a']\nwrite = ['/a/b']", "narrower", "-write /a"},
		{"[files]\nread = ['/a']", "[files]\nread = ['/b']", "neither", "+read /b -read /a"},
		{"[files]\nread = ['/a']", "[files]\nread = ['/a']\ntmpfs = ['/a/b']", "narrower", "-read /a/b"},
		{"", "[files]\ntmpfs = ['/tmp']", "wider", "+private space at /tmp"},
		{"[files]\ntmpfs = ['/tmp']", "[files]\nread = ['/tmp']", "wider", "+read /tmp"},
		{"[files]\nhide = ['*.pem']", "", "wider", "+what was hidden by *.pem"},
		{"[files]\nhide = ['?./x']", "[files]\nhide = ['./x', '*.pem']", "narrower", "-what is hidden by *.pem"},
		{"", "[files]\nproc = false", "narrower", "-/proc"},
		{"[files]\ndev = false", "[files]\ndev = true", "wider", "+a minimal /dev"},

		{"", "[process]\ncapabilities = ['?net_raw']", "wider", "+capability net_raw"},
		{"[process]\ncapabilities = ['net_raw']", "[process]\ncapabilities = ['?net_raw']", "equal", ""},
		{"[process]\nenv = ['LC_*']", "[process]\nenv = ['LC_ALL']", "narrower", "-the caller's environment LC_*"},
		{"[process]\nenv = ['LC_ALL']", "[process]\nenv = ['*']", "wider", "+the caller's environment *"},
		{"[process]\nenv = ['LC_*']", "[process]\nenv = ['LC_*', 'LC_ALL']", "equal", ""},
		{"[process]\nenv = ['A=1']", "[process]\nenv = ['A=2']", "equal", "=environment A=2"},
		{"[process]\nenv = ['A=1']", "", "equal", "=no environment A=1"},
		{"", "[process]\nnest = true", "wider",
			"+system calls, allow instead of errno:ENOSYS: clone3 fsconfig fsmount fsopen fspick mount_setattr move_mount " +
				"open_tree open_tree_attr +system calls, allow instead of errno:EPERM: capget capset chroot clone mount " +
				"pivot_root setdomainname sethostname setns umount2 unshare +user namespaces inside"},
		{"[process]\nlandlock = 'require'", "", "wider",
			`+running without Landlock (process.landlock "auto", not "require")`},
		{"", "[limits]\nmemory = '1G'", "narrower", "-memory: 1G instead of no bound"},
		{"[limits]\nmemory = '1024M'", "[limits]\nmemory = '1G'", "equal", ""},
		{"[limits]\ntime = '1h'\nprocesses = 5", "[limits]\ntime = '90m'\nprocesses = 4", "neither",
			"+time: 90m instead of 1h -processes: 4 instead of 5"},

		{"", "[seccomp]\nallow = ['read']", "wider", "+system calls, allow instead of errno:EPERM: read"},
		{"", "[seccomp]\nallow = ['@keyring']", "wider", "+system calls, allow instead of errno:EPERM: @keyring"},
		{"", "[seccomp]\ndefault = 'kill-process'\nallow = ['read']\ndeny = ['read']", "narrower",
			"-system calls, kill-process instead of errno:EPERM: ..."},
		{"[seccomp]\nallow = ['read']", "[seccomp]\nallow = ['read', 'keyctl']\ndeny = ['keyctl']", "equal", ""},
		{"[[seccomp.rule]]\nsyscalls = ['read']\naction = 'errno:EIO'", "", "equal",
			"=system calls, errno:EPERM instead of errno:EIO: read"},
		{"[seccomp]\nallow = ['socket']",
			"[seccomp]\nallow = ['socket']\n[[seccomp.rule]]\nsyscalls = ['socket']\nwhen = ['arg0 == AF_ALG']\naction = 'trap'",
			"narrower", "-system calls, trap instead of allow, for some arguments: socket"},
		{
			"[seccomp]\nallow = ['socket']\n[[seccomp.rule]]\nsyscalls = ['socket']\nwhen = ['arg0 == 5']\naction = 'trap'",
			"[seccomp]\nallow = ['socket']\n[[seccomp.rule]]\nsyscalls = ['socket']\nwhen = ['arg0 in {5, 7}']\naction = 'trap'",
			"narrower", "-system calls, trap instead of allow, for some arguments: socket",
		},
		{
			"[[seccomp.rule]]\nsyscalls = ['socket']\nwhen = ['arg0 <= 5']\naction = 'allow'",
			"[[seccomp.rule]]\nsyscalls = ['socket']\nwhen = ['arg0 < 6']\naction = 'allow'",
			"equal", "",
		},
		{"", "[seccomp]\narchitectures = ['386']", "wider", "+programs of architecture 386"},
		{"", "[seccomp]\nlog = true", "equal", "=seccomp.log: true instead of false"},
		{"[seccomp]\nallow = ['unshare', 'setns']", "[seccomp]\nallow = ['unshare', 'setns', '@nest']", "wider", "..."},
	} {
		d, err := Compare(resolvedText(t, c.a), resolvedText(t, c.b))
		if err != nil {
			t.Errorf("%q to %q: %v", c.a, c.b, err)
			continue
		}
		var lines []string
		for sign, list := range map[string][]string{"+": d.Wider, "-": d.Narrower, "~": d.Other, "=": d.Notes} {
			for _, l := range list {
				lines = append(lines, sign+l)
			}
		}
		got := strings.Join(slices.Sorted(slices.Values(lines)), " ")
		want, rest := strings.CutSuffix(c.lines, "...")
		if d.Verdict() != c.verdict || got != want && !(rest && strings.HasPrefix(got, want)) {
			t.Errorf("%q to %q: %s, %s\nwant %s, %s", c.a, c.b, d.Verdict(), got, c.verdict, c.lines)
		}
	}
}
