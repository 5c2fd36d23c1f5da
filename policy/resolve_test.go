package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

// world finds policies among texts by name; each text lacks head and tail.
func world(t *testing.T, texts map[string]string) func(name string) (*Policy, error) {
	t.Helper()
	find := func(name string, _ *Policy) (*Policy, error) {
		text, ok := texts[name]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return Parse(name, []byte(head+text+tail))
	}
	return func(name string) (*Policy, error) {
		p, err := find(name, nil)
		if err != nil {
			return nil, err
		}
		return Resolve(p, find)
	}
}

// unsaid is what a resolved policy prints of what nobody said.
const unsaid = `version = 1

[namespaces]
user = "auto"
mount = "new"
pid = "new"
net = "new"
ipc = "new"
uts = "new"
cgroup = "new"
time = "host"
ranges = false

[files]
%sown_sockets = false
proc = true
dev = true
set_id = true

[process]
%sambient = false
nest = false
landlock = "auto"
landlock_log = false
terminal = "inherit"

[seccomp]
default = "errno:EPERM"
unknown = "errno:ENOSYS"
log = false
spec_allow = false
wait_killable = false
`

func TestResolve(t *testing.T) {
	list := func(key string, entries ...string) string {
		s := key + " = [\n"
		for _, e := range entries {
			s += "  \"" + e + "\",\n"
		}
		return s + "]\n"
	}
	for _, c := range []struct {
		name           string
		texts          map[string]string
		files, process string
	}{
		{"nothing said", map[string]string{"p": ""}, "", ""},
		{"sorted, without duplicates", map[string]string{
			"a": "[files]\nread = ['/b', '?/c']", "b": "[files]\nread = ['/a', '/b']",
			"p": "extends = ['a', 'b']\n[files]\nread = ['/b']",
		}, list("read", "/a", "/b", "?/c"), ""},
		{"required beats optional, in either order", map[string]string{
			"a": "[files]\nread = ['?/x', '/y']", "p": "extends = ['a']\n[files]\nread = ['/x', '?/y']",
		}, list("read", "/x", "/y"), ""},
		{"written beats read", map[string]string{
			"a": "[files]\nread = ['.']", "p": "extends = ['a']\n[files]\nwrite = ['.']",
		}, list("write", "${CWD}"), ""},
		{"taken out, with and without ?", map[string]string{
			"a": "[files]\nread = ['?/x', '/y', '/z']", "p": "extends = ['a']\n[files]\nread = ['!/x', '!/y/']",
		}, list("read", "/z"), ""},
		{"taken out by one parent, left by another", map[string]string{
			"a": "[files]\nread = ['/x', '/y']", "b": "extends = ['a']\n[files]\nread = ['!/x']", "p": "extends = ['b', 'a']",
		}, list("read", "/x", "/y"), ""},
		{"taken out by one, put back by the next", map[string]string{
			"a": "[files]\nread = ['/x']", "b": "extends = ['a']\n[files]\nread = ['!/x']",
			"p": "extends = ['b']\n[files]\nread = ['?/x']",
		}, list("read", "?/x"), ""},
		{"environment said later", map[string]string{
			"a": "[process]\nenv = ['A=1', 'B', 'C=1']", "p": "extends = ['a']\n[process]\nenv = ['A=2', 'B=3', 'C']",
		}, "", list("env", "A=2", "B=3", "C")},
		{"environment taken out by name", map[string]string{
			"a": "[process]\nenv = ['A=1', 'B']", "p": "extends = ['a']\n[process]\nenv = ['!A']",
		}, "", list("env", "B")},
	} {
		p, err := world(t, c.texts)("p")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got, want := string(p.Print()), fmt.Sprintf(unsaid, c.files, c.process); got != want {
			t.Errorf("%s: got\n%swant\n%s", c.name, got, want)
		}
	}
}

func TestResolveScalars(t *testing.T) {
	p, err := world(t, map[string]string{
		"a": "[namespaces]\nnet = 'host'\nipc = 'host'\n[limits]\nmemory = '1G'\nprocesses = 5\ntime = " +
			"'5s'\n[seccomp]\ndefault = 'trap'\nlog = true",
		"b": "[namespaces]\nipc = 'new'\n[files]\nproc = false",
		"p": "extends = ['a', 'b']\n[limits]\nmemory = 'none'\nprocesses = 'none'\n[seccomp]\nlog = false\n",
	})("p")
	if err != nil {
		t.Fatal(err)
	}
	if p.Namespaces.Net != "host" || p.Namespaces.IPC != "new" || p.Limits != (Limits{Time: "5s"}) ||
		p.Seccomp.Default.String() != "trap" || *p.Seccomp.Log || *p.Files.Proc || !*p.Files.Dev {
		t.Errorf("got\n%s", p.Print())
	}
}

