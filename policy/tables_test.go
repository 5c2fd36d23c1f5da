package policy

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestMergeTables(t *testing.T) {
	p, err := world(t, map[string]string{
		"a": "[namespaces]\nnet = 'host'\nuser = 'new'\nuid = 1\nranges = true\nhostname = 'a'\n[network]\nbind = [80, " +
			"443]\n" +
			"[files]\ntmpfs = ['/tmp', '/t2']\noverlay = ['/o']\nfile.'/f' = 'a'\nfile.'/g' = 'a'\nsymlink.'/l' = 'a'\n" +
			"path.'/tmp' = { size = '1M', mode = '700' }\npath.'/t2'.size = '1M'\npath.'/o' = { upper = '/u', work = '/w' }\n" +
			"[limits]\nmemory = '?1G'\ncore = 0\ncpu = '50%'\n[process]\nambient = true\nterminal = 'pty'",
		"b": "[network]\nconnect = []",
		"p": "extends = ['a', 'b']\n[namespaces]\nuid = 0\n[network]\nbind = ['!80', 8080]\n" +
			"[files]\nfile.'/f' = ''\nfile.'/g' = false\nsymlink.'/l' = false\npath.'/tmp' = { mode = '1777', " +
			"exec = false }\npath.'/t2' = false\n" +
			"[limits]\nmemory = '2G'\ncpu = 'none'\n[process]\nambient = false",
	})("p")
	if err != nil {
		t.Fatal(err)
	}
	no := false
	if want := map[string]string{"/f": ""}; !reflect.DeepEqual(p.Files.Inline, want) || p.Files.Symlinks != nil {
		t.Errorf("files %q, links %v", p.Files.Inline, p.Files.Symlinks)
	}
	want := (map[string]PathOptions{"/tmp": {Size: "1M", Mode: "1777", Exec: &no}, "/o": {Upper: "/u", Work: "/w"}})
	if !reflect.DeepEqual(p.Files.Paths, want) {
		t.Errorf("options %+v", p.Files.Paths)
	}
	if got := fmt.Sprintf("%q", p.Network); got != `{["443" "8080"] [] [] "" []}` || p.Network.Connect == nil {
		t.Errorf("ports %s", got)
	}
	if *p.Namespaces.UID != 0 || p.Namespaces.GID != nil || !*p.Namespaces.Ranges || p.Namespaces.Hostname != "a" ||
		*p.Process.Ambient || p.Process.Terminal != "pty" {
		t.Errorf("got\n%s", p.Print())
	}
	if p.Limits != (Limits{Memory: "2G", Core: "0"}) {
		t.Errorf("limits %+v", p.Limits)
	}
	fixpoint(t, p)
}

// TestEmptyListIsNone: an empty list of ports, whoever says it and wherever it
// goes, allows none (property 27).
func TestEmptyListIsNone(t *testing.T) {
	for _, texts := range []map[string]string{
		{"p": "[network]\nbind = []"},
		{"p": "extends = ['a']", "a": "[network]\nbind = []"},
		{"p": "extends = ['a']\n[network]\nbind = ['!80']", "a": "[network]\nbind = [80]"},
		{"p": "extends = ['a', 'b']", "a": "[network]\nbind = []", "b": ""},
	} {
		p, err := world(t, texts)("p")
		if err != nil {
			t.Fatal(err)
		}
		q, err := p.Expand(Vars{})
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("p", p.Print())
		if err != nil {
			t.Fatal(err)
		}
		for what, n := range map[string]Network{"resolved": p.Network, "expanded": q.Network, "printed": again.Network} {
			if n.Bind == nil || len(n.Bind) > 0 || n.Connect != nil {
				t.Errorf("%v: %s: %#v", texts, what, n)
			}
		}
		if d, ok := p.Data()["network"].(map[string]any); !ok || !reflect.DeepEqual(d, map[string]any{"bind": []string{}}) {
			t.Errorf("data: %#v", d)
		}
		if p.Digest() == resolvedText(t, "").Digest() {
			t.Error("the digest does not tell")
		}
	}
}

