package plan

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
)

// planned is the plan of a policy on the invented machine. Every path is a directory there,
// unless it has a dot in its name; edit changes that.
func planned(t *testing.T, p *policy.Policy, edit func(map[string]host.File)) (*Plan, error) {
	t.Helper()
	h := plantest.Debian(p, 1000)
	ino := uint64(5000)
	others := []string{"/etc", "/src", "/src/sub", "/src/f.txt", "/w/a", "/w/a/b", "/upper", "/work"}
	for _, s := range slices.Concat(p.Files.Overlay, p.Files.Sockets, others) {
		ino++
		mode := uint32(unix.S_IFDIR)
		if strings.Contains(s, ".") {
			mode = unix.S_IFREG
		}
		if _, ok := h.Files[s]; !ok {
			h.Files[s] = host.File{Real: s, Mode: mode, Perm: 0o755, Major: 8, Minor: 1, Ino: ino, FD: int(ino)}
		}
	}
	if edit != nil {
		edit(h.Files)
	}
	return Build(p, plantest.AllowAll, host.Target{Path: "x", Args: []string{"x"}, Dir: "/"}, h)
}

// TestDepth checks that entries are placed by the depth of their paths: the plan does not
// depend on the order in the policy, and deeper paths come later.
func TestDepth(t *testing.T) {
	no := false
	p := &policy.Policy{Name: "p", Files: policy.Files{
		Read:        []string{"/w/a/b", "/etc", "/src", "/w/x", "/shown"},
		Write:       []string{"/w", "/w/a/b/c", "/etc/d"},
		Tmpfs:       []string{"/w/a/b/c/d", "/tmp", "/tmp/deep/er", "/etc/t"},
		Overlay:     []string{"/w/over", "/over"},
		Directories: []string{"/own/b", "/own", "/tmp/own"},
		Sockets:     []string{"/src", "/run/x"},
		Hide:        []string{"/w/a", "/src/sub", "/tmp/secret", "/tmp/p/q", "*.pem", "/etc/d"},
		Inline:      map[string]string{"/own/f": "x", "/own/b/f": "y", "/tmp/q/f": "z", "/tmp/deep/f": "z"},
		Symlinks:    map[string]string{"/own/l": "f", "/tmp/l": "x", "/zz": "/own"},
		Paths: map[string]policy.PathOptions{"/shown": {From: "/src"}, "/w": {Exec: &no}, "/tmp": {Size: "1M", Mode: "700"},
			"/over": {Upper: "/upper", Work: "/work"}},
	}}
	first := ""
	for range 200 {
		plan, err := planned(t, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := plan.String(); first == "" {
			first = got
			deeper(t, plan)
		} else if got != first {
			t.Fatalf("in another order the plan is another:\n%s\n%s", first, got)
		}
		f := &p.Files
		for _, list := range [...][]string{f.Read, f.Write, f.Tmpfs, f.Overlay, f.Directories, f.Sockets, f.Hide} {
			rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		}
	}
}

// deeper reports mounts that come before one that would hide them.
func deeper(t *testing.T, plan *Plan) {
	t.Helper()
	var places []string
	for _, s := range plan.Setup {
		at := ""
		switch s := s.(type) {
		case ns.Bind:
			at = s.Dest
		case ns.Tmpfs:
			at = s.Path
		case ns.Overlay:
			at = s.Path
		case ns.FileOver:
			at = s.Path
		}
		if at == "" {
			continue
		}
		for _, before := range places {
			if before != at && policy.Within(before, at) {
				t.Errorf("%s hides %s", at, before)
			}
		}
		places = append(places, at)
	}
	if len(places) < 15 {
		t.Errorf("only %d mounts", len(places))
	}
}

// TestFileRefusals checks what is refused of [files], and the messages.
func TestFileRefusals(t *testing.T) {
	missing := func(names ...string) func(map[string]host.File) {
		return func(m map[string]host.File) {
			for _, n := range names {
				m[n] = host.File{}
			}
		}
	}
	words := &refusals{}
	for _, c := range []struct {
		name  string
		files policy.Files
		edit  func(map[string]host.File)
		want  error // nil means that the plan is made
	}{
		{"from", policy.Files{Read: []string{"/x"}, Paths: map[string]policy.PathOptions{"/x": {From: "/src"}}}, nil, nil},
		{"from nothing", policy.Files{Read: []string{"/x"}, Paths: map[string]policy.PathOptions{"/x": {From: "/none"}}}, nil,
			unix.ENOENT},
		{"from nothing, optional", policy.Files{Read: []string{"?/x"},
			Paths: map[string]policy.PathOptions{"/x": {From: "/none"}}}, nil, nil},
		{"from, no place", policy.Files{Read: []string{"/etc", "/etc/x"},
			Paths: map[string]policy.PathOptions{"/etc/x": {From: "/src"}}},
			missing("/etc/x"), host.NoPlace},
		{"from, no place, optional", policy.Files{Read: []string{"/etc", "?/etc/x"},
			Paths: map[string]policy.PathOptions{"/etc/x": {From: "/src"}}}, missing("/etc/x"), nil},
		{"file on directory", policy.Files{Read: []string{"/etc", "/etc/x"},
			Paths: map[string]policy.PathOptions{"/etc/x": {From: "/src/f.txt"}}}, nil, host.WrongFile},
		{"directory on file", policy.Files{Read: []string{"/etc", "/etc/x.txt"},
			Paths: map[string]policy.PathOptions{"/etc/x.txt": {From: "/src"}}}, nil, host.WrongFile},
		{"below what is from elsewhere", policy.Files{Read: []string{"/x", "/x/none"},
			Paths: map[string]policy.PathOptions{"/x": {From: "/src"}}},
			nil, host.NoPlace},
		{"below what is from elsewhere, and there", policy.Files{Read: []string{"/x", "/x/sub"},
			Paths: map[string]policy.PathOptions{"/x": {From: "/src"}}}, nil, nil},
		{"from for a tmpfs", policy.Files{Tmpfs: []string{"/x"}, Paths: map[string]policy.PathOptions{"/x": {From: "/src"}}},
			nil, host.Invalid},
		{"size of a bind", policy.Files{Read: []string{"/src"}, Paths: map[string]policy.PathOptions{"/src": {Size: "1M"}}},
			nil, host.Invalid},
		{"mode of a bind", policy.Files{Read: []string{"/src"}, Paths: map[string]policy.PathOptions{"/src": {Mode: "755"}}},
			nil, host.Invalid},
		{"no size at all", policy.Files{Tmpfs: []string{"/x"}, Paths: map[string]policy.PathOptions{"/x": {Size: "0"}}}, nil,
			host.Invalid},
		{"percent", policy.Files{Tmpfs: []string{"/x"}, Paths: map[string]policy.PathOptions{"/x": {Size: "99%"}}}, nil,
			host.Invalid},
		{"unit alone", policy.Files{Tmpfs: []string{"/x"}, Paths: map[string]policy.PathOptions{"/x": {Size: "k"}}}, nil,
			host.Invalid},
		{"small unit", policy.Files{Tmpfs: []string{"/x"}, Paths: map[string]policy.PathOptions{"/x": {Size: "1m"}}}, nil,
			host.Invalid},
		{"leading zero", policy.Files{Tmpfs: []string{"/x"}, Paths: map[string]policy.PathOptions{"/x": {Size: "010M"}}}, nil,
			host.Invalid},
		{"set-id mode", policy.Files{Tmpfs: []string{"/x"}, Paths: map[string]policy.PathOptions{"/x": {Mode: "4755"}}}, nil,
			host.Invalid},
		{"long mode", policy.Files{Tmpfs: []string{"/x"}, Paths: map[string]policy.PathOptions{"/x": {Mode: "00755"}}}, nil,
			host.Invalid},
		{"padded descriptor", policy.Files{Read: []string{"/x"}, Paths: map[string]policy.PathOptions{"/x": {From: "fd:03"}}},
			nil, unix.ENOENT},
		{"half an overlay", policy.Files{Overlay: []string{"/x"},
			Paths: map[string]policy.PathOptions{"/x": {Upper: "/upper"}}}, nil, host.Incomplete},
		{"overlay on two file systems", policy.Files{Overlay: []string{"/x"},
			Paths: map[string]policy.PathOptions{"/x": {Upper: "/upper", Work: "/work"}}},
			func(m map[string]host.File) { f := m["/work"]; f.Minor++; m["/work"] = f }, host.WrongFile},
		{"overlay that cannot be kept", policy.Files{Overlay: []string{"/x"},
			Paths: map[string]policy.PathOptions{"/x": {Upper: "/upper", Work: "/work"}}},
			func(m map[string]host.File) { f := m["/upper"]; f.NoWrite = unix.EACCES; m["/upper"] = f }, unix.EACCES},
		{"two things at one place", policy.Files{Tmpfs: []string{"/x"}, Inline: map[string]string{"/x": "y"}}, nil,
			host.Occupied},
		{"a file over the sandbox's own directory",
			policy.Files{Read: []string{"/src"}, Inline: map[string]string{"/dev": "y"}}, nil,
			host.Occupied},
		{"a file in the place of a device", policy.Files{Symlinks: map[string]string{"/dev/null": "y"}}, nil, host.Occupied},
		{"in a file of the policy's own", policy.Files{Inline: map[string]string{"/x": "y", "/x/y": "z"}}, nil,
			host.WrongFile},
		{"in a directory of the sandbox's own over one of the host's",
			policy.Files{Read: []string{"/etc"}, Directories: []string{"/etc/x.d", "/etc/x.d/y"}},
			func(m map[string]host.File) { m["/etc/x.d"] = host.File{Real: "/etc/x.d", Mode: unix.S_IFDIR, Ino: 3} },
			host.WrongFile},
		{"in /proc", policy.Files{Inline: map[string]string{"/proc/x": "y"}}, nil, host.Occupied},
		{"socket that is none", policy.Files{Sockets: []string{"/src/f.txt"}}, nil, host.WrongFile},

		// Property 27: a denied path that does not exist stays denied.
		{"hide what is not there, in what is shown", policy.Files{Read: []string{"/src"}, Hide: []string{"/src/none"}},
			missing("/src/none"), host.Absent},
		{"by another name", policy.Files{Read: []string{"/src"}, Hide: []string{"/l/none"}}, func(m map[string]host.File) {
			m["/l/none"] = host.File{Real: "/src/none"}
		}, host.Absent},
		{"from elsewhere", policy.Files{Read: []string{"/x"}, Hide: []string{"/x/none"},
			Paths: map[string]policy.PathOptions{"/x": {From: "/src"}}}, missing("/x/none"), host.Absent},
		{"if it is there", policy.Files{Read: []string{"/src"}, Hide: []string{"?/src/none"}}, missing("/src/none"), nil},
		{"in a directory that is not shown", policy.Files{Read: []string{"/src"}, Hide: []string{"/else/none"}},
			missing("/else/none"), nil},
		{"in an overlay", policy.Files{Overlay: []string{"/src"}, Hide: []string{"/src/none"}}, missing("/src/none"),
			host.Absent},
		{"a link of the policy's own", policy.Files{Symlinks: map[string]string{"/x": "/y"}, Hide: []string{"/x"}},
			missing("/x"),
			host.BehindLink},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan, err := planned(t, &policy.Policy{Name: "p", Files: c.files}, c.edit)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v\n%v", err, c.want, plan)
			}
			words.add(c.name, err)
		})
	}
	golden(t, "refusals-files.txt", words.String())
}