func TestResolveRules(t *testing.T) {
	rule := func(calls, when, action string) string {
		s := "[[seccomp.rule]]\nsyscalls = [" + calls + "]\n"
		if when != "" {
			s += "when = ['" + when + "']\n"
		}
		if action != "" {
			s += "action = '" + action + "'\n"
		}
		return s
	}
	p, err := world(t, map[string]string{
		"a": rule("'socket', 'bind'", "arg0 == 1", "trap") + rule("'read'", "", "errno:EIO"),
		"b": rule("'read'", "", "errno:EIO") + rule("'write'", "", "errno:EIO"),
		"p": "extends = ['a', 'b']\n" + rule("'!bind', '!write'", "", "") + rule("'read'", "", "errno:EBADF"),
	})("p")
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, r := range p.Seccomp.Rules {
		got += fmt.Sprint(r.Syscalls, r.When, r.Action, "\n")
	}
	// In order: of two errnos the later rule's is answered.
	if want := "[socket] [arg0 == 1] trap\n[read] [] errno:EIO\n[read] [] errno:EBADF\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if o, ok := p.RuleOrigin(p.Seccomp.Rules[0]); !ok || o.String() != "a:2" {
		t.Errorf("the rule that lost a call is from %v, %v", o, ok)
	}
}

func TestResolveErrors(t *testing.T) {
	long := map[string]string{"p": "extends = ['p0']"}
	for i := range MaxDepth {
		long[fmt.Sprintf("p%d", i)] = fmt.Sprintf("extends = ['p%d']", i+1)
	}
	// 2^7 policies, though only 7 deep.
	wide := map[string]string{"p": "extends = ['l0', 'r0']", "l7": "", "r7": ""}
	for i := range 7 {
		for _, side := range []string{"l", "r"} {
			wide[fmt.Sprintf("%s%d", side, i)] = fmt.Sprintf("extends = ['l%d', 'r%d']", i+1, i+1)
		}
	}
	for _, c := range []struct {
		texts      map[string]string
		want, hint string
	}{
		{map[string]string{"p": "extends = ['p']"}, "p: extends itself: p extends p", ""},
		{map[string]string{"p": "extends = ['a']", "a": "extends = ['b']", "b": "extends = ['a']"},
			"a: extends itself: p extends a extends b extends a", ""},
		{map[string]string{"p": "extends = [\n'nobody']"}, `p:3:1: extends "nobody": file does not exist`, ""},
		{map[string]string{"p": "extends = ['a']", "a": "[files]\nread = ['x']"},
			`a:3:9: path "x" is neither absolute nor below ~/, ./ or a variable`, `"/x" or "./x"`},
		{map[string]string{"p": "[files]\nread = ['!/usr']"}, `p:3:9: "!/usr" takes out what files.read does not inherit`,
			""},
		{map[string]string{"p": "extends = ['a']\n[files]\nread = ['!/usr/lbi']", "a": "[files]\nread = ['/usr/lib']"},
			`p:4:9: "!/usr/lbi" takes out what files.read does not inherit`, `did you mean "/usr/lib"?`},
		{map[string]string{"p": "extends = ['a']\n[process]\nenv = ['!A=2']", "a": "[process]\nenv = ['A=1']"},
			`p:4:8: "!A=2" takes out what process.env does not inherit`, `did you mean "A=1"?`},
		{map[string]string{"p": "[[seccomp.rule]]\nsyscalls = ['!read']"},
			`p:2:3: "!read" takes out what no inherited rule names`, ""},
		{map[string]string{"p": "extends = ['a']\n[files]\nwrite = ['/tmp']", "a": "[files]\ntmpfs = ['/tmp']"},
			`a:3:10: both files.write and files.tmpfs name /tmp`, `take one out, as tmpfs = ["!/tmp"]`},
		{long, fmt.Sprintf("p%d: extends goes deeper than %d", MaxDepth-1, MaxDepth), ""},
		{wide, fmt.Sprintf("more than %d policies are drawn in", MaxPolicies), ""},
	} {
		_, err := world(t, c.texts)("p")
		var e *Error
		if !errors.As(err, &e) || !strings.HasSuffix(e.Error(), c.want) || e.Fix != c.hint {
			t.Errorf("got %v, hint %q; want %s, hint %q", err, e.Fix, c.want, c.hint)
		}
	}
	// All that is wrong is told at once: of what is extended, or else of the whole.
	for _, c := range []struct {
		texts map[string]string
		want  []string
	}{
		{map[string]string{"p": "extends = ['a',\n'nobody', 'b', 'c']\n[files]\nread = ['!/x']", "a": "x = 1\ny = 1",
			"b": "extends = ['a']\n[files]\nread = ['!/z']", "c": ""}, []string{
			`a:2:1: unknown key "x"`, `a:3:1: unknown key "y"`, `p:3:1: extends "nobody": file does not exist`,
		}},
		{map[string]string{"p": "extends = ['a']\n[files]\nread = ['!/x', '!/y']\nfile.'/f' = false\n[process]\nenv = " +
			"['!A']\n[[seccomp.rule]]\nsyscalls = ['!read', '!write']", "a": ""}, []string{
			`p:4:9: "!/x" takes out what files.read does not inherit`,
			`p:4:16: "!/y" takes out what files.read does not inherit`,
			`p:5:1: files.file."/f" = false takes out what is not inherited`,
			`p:7:8: "!A" takes out what process.env does not inherit`,
			`p:8:3: "!read" takes out what no inherited rule names`, `p:8:3: "!write" takes out what no inherited rule names`,
		}},
		{map[string]string{"p": "[files]\nread = ['/a', '/b']\ntmpfs = ['/a', '/b']\npath.'/c'.size = " +
			"'1M'\npath.'/a'.mode = '700'\n[namespaces]\nuser = 'host'\nuid = 0\n[network]\nbind = [1]\nconnect = [2]"},
			[]string{
				`p:4:10: both files.read and files.tmpfs name /a`, `p:4:16: both files.read and files.tmpfs name /b`,
				`p:5:1: files.path."/c": no list of [files] names that path`,
				`p:6:1: files.path."/a".mode: mode is for paths of tmpfs, directories, and this one is of read`,
				`p:9:1: namespaces.uid: namespaces.user is "host": only another user namespace has other ids`,
				`p:11:1: network.bind: `, `p:12:1: network.connect: `,
			}},
	} {
		_, err := world(t, c.texts)("p")
		list, more := All(err)
		same := len(list) == len(c.want) && !more
		for i := range min(len(list), len(c.want)) {
			same = same && strings.HasPrefix(list[i].Error(), c.want[i])
		}
		if !same {
			t.Errorf("%q: got", c.texts)
			for _, e := range list {
				t.Error(e)
			}
		}
	}
	_, err := world(t, map[string]string{"p": "extends = ['nobody']"})("p")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cause is lost: %v", err)
	}
}