// TestOwnBeforeRead holds that a file or link of the sandbox's own takes the
// place of a path that is read, inherited or not.
func TestOwnBeforeRead(t *testing.T) {
	p := resolvedText(t,
		"[files]\nread = ['/a', '?/b', '/c', '~/d']\nfile.'/a' = 'x'\nsymlink.'/b' = 'c'\nfile.'/h/d' = ''")
	p, err := p.Expand(Vars{Home: "/h"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"/c"}; !reflect.DeepEqual(p.Files.Read, want) || len(p.Files.Inline) != 2 ||
		len(p.Files.Symlinks) != 1 {
		t.Errorf("%+v, want read %v", p.Files, want)
	}
}

func TestTableErrors(t *testing.T) {
	for _, c := range []struct{ text, want, hint string }{
		{"[files]\npath.'/x'.size = '1M'", `p:3:1: files.path."/x": no list of [files] names that path`,
			`put it into read, write, tmpfs, overlay or directories, or say path."/x" = false`},
		{"[files]\nread = ['/x']\npath.'/x' = { size = '1M' }",
			`p:4:15: files.path."/x".size: size is for paths of tmpfs, overlay, and this one is of read`, ""},
		{"[files]\nwrite = ['?/x']\npath.'/x'.mode = '700'",
			`p:4:1: files.path."/x".mode: mode is for paths of tmpfs, directories, and this one is of write`, ""},
		{"[files]\ntmpfs = ['/x']\n[files.path.'/x']\nfrom = '/y'",
			`p:5:1: files.path."/x".from: from is for paths of read, write, overlay, and this one is of tmpfs`, ""},
		{"[files]\ndirectories = ['/x']\npath.'/x'.exec = false",
			`p:4:1: files.path."/x".exec: exec is for paths of read, write, tmpfs, overlay, and this one is of directories`, ""},
		{"[files]\noverlay = ['/x']\npath.'/x'.upper = '/u'", `p:4:1: files.path."/x": upper without work`,
			"an overlay keeps its changes in upper, and needs work beside it"},
		{"[files]\noverlay = ['/x']\npath.'/x'.work = '/u'", `p:4:1: files.path."/x": work without upper`,
			"an overlay keeps its changes in upper, and needs work beside it"},
		{"[files]\nread = ['/x']\noverlay = ['?/x']", `p:4:12: both files.read and files.overlay name /x`,
			`take one out, as overlay = ["!/x"]`},
		{"[files]\noverlay = ['/x']\ndirectories = ['/x']", `p:4:16: both files.overlay and files.directories name /x`,
			`take one out, as directories = ["!/x"]`},
		{"[files]\nwrite = ['/x']\nfile.'/x' = ''", `p:4:1: both files.write and files.file name /x`,
			`take one out, as file."/x" = false`},
		{"[files]\nfile.'/x' = ''\nsymlink.'/x' = 'y'", `p:4:1: both files.file and files.symlink name /x`,
			`take one out, as symlink."/x" = false`},
		{"[files]\nfile.'/x' = false", `p:3:1: files.file."/x" = false takes out what is not inherited`, ""},
		{"[files]\npath.'/x' = false", `p:3:1: files.path."/x" = false takes out what is not inherited`, ""},
		{"[network]\nbind = ['!80']", `p:3:9: "!80" takes out what network.bind does not inherit`, ""},

		{"[namespaces]\nuser = 'host'\nuid = 0",
			`p:4:1: namespaces.uid: namespaces.user is "host": only another user namespace has other ids`, ""},
		{"[namespaces]\nuser = '/x'\nranges = true",
			`p:4:1: namespaces.ranges: namespaces.user is "/x": only a new user namespace has ids of its own`, ""},
		{"[namespaces]\nuts = 'host'\nhostname = 'x'",
			`p:4:1: namespaces.hostname: namespaces.uts is "host": only a new UTS namespace has a hostname of its own`, ""},
		{"[namespaces]\nboottime = '1s'",
			`p:3:1: namespaces.boottime: namespaces.time is "host": only a new time namespace has clocks of its own`, ""},
		{"[network]\nbind = []\n[process]\nlandlock = 'off'",
			`p:3:1: network.bind: process.landlock is "off": Landlock is what holds ports`, ""},
		{"namespaces.net = 'host'\n[network]\nconnect = [80]\n[process]\nnest = true",
			`p:4:1: network.connect: process.nest is true: there is no Landlock then, which is what holds ports`, ""},
		{"[network]\nconnect = [443]",
			`p:3:1: network.connect: namespaces.net is "new": but for a loopback of its own a new network namespace has ` +
				`nothing that ports lead to`, `say net = "host" in [namespaces], or take the ports out`},
		{"[namespaces]\nnet = 'new'\n[network]\nbind = [80]",
			`p:5:1: network.bind: namespaces.net is "new": but for a loopback of its own a new network namespace has ` +
				`nothing that ports lead to`, `say net = "host" in [namespaces], or take the ports out`},
	} {
		p, err := Parse("p", []byte(head+c.text+tail))
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		_, err = Resolve(p, findNone)
		wantError(t, c.text, err, c.want, c.hint)
	}
	for _, text := range []string{
		"[namespaces]\nboottime = '0s'", "[network]\nbind = []\nconnect = []", // both say nothing that could not be held
		"namespaces.net = '/run/netns/x'\n[network]\nbind = [80]",
	} {
		resolvedText(t, text)
	}
}

// TestTableOrigin: each entry's place is that of the policy that said it last.
func TestTableOrigin(t *testing.T) {
	p, err := world(t, map[string]string{
		"a": "[files]\ntmpfs = ['/t']\nfile.'/f' = 'a'\nfile.'/g' = 'a'\npath.'/t' = { size = '1M', " +
			"exec = false }\n[network]\nbind = [80]\n[namespaces]\nnet = 'host'",
		"p": "extends = ['a']\n[namespaces]\nhostname = 'x'\n[files]\nfile.'/f' = 'b'\npath.'/t'.exec = " +
			"true\n[network]\nbind = [81]",
	})("p")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ key, entry, want string }{
		{"namespaces.hostname", "", "p:4"}, {"files.file", "/f", "p:6"}, {"files.file", "/g", "a:5"},
		{"files.path.size", "/t", "a:6"},
		{"files.path.exec", "/t", "p:7"}, {"network.bind", "80", "a:8"}, {"network.bind", "81", "p:9"},
	} {
		if o, ok := p.Origin(c.key, c.entry); !ok || o.String() != c.want {
			t.Errorf("%s %s: %v, want %s", c.key, c.entry, o, c.want)
		}
	}
}

