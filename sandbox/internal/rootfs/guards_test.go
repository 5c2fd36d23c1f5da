package rootfs_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/rootfs"
)

// planted is the machine with a link at a path, which any program could have made.
func planted(p *policy.Policy, name, real string, paths ...string) *host.Facts {
	h := machine(p, paths...)
	f := h.Files[real]
	f.Real = real
	if f.Mode == 0 {
		f.Mode, f.Ino = unix.S_IFDIR, 6999
	}
	h.Files[name] = host.File{Err: &host.LinkError{Link: name, To: real, Why: "somebody made it", Inside: true, File: f}}
	return h
}

// TestPlantedLinks: a link in doubt is an error, or what may be missing is left
// out with a note. It is followed only to hold a restriction on what is shown
// anyway.
func TestPlantedLinks(t *testing.T) {
	from := func(name, source string) map[string]policy.PathOptions {
		return map[string]policy.PathOptions{name: {From: source}}
	}
	for _, c := range []struct {
		name  string
		files policy.Files
		link  string
		paths []string
		want  string // the kind of at, or "refused", or "left out"
		at    string
	}{
		{"read", policy.Files{Read: []string{"/p/l"}}, "/p/l -> /vault", nil, "refused", ""},
		{"optional", policy.Files{Read: []string{"?/p/l"}}, "/p/l -> /vault", nil, "left out", "/p/l"},
		{"write", policy.Files{Write: []string{"/p/l"}}, "/p/l -> /vault", nil, "refused", ""},
		{"optional to write", policy.Files{Write: []string{"?/p/l"}}, "/p/l -> /vault", nil, "left out", "/p/l"},
		{"overlay", policy.Files{Overlay: []string{"/p/l"}}, "/p/l -> /vault", nil, "refused", ""},
		{"a source", policy.Files{Read: []string{"/x"}, Paths: from("/x", "/p/l")}, "/p/l -> /vault", nil, "refused", ""},
		{"an optional source", policy.Files{Read: []string{"?/x"}, Paths: from("/x", "/p/l")}, "/p/l -> /vault", nil,
			"left out", "/x"},
		{"a source over what is shown", policy.Files{Read: []string{"/", "/srv"}, Paths: from("/srv", "/p/l")},
			"/p/l -> /vault",
			[]string{"/", "/srv"}, "refused", ""},
		{"below a tmpfs", policy.Files{Write: []string{"/p"}, Tmpfs: []string{"/p/t"}, Read: []string{"/p/t/l"}},
			"/p/t/l -> /vault",
			[]string{"/p"}, "refused", ""},
		{"a guard, to what is shown", policy.Files{Write: []string{"/p"}, Read: []string{"?/p/.git"}}, "/p/.git -> /p/real",
			[]string{"/p", "/p/real"}, "read-only", "/p/real/hooks"},
		{"a guard, to what is not", policy.Files{Write: []string{"/p"}, Read: []string{"?/p/.git"}}, "/p/.git -> /vault",
			[]string{"/p"}, "writable", "/p/.git"},
		{"hide", policy.Files{Write: []string{"/p"}, Hide: []string{"/p/l"}}, "/p/l -> /p/real", []string{"/p", "/p/real"},
			"refused", ""},
		{"hide if it is there", policy.Files{Write: []string{"/p"}, Hide: []string{"?/p/l"}}, "/p/l -> /p/real",
			[]string{"/p", "/p/real"}, "hidden", "/p/real/x"},
		{"a socket", policy.Files{Sockets: []string{"/p/l"}}, "/p/l -> /vault", nil, "refused", ""},
		{"an optional socket", policy.Files{Sockets: []string{"?/p/l"}}, "/p/l -> /vault", nil, "left out", "/p/l"},
		{"kept changes", policy.Files{Overlay: []string{"/o"},
			Paths: map[string]policy.PathOptions{"/o": {Upper: "/p/l", Work: "/w"}}},
			"/p/l -> /vault", []string{"/o", "/w"}, "refused", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &policy.Policy{Name: "p", Files: c.files}
			name, real, _ := strings.Cut(c.link, " -> ")
			tree, err := rootfs.New(p, host.Target{Dir: "/"}, planted(p, name, real, c.paths...), rootfs.Options{})
			got := "refused"
			switch {
			case err != nil:
				if !errors.Is(err, host.Untrusted) && !errors.Is(err, host.BehindLink) {
					t.Error(err)
				}
			case c.want == "left out":
				got = "left out"
				if n := tree.At(c.at); n.Path != "/" || n.Kind != rootfs.Directory || len(tree.Notes) != 1 {
					t.Errorf("%+v, notes %q", n, tree.Notes)
				}
			default:
				got = tree.At(c.at).Kind.String()
			}
			if got != c.want {
				t.Errorf("%s (%v), want %s", got, err, c.want)
			}
		})
	}
	p := &policy.Policy{Name: "p"}
	h := planted(p, "/p/l", "/vault")
	_, err := rootfs.New(p, host.Target{Dir: "/", Env: []string{"NOTIFY_SOCKET=/p/l"}}, h, rootfs.Options{})
	if !errors.Is(err, host.Untrusted) {
		t.Errorf("the notify socket: %v", err)
	}
}