// Too many entries are refused also if each of the files has few.
func TestResolveBound(t *testing.T) {
	texts := map[string]string{}
	var names []string
	for i := range 3 {
		name := fmt.Sprintf("p%d", i)
		var b strings.Builder
		for j := range MaxEntries / 2 {
			fmt.Fprintf(&b, "'/%d/%d',", i, j)
		}
		texts[name] = "[files]\nread = [" + b.String() + "]"
		names = append(names, "'"+name+"'")
	}
	texts["p"] = "extends = [" + strings.Join(names, ",") + "]"
	if _, err := world(t, texts)("p"); err == nil || !strings.Contains(err.Error(), "more than 10000 entries") {
		t.Errorf("got %v", err)
	}
}

// Hosts are bounded by themselves: a long list of them takes nothing from the others.
func TestResolveHostsBound(t *testing.T) {
	hosts := func(from, to int) string {
		var b strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&b, "'h%d.example:443',", i)
		}
		return b.String()
	}
	var paths strings.Builder
	for i := range MaxEntries - 10 {
		fmt.Fprintf(&paths, "'/%d',", i)
	}
	texts := map[string]string{
		"paths": "[files]\nread = [" + paths.String() + "]",
		"half":  "[network]\nhosts = [" + hosts(0, MaxHosts/2) + "]",
		"full":  "extends = ['paths', 'half']\n[network]\nhosts = [" + hosts(MaxHosts/2, MaxHosts) + "]",
		"over":  "extends = ['half']\n[network]\nhosts = [" + hosts(MaxHosts/2, MaxHosts+1) + "]",
	}
	p, err := world(t, texts)("full")
	if err != nil || len(p.Network.Hosts) != MaxHosts {
		t.Errorf("got %v", err)
	}
	want := "over: more than 30000 entries in network.hosts together with what it extends"
	if _, err := world(t, texts)("over"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	texts["over"] = "[network]\nhosts = [" + hosts(0, MaxHosts+1) + "]"
	want = "more than 30000 entries in network.hosts"
	if _, err := world(t, texts)("over"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}

// Each entry knows where it was written, through any number of policies.
func TestOrigin(t *testing.T) {
	p, err := world(t, map[string]string{
		"a": "[files]\nread = ['/a',\n '?/b']", "b": "extends = ['a']\n[files]\nread = ['/b']",
		"p": "extends = ['b']\n[files]\nhide = ['x']",
	})("p")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ key, entry, want string }{
		{"files.read", "/a", "a:3"}, {"files.read", "/b", "b:4"}, {"files.hide", "x", "p:4"},
	} {
		if o, ok := p.Origin(c.key, c.entry); !ok || o.String() != c.want {
			t.Errorf("%s %s: from %v, %v; want %s", c.key, c.entry, o, ok, c.want)
		}
	}
}