func TestExpandTables(t *testing.T) {
	all := Vars{Home: "/h", CWD: "/p", User: "u", RuntimeDir: "/run/user/1"}
	text := "[files]\nread = ['/a', './r', '?${XDG_RUNTIME_DIR}/s']\noverlay = ['~/o']\ndirectories = ['~', " +
		"'./d']\nsockets = ['?${XDG_RUNTIME_DIR}/s', './sock']\n" +
		"file.'./f' = '${HOME}'\nfile.'~/f' = 'x'\nsymlink.'~/l' = '${CWD}/x'\nsymlink.'./k' = '..'\n" +
		"path.'/a'.from = './x'\npath.'~/o' = { upper = './u', work = './w' }\npath.'./r'.exec = false\npath.'~'.mode = '700'"
	for _, c := range []struct {
		v    Vars
		want string
	}{
		{all, `read [/p/r ?/run/user/1/s /a] overlay [/h/o] directories [/p/d /h] sockets [/p/sock ?/run/user/1/s] ` +
			`file map[/h/f:x /p/f:${HOME}] link map[/h/l:/p/x /p/k:..] path [/a:from = "/p/x" /h:mode = "700" /h/o:upper = ` +
			`"/p/u", work = "/p/w" /p/r:exec = false]`},
		{Vars{Home: "/h"},
			`read [] overlay [] directories [/h] sockets [] file map[/h/f:x] link map[] path [/h:mode = "700"]`},
		{Vars{Home: "/", CWD: "/p"}, `read [/p/r /a] overlay [/o] directories [/p/d] sockets [/p/sock] ` +
			`file map[/f:x /p/f:${HOME}] link map[/l:/p/x /p/k:..] path [/a:from = "/p/x" /o:upper = "/p/u", work = "/p/w" ` +
			`/p/r:exec = false]`},
	} {
		p := resolvedText(t, text)
		before := string(p.Print())
		q, err := p.Expand(c.v)
		if err != nil {
			t.Errorf("%+v: %v", c.v, err)
			continue
		}
		var paths []string
		all := field{options: func(p *Policy) *map[string]PathOptions { return &p.Files.Paths }}
		for _, path := range all.paths(q) {
			paths = append(paths, path+":"+strings.Join(optionTexts(q.Files.Paths[path]), ", "))
		}
		f := q.Files
		got := fmt.Sprintf("read %v overlay %v directories %v sockets %v file %v link %v path %v", f.Read, f.Overlay,
			f.Directories, f.Sockets, f.Inline, f.Symlinks, paths)
		if got != c.want {
			t.Errorf("%+v:\n got %s\nwant %s", c.v, got, c.want)
		}
		if string(p.Print()) != before {
			t.Error("Expand changed the policy it was given")
		}
	}
	for _, c := range []struct {
		text string
		v    Vars
		want string
	}{
		{"[files]\nread = ['/a']\npath.'/a'.from = '${XDG_RUNTIME_DIR}/x'", Vars{},
			`p: files.read: "/a": ${XDG_RUNTIME_DIR} has no value here`},
		{"[files]\nfile.'~/x' = 'a'\nfile.'/h/x' = 'b'", Vars{Home: "/h"},
			`p:4:1: files.file."/h/x": "/h/x" is another one already`},
		{"[files]\nfile.'~/x' = 'a'\nwrite = ['/h/x']", Vars{Home: "/h"}, `p: both files.write and files.file name /h/x`},
		{"[files]\nread = ['~', '/h']\npath.'~'.exec = true\npath.'/h'.exec = false", Vars{Home: "/h"},
			`p:5:1: files.path."/h": /h has other options already`},
	} {
		_, err := resolvedText(t, c.text).Expand(c.v)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q: got %v\nwant %s", c.text, err, c.want)
		}
	}
	// A policy that uses none of it pays nothing.
	p := resolvedText(t, "[files]\nread = ['/a']")
	if q, err := p.Expand(all); err != nil || q.Files.Paths != nil || q.Files.Inline != nil || q.Files.Symlinks != nil ||
		len(q.Files.Overlay) > 0 {
		t.Errorf("%+v %v", q, err)
	}
}

func TestHelpers(t *testing.T) {
	for s, want := range map[string]string{"": "", "5": "5", "?5": "5"} {
		if v, optional := Optional(s); v != want || optional != strings.HasPrefix(s, "?") {
			t.Errorf("Optional(%q) = %q, %v", s, v, optional)
		}
	}
	for _, s := range []string{
		"a", "A-1", "1", strings.Repeat("a", 63), strings.Repeat("a", 31) + "." + strings.Repeat("b", 32),
	} {
		if _, f := checkHostname(s); f != nil {
			t.Errorf("hostname %q: %s", s, f.msg)
		}
	}
	for _, s := range []string{
		strings.Repeat("a", 64), strings.Repeat("a", 32) + "." + strings.Repeat("b", 32), "a.", ".a", "a-", "-", "a b", "ä",
	} {
		if _, f := checkHostname(s); f == nil {
			t.Errorf("hostname %q is taken", s)
		}
	}
}