// TestDecided: what decides over this launch or the next is read-only in what can
// be written, with the directories above it pinned; or nothing runs.
func TestDecided(t *testing.T) {
	file := func(name string, mode uint32, ino uint64) host.File {
		return host.File{Real: name, Mode: mode, Major: 8, Minor: 1, Ino: ino}
	}
	toml := file("/w/p/own.toml", unix.S_IFREG, 9001)
	own := file("/w/c/sbx", unix.S_IFDIR, 9002)
	absent := host.File{Real: "/w/c/sbx"}
	source := func(f host.File) func(*host.Facts) {
		return func(h *host.Facts) { h.Sources = []host.Source{{Name: f.Real, File: f}} }
	}
	dir := func(f host.File, checked bool) func(*host.Facts) {
		return func(h *host.Facts) { h.Own = []host.OwnDir{{Name: "~/.config/sbx", File: f, Checked: checked}} }
	}
	receipt := func(f host.File) func(*host.Facts) { return func(h *host.Facts) { h.Receipt = f } }
	for _, c := range []struct {
		name   string
		files  policy.Files
		paths  []string
		facts  func(*host.Facts)
		want   string // PATH=KIND
		pinned string
	}{
		{"a policy", policy.Files{Write: []string{"/w"}}, []string{"/w"}, source(toml), "/w/p/own.toml=read-only", "/w/p"},
		{"under a second name", policy.Files{Write: []string{"/x"}, Paths: map[string]policy.PathOptions{"/x": {From: "/w"}}},
			[]string{"/w"},
			source(toml), "/x/p/own.toml=read-only", "/x/p"},
		{"a policy elsewhere", policy.Files{Write: []string{"/w/q"}}, []string{"/w/q"}, source(toml), "/w/q/x=writable", ""},
		{"a policy to be written", policy.Files{Write: []string{"/w", "/w/p/own.toml.txt"}},
			[]string{"/w", "/w/p/own.toml.txt"},
			func(h *host.Facts) { source(h.Files["/w/p/own.toml.txt"])(h) }, "", ""},
		{"a policy in kept changes",
			policy.Files{Overlay: []string{"/o"}, Paths: map[string]policy.PathOptions{"/o": {Upper: "/w/p", Work: "/w/work"}}},
			[]string{"/o", "/w/p", "/w/work"}, source(toml), "", ""},
		{"a policy behind a link", policy.Files{}, nil, source(host.File{Err: &host.LinkError{Link: "/w/l", File: toml}}), "",
			""},
		{"a second name", policy.Files{Write: []string{"/w"}}, []string{"/w"},
			func(h *host.Facts) {
				h.Aliases = []host.Alias{{File: file("/w/d/second", unix.S_IFREG, 9001), Of: toml.Real}}
			},
			"/w/d/second=read-only", "/w/d"},
		{"sbx's own", policy.Files{Write: []string{"/w"}}, []string{"/w"}, dir(own, false),
			"/w/c/sbx/policies=read-only", "/w/c"},
		{"sbx's own, not there", policy.Files{Write: []string{"/w"}}, []string{"/w"}, dir(absent, false), "", ""},
		{"the cache, not there", policy.Files{Write: []string{"/w"}}, []string{"/w"}, dir(absent, true),
			"/w/c/sbx=writable", ""},
		{"all of the host", policy.Files{Write: []string{"/"}}, []string{"/"}, dir(own, false),
			"/w/c/sbx=read-only", "/w /w/c"},
		{"all of the host, sbx's own not there", policy.Files{Write: []string{"/"}}, []string{"/"}, dir(absent, false),
			"/w/c/sbx=writable", ""},
		{"sbx's own, not there and not to be made", policy.Files{Write: []string{"/"}}, []string{"/"},
			func(h *host.Facts) { h.Own = []host.OwnDir{{File: absent, Barred: true}} }, "/w/c/sbx=writable", ""},
		{"sbx's own, not there, under a tmpfs", policy.Files{Write: []string{"/"}, Tmpfs: []string{"/w"}}, []string{"/"},
			dir(absent, false), "/w/c/sbx=tmpfs", ""},
		{"sbx's own, not there, in what is only read", policy.Files{Write: []string{"/"}, Read: []string{"/w"}},
			[]string{"/", "/w"}, dir(absent, false), "/w/c/sbx=read-only", ""},
		{"in sbx's own", policy.Files{Write: []string{"/w/c/sbx/policies"}}, []string{"/w/c/sbx/policies"},
			dir(own, false), "", ""},
		{"sbx's own under another name", policy.Files{Write: []string{"/m"}}, []string{"/m"},
			func(h *host.Facts) { f := h.Files["/m"]; f.Real = "/w/c/sbx"; dir(f, false)(h) }, "", ""},
		{"sbx's own, to be written", policy.Files{Write: []string{"/w", "/w/c"}}, []string{"/w", "/w/c"}, dir(own, false),
			"/w/c/sbx/x=read-only", "/w/c"},
		{"sbx's own behind a link", policy.Files{Write: []string{"/w"}}, []string{"/w"},
			dir(host.File{Err: &host.LinkError{Link: "/w/c", Inside: true, File: own}}, false), "", ""},
		{"a receipt", policy.Files{Write: []string{"/w"}}, []string{"/w"}, receipt(file("/w/p/r", unix.S_IFREG, 9003)),
			"/w/p/r=hidden", "/w/p"},
		{"a receipt in what is only read", policy.Files{Read: []string{"/w"}}, []string{"/w"},
			receipt(file("/w/p/r", unix.S_IFREG, 9003)),
			"/w/p/r=read-only", ""},
		{"a FIFO in what is only read", policy.Files{Read: []string{"/w"}}, []string{"/w"},
			receipt(file("/w/p/r", unix.S_IFIFO, 9003)),
			"/w/p/r=hidden", ""},
		{"a receipt to be written", policy.Files{Write: []string{"/w/r.txt"}}, []string{"/w/r.txt"},
			func(h *host.Facts) { h.Receipt = h.Files["/w/r.txt"] }, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &policy.Policy{Name: "p", Files: c.files}
			h := machine(p, c.paths...)
			c.facts(h)
			tree, err := rootfs.New(p, host.Target{Dir: "/"}, h, rootfs.Options{})
			if c.want == "" {
				var e interface{ Hint() string }
				if !errors.Is(err, host.Untrusted) || !errors.As(err, &e) || e.Hint() == "" {
					t.Errorf("not refused, or without a hint: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			path, kind, _ := strings.Cut(c.want, "=")
			if got := tree.At(path).Kind.String(); got != kind {
				t.Errorf("%s is %s, want %s, in\n%s", path, got, kind, tree)
			}
			var pinned []string
			for _, l := range tree.Lines() {
				if l.Pinned {
					pinned = append(pinned, l.Path)
				}
			}
			slices.Sort(pinned)
			if got := strings.Join(pinned, " "); got != c.pinned {
				t.Errorf("pinned %s, want %s", got, c.pinned)
			}
		})
	}
}

// TestUnmade: a directory of sbx's own that is missing, and that the target could make, is to be
// made first.
func TestUnmade(t *testing.T) {
	mine := host.OwnDir{Name: "/home/.config/sbx", File: host.File{Real: "/home/.config/sbx"}}
	barred, machines, cache, homeless := mine, mine, mine, mine
	barred.Barred, machines.Name, cache.Checked, homeless.Homeless = true, host.SystemDir, true, true
	all := policy.Files{Write: []string{"/"}}
	home := policy.Files{Write: []string{"/home"}}
	for name, c := range map[string]struct {
		files       policy.Files
		own         host.OwnDir
		makes, want bool
	}{
		"writable":      {all, mine, false, true},
		"a part":        {home, mine, true, true},
		"read-only":     {policy.Files{Read: []string{"/"}}, mine, true, false},
		"barred":        {all, barred, false, false},
		"the machine's": {all, machines, false, false},
		"no home":       {all, homeless, false, false},
		"the cache":     {home, cache, true, false},
		"hidden":        {policy.Files{Write: []string{"/"}, Tmpfs: []string{"/home"}}, mine, false, false},
	} {
		p := &policy.Policy{Name: "p", Files: c.files}
		h := machine(p, "/", "/home")
		h.Own = []host.OwnDir{c.own}
		tree, err := rootfs.New(p, host.Target{Dir: "/", MakesOwn: c.makes}, h, rootfs.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := slices.Equal(tree.Unmade, []string{"/home/.config/sbx"}); got != c.want {
			t.Errorf("%s: %q, to be made: %t", name, tree.Unmade, c.want)
		}
	}
}

// TestDecidedByLandlock: without mounts nothing in a writable directory can be
// read-only, so what decides must not lie there.
func TestDecidedByLandlock(t *testing.T) {
	no := false
	inside := host.File{Real: "/w/p/x", Mode: unix.S_IFREG, Major: 8, Minor: 1, Ino: 9001}
	for _, c := range []struct {
		name  string
		facts func(*host.Facts)
		fine  bool
	}{
		{"nothing", func(*host.Facts) {}, true},
		{"a policy", func(h *host.Facts) { h.Sources = []host.Source{{Name: "x", File: inside}} }, false},
		{"a policy behind a link", func(h *host.Facts) {
			h.Sources = []host.Source{{Name: "x", File: host.File{Err: &host.LinkError{File: inside}}}}
		}, false},
		{"sbx's own", func(h *host.Facts) { h.Own = []host.OwnDir{{Name: "x", File: inside}} }, false},
		{"sbx's own, not there", func(h *host.Facts) { h.Own = []host.OwnDir{{Name: "x", File: host.File{Real: "/w/c"}}} },
			false},
		{"the cache, not there", func(h *host.Facts) {
			h.Own = []host.OwnDir{{Name: "x", File: host.File{Real: "/w/c"}, Checked: true}}
		}, true},
		{"sbx's own over it", func(h *host.Facts) {
			h.Own = []host.OwnDir{{Name: "x", File: host.File{Real: "/", Mode: unix.S_IFDIR}}}
		}, false},
		{"a receipt", func(h *host.Facts) { h.Receipt = inside }, false},
		{"a second name", func(h *host.Facts) { h.Aliases = []host.Alias{{File: inside}} }, false},
		{"elsewhere", func(h *host.Facts) {
			f := inside
			f.Real = "/v/x"
			h.Sources, h.Receipt = []host.Source{{Name: "x", File: f}}, f
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &policy.Policy{Name: "p", Files: policy.Files{Write: []string{"/w"}, Proc: &no, Dev: &no}}
			h := machine(p, "/w")
			c.facts(h)
			_, _, err := rootfs.LandlockOnly(p, host.Target{Dir: "/w"}, h, false, 0)
			if (err == nil) != c.fine {
				t.Errorf("%v", err)
			}
		})
	}
}