// TestHideAbsent checks that in a private tmpfs a hidden path is masked before a process can
// make it, and that renaming a directory over it cannot move the mask away.
func TestHideAbsent(t *testing.T) {
	p := &policy.Policy{
		Name:  "p",
		Files: policy.Files{Tmpfs: []string{"/tmp"}, Hide: []string{"/tmp/a/b/c", "/tmp/x", "?/tmp/perhaps"}},
	}
	plan, err := planned(t, p, func(m map[string]host.File) {
		for _, n := range []string{"/tmp/a/b/c", "/tmp/x", "/tmp/perhaps"} {
			m[n] = host.File{}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	text := plan.String()
	last := -1
	for _, want := range []string{"make empty file /tmp/a/b/c\n", "hide /tmp/x\n", "hide /tmp/a/b/c\n"} {
		at := strings.Index(text, want)
		if at <= last {
			t.Errorf("%q is missing or too early in\n%s", want, text)
		}
		last = at
	}
	for _, want := range []string{"keep /tmp/a from being renamed\n", "keep /tmp/a/b from being renamed\n"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q is there %d times in\n%s", want, strings.Count(text, want), text)
		}
	}
	if strings.Contains(text, "perhaps") {
		t.Errorf("an optional path is made:\n%s", text)
	}
}

// TestSocketsMasked checks that all sockets are masked except those that the policy names.
func TestSocketsMasked(t *testing.T) {
	p := &policy.Policy{
		Name:  "p",
		Files: policy.Files{Read: []string{"/src", "/run/s.sock"}, Sockets: []string{"/src/sub"}},
	}
	h := plantest.Debian(p, 1000)
	h.Files["/run/s.sock"] = host.File{Real: "/run/s.sock", Mode: unix.S_IFSOCK, Ino: 9}
	h.Files["/src/sub"] = host.File{Real: "/src/sub", Mode: unix.S_IFDIR, Ino: 8}
	h.Files["/run/notify"] = host.File{Real: "/run/notify", Mode: unix.S_IFSOCK, Ino: 7}
	h.Sockets = []host.Found{{Path: "/src/one"}, {Path: "/src/sub/two"}, {Path: "/nowhere/three"}}
	target := host.Target{Path: "x", Args: []string{"x"}, Env: []string{"NOTIFY_SOCKET=/run/notify"}, Dir: "/"}
	plan, err := Build(p, plantest.AllowAll, target, h)
	if err != nil {
		t.Fatal(err)
	}
	text := plan.String()
	for want, n := range map[string]int{
		"hide /src/one\n": 1, "hide /run/s.sock\n": 1, "hide /src/sub/two\n": 0, "hide /run/notify\n": 0, "three": 0,
		"note: /run/s.sock is a socket": 1,
	} {
		if got := strings.Count(text, want); got != n {
			t.Errorf("%q is there %d times, want %d, in\n%s", want, got, n, text)
		}
	}
}
