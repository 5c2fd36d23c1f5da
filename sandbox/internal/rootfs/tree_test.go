package rootfs_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
	"sbx/sandbox/internal/rootfs"
)

// machine has each of the paths as a directory, or as a file if there is a dot
// in its name; "path -> real" is a symbolic link, "no path" nothing.
func machine(p *policy.Policy, paths ...string) *host.Facts {
	h := plantest.Debian(p, 1000)
	h.Found = nil
	for i, s := range paths {
		name, real, isLink := strings.Cut(s, " -> ")
		f := host.File{Real: name, Mode: unix.S_IFDIR, Perm: 0o755, Major: 8, Minor: 1, Ino: uint64(7000 + i)}
		if name, absent := strings.CutPrefix(s, "no "); absent {
			h.Files[name] = host.File{}
			continue
		}
		if isLink {
			f.Real, f.Link = real, real
		}
		if strings.Contains(name, ".txt") {
			f.Mode = unix.S_IFREG
		}
		h.Files[name] = f
	}
	return h
}

func build(t *testing.T, p *policy.Policy, h *host.Facts) *rootfs.Tree {
	t.Helper()
	tree, err := rootfs.New(p, host.Target{Dir: "/"}, h, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestDeepest: the deepest entry of any list says what a path is. Each case is
// one of the ways in which another list decided once.
func TestDeepest(t *testing.T) {
	no := false
	for _, c := range []struct {
		name  string
		files policy.Files
		paths []string
		want  map[string]string
	}{
		{
			"a read entry below a read entry in a writable directory", // its directories were writable
			policy.Files{Write: []string{"/w"}, Read: []string{"/w/.git", "/w/.git/hooks/pre.txt"}},
			[]string{"/w", "/w/.git", "/w/.git/hooks/pre.txt"},
			map[string]string{
				"/w/x": "writable", "/w/.git": "read-only", "/w/.git/hooks": "read-only", "/w/.git/hooks/other": "read-only",
			},
		},
		{
			"below an overlay",
			policy.Files{Write: []string{"/w"}, Overlay: []string{"/w/o"}, Read: []string{"/w/o/a/b"}},
			[]string{"/w", "/w/o", "/w/o/a/b"},
			map[string]string{"/w/o/a": "overlay", "/w/o/a/b": "read-only"},
		},
		{
			"below a tmpfs that masks",
			policy.Files{Write: []string{"/w"}, Tmpfs: []string{"/w/secrets"}, Read: []string{"/w/secrets/a/b"}},
			[]string{"/w", "/w/secrets", "/w/secrets/a/b"},
			map[string]string{"/w/secrets": "tmpfs", "/w/secrets/a": "tmpfs", "/w/secrets/a/b": "read-only"},
		},
		{
			"an optional guard, and all of the host to read", // which dropped the guard
			policy.Files{Read: []string{"/", "?/w/.git"}, Write: []string{"/w"}},
			[]string{"/", "/w", "/w/.git"},
			map[string]string{"/w/.git": "read-only", "/w/x": "writable", "/etc": "read-only"},
		},
		{
			"a link planted at the name of a guard", // which took another entry's place
			policy.Files{Write: []string{"/w"}, Read: []string{"?/w/.ci"}, Tmpfs: []string{"/w/private"}},
			[]string{"/w", "/w/.ci -> /w/private", "/w/private"},
			map[string]string{"/w/private": "tmpfs", "/w": "writable"},
		},
		{
			"such a link to what cannot be executed",
			policy.Files{
				Write: []string{"/w", "/w/noexec"}, Read: []string{"?/w/.ci"},
				Paths: map[string]policy.PathOptions{"/w/noexec": {Exec: &no}},
			},
			[]string{"/w", "/w/noexec", "/w/.ci -> /w/noexec"},
			map[string]string{"/w/noexec": "writable, no exec"},
		},
		{
			"a guard under a second name", // where it was writable
			policy.Files{
				Write: []string{"/w", "/workspace"}, Read: []string{"/w/.git"},
				Paths: map[string]policy.PathOptions{"/workspace": {From: "/w"}},
			},
			[]string{"/w", "/w/.git"},
			map[string]string{
				"/workspace": "writable", "/workspace/.git": "read-only", "/workspace/.git/hooks": "read-only",
				"/w/.git": "read-only",
			},
		},
		{
			"a guard behind a link of the host's", // which was lost
			policy.Files{Write: []string{"/data/p"}, Read: []string{"?/data/p/.git"}},
			[]string{"/data/p -> /mnt/data/p", "/data/p/.git -> /mnt/data/p/.git"},
			map[string]string{"/data/p": "writable", "/data/p/.git": "read-only"},
		},
		{
			"two links where all can be written", // of which the second was forgotten
			policy.Files{Write: []string{"/"}, Read: []string{"?/bin", "?/lib"}},
			[]string{"/", "/bin -> /usr/bin", "/lib -> /usr/lib"},
			map[string]string{"/usr/bin": "read-only", "/usr/lib": "read-only", "/lib": "writable", "/usr": "writable"},
		},
		{
			"a link that is to be without execution", // which lost that
			policy.Files{Read: []string{"/usr", "/bin"}, Paths: map[string]policy.PathOptions{"/bin": {Exec: &no}}},
			[]string{"/usr", "/bin -> /usr/bin"},
			map[string]string{"/bin": "read-only, no exec", "/usr/bin": "read-only"},
		},
		{
			"a link that is to be written", // which was read-only
			policy.Files{Read: []string{"/mnt"}, Write: []string{"/data"}},
			[]string{"/mnt", "/data -> /mnt/data"},
			map[string]string{"/data": "writable", "/mnt/data": "read-only"},
		},
		{
			"a guard that all of the host shows in the same way, under a second name", // where it was writable
			policy.Files{
				Read: []string{"/", "/w/.git"}, Write: []string{"/x"},
				Paths: map[string]policy.PathOptions{"/x": {From: "/w"}},
			},
			[]string{"/", "/w", "/w/.git", "/x"},
			map[string]string{"/x": "writable", "/x/.git": "read-only"},
		},
		{
			"a link in what is read, to what is written", // which was forgotten
			policy.Files{Write: []string{"/w"}, Read: []string{"/w/r", "?/w/r/ci"}},
			[]string{"/w", "/w/r", "/w/r/ci -> /w/ci", "/w/ci"},
			map[string]string{"/w/ci": "read-only", "/w": "writable"},
		},
		{
			"a link from elsewhere to what is written", // which was writable by its own name
			policy.Files{
				Write: []string{"/w"}, Read: []string{"/r/ci"},
				Paths: map[string]policy.PathOptions{"/w": {From: "/w"}},
			},
			[]string{"/w", "/r/ci -> /w/ci"},
			map[string]string{"/w/ci": "read-only", "/r/ci": "read-only", "/w": "writable"},
		},
		{
			"a link by another link, to what is written by a second name", // where it was writable
			policy.Files{Write: []string{"/w"}, Read: []string{"/r", "/l/ci"}},
			[]string{"/w -> /r/x", "/r", "/l/ci -> /r/x/ci"},
			map[string]string{"/w": "writable", "/w/ci": "read-only", "/r/x": "read-only"},
		},
		{
			"a part of what is hidden, under another name", // where it was shown
			policy.Files{
				Read: []string{"/r", "/l"}, Write: []string{"/w"}, Hide: []string{"/s"},
				Paths: map[string]policy.PathOptions{"/r": {From: "/s/a"}, "/w": {From: "/s/b"}},
			},
			[]string{"/s", "/s/a", "/s/b", "/l -> /s/c"},
			map[string]string{"/r": "hidden", "/w": "hidden", "/l": "hidden"},
		},
		{
			"nothing of the machine's own",
			policy.Files{Read: []string{"/"}, Proc: &no, Dev: &no},
			[]string{"/"},
			map[string]string{"/proc/1": "hidden", "/dev/log": "hidden", "/etc": "read-only"},
		},
		{
			"shared memory",
			policy.Files{Tmpfs: []string{"/tmp"}}, nil,
			map[string]string{"/dev/shm": "tmpfs, no exec", "/tmp": "tmpfs"},
		},
		{
			"hidden, with what is shown in it",
			policy.Files{Write: []string{"/w"}, Hide: []string{"/w/secrets"}, Read: []string{"/w/secrets/pub"}},
			[]string{"/w", "/w/secrets", "/w/secrets/pub"},
			map[string]string{"/w/secrets/pub": "hidden", "/w/secrets/new": "hidden", "/w": "writable"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &policy.Policy{Name: "p", Files: c.files}
			tree := build(t, p, machine(p, c.paths...))
			for path, want := range c.want {
				n := tree.At(path)
				got := n.Kind.String()
				if n.NoExec {
					got += ", no exec"
				}
				if got != want {
					t.Errorf("%s is %s, want %s, in\n%s", path, got, want, tree)
				}
			}
		})
	}
}

// TestPins: the directories between a mount and the writable one that it lies in
// cannot be renamed, whatever list the mount comes from and whatever else is
// named besides.
func TestPins(t *testing.T) {
	for _, c := range []struct {
		name  string
		files policy.Files
		paths []string
		want  string
	}{
		{"a read entry", policy.Files{Write: []string{"/w"}, Read: []string{"/w/a/b/c"}}, []string{"/w", "/w/a/b/c"},
			"/w/a /w/a/b"},
		{"a read entry in one", policy.Files{Write: []string{"/w"}, Read: []string{"/w/a", "/w/a/b/c"}},
			[]string{"/w", "/w/a", "/w/a/b/c"}, ""},
		{"a redundant writable entry", policy.Files{Write: []string{"/w", "/w/ci"}, Read: []string{"/w/ci/guard"}},
			[]string{"/w", "/w/ci", "/w/ci/guard"}, "/w/ci"},
		{"a tmpfs", policy.Files{Write: []string{"/w"}, Tmpfs: []string{"/w/a/t"}}, []string{"/w", "/w/a/t"}, "/w/a"},
		{"an overlay", policy.Files{Write: []string{"/w"}, Overlay: []string{"/w/a/o"}}, []string{"/w", "/w/a/o"}, "/w/a"},
		{"an empty directory", policy.Files{Write: []string{"/w"}, Directories: []string{"/w/a/d"}},
			[]string{"/w", "/w/a/d"}, "/w/a"},
		{"a file", policy.Files{Write: []string{"/w"}, Inline: map[string]string{"/w/a/f.txt": "x"}},
			[]string{"/w", "/w/a/f.txt"}, "/w/a"},
		{"a hidden path", policy.Files{Write: []string{"/w"}, Hide: []string{"/w/a/s.txt"}},
			[]string{"/w", "/w/a/s.txt"}, "/w/a"},
		{"all of the host", policy.Files{Write: []string{"/"}, Read: []string{"/home/u/.git"}}, []string{"/", "/home/u/.git"},
			"/home /home/u"},
		{"in a tmpfs", policy.Files{Tmpfs: []string{"/t"}, Read: []string{"/t/a/r"}}, []string{"/t/a/r"}, "/t/a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &policy.Policy{Name: "p", Files: c.files}
			tree := build(t, p, machine(p, c.paths...))
			var got []string
			for _, l := range tree.Lines() {
				if l.Pinned {
					got = append(got, l.Path)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("pinned %v, want %s, in\n%s", got, c.want, tree)
			}
		})
	}
}

// TestRefused: what no tree can hold, each with a fix. All of it ends.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		files policy.Files
		paths []string
		want  host.Reason
	}{
		{"behind a link of the policy's own", policy.Files{Symlinks: map[string]string{"/a": "usr"}, Tmpfs: []string{"/a/x"}},
			nil, host.BehindLink},
		{"deep behind one", policy.Files{Symlinks: map[string]string{"/a": "a"}, Read: []string{"/a/x/y"}},
			[]string{"/a/x/y"}, host.BehindLink},
		{"a writable link in what is shown", policy.Files{Write: []string{"/w", "/w/l"}}, []string{"/w", "/w/l -> /vault"},
			host.BehindLink},
		{"a tmpfs that has no place", policy.Files{Write: []string{"/w"}, Tmpfs: []string{"/w/t"}}, []string{"/w", "no /w/t"},
			host.NoPlace},
		{"a tmpfs below what is left out", policy.Files{
			Read: []string{"?/c"}, Write: []string{"?/c/a"}, Tmpfs: []string{"/c/a/t"},
			Paths: map[string]policy.PathOptions{"/c": {From: "/f.txt"}}},
			[]string{"/f.txt", "/c", "/c/a", "/c/a/t"}, host.NoPlace},
		{"a tmpfs on a link", policy.Files{Write: []string{"/w"}, Tmpfs: []string{"/w/t"}}, []string{"/w", "/w/t -> /vault"},
			host.BehindLink},
		{"a link in what has another name", policy.Files{Read: []string{"/r", "/r/l"},
			Paths: map[string]policy.PathOptions{"/r": {From: "/s"}}},
			[]string{"/s", "/r", "/r/l -> /r"}, host.BehindLink},
		{"hide what each process has", policy.Files{Hide: []string{"/proc/self/environ"}},
			[]string{"/proc/self/environ -> /proc/7/environ"}, host.Impossible},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &policy.Policy{Name: "p", Files: c.files}
			_, err := rootfs.New(p, host.Target{Dir: "/"}, machine(p, c.paths...), rootfs.Options{})
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if h, ok := err.(interface{ Hint() string }); !ok || h.Hint() == "" {
				t.Errorf("no hint: %v", err)
			}
		})
	}
}

// TestOwner: only root gives directories away, and "?" does without.
func TestOwner(t *testing.T) {
	for _, c := range []struct {
		owner  string
		uid    int
		userNS bool
		want   string
	}{
		{"www-data", 0, false, "of user 33"},
		{"33", 0, false, "of user 33"},
		{"?www-data", 1000, true, ""},
		{"?none", 0, false, ""},
		{"1000", 1000, true, ""},
		{"www-data", 1000, true, "only root may"},
		{"www-data", 0, true, "only root may"},
		{"none", 0, false, "no such user"},
	} {
		p := &policy.Policy{Name: "p", Files: policy.Files{Tmpfs: []string{"/t"}, Directories: []string{"/t/d"},
			Paths: map[string]policy.PathOptions{"/t/d": {Owner: c.owner}}}}
		h := plantest.Debian(p, c.uid)
		got := ""
		tree, err := rootfs.New(p, host.Target{Dir: "/"}, h, rootfs.Options{UserNS: c.userNS})
		if err != nil {
			got = err.Error()
		} else {
			steps, err := tree.Steps()
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range steps {
				if strings.HasPrefix(s.String(), "make directory /t/d") {
					got = s.String()
				}
			}
		}
		if !strings.Contains(got, c.want) || c.want == "" && strings.Contains(got, "of user") {
			t.Errorf("owner %s as user %d: %q, want %q", c.owner, c.uid, got, c.want)
		}
	}
}

// TestNamedElsewhere: an entry that has the path of what a pattern found, and
// shows something else there, does not name what was found.
func TestNamedElsewhere(t *testing.T) {
	p := &policy.Policy{Name: "p", Files: policy.Files{
		Read: []string{"/w", "/x", "/w/env.txt"}, Paths: map[string]policy.PathOptions{"/w/env.txt": {From: "/o.txt"},
			"/x": {From: "/w"}}}}
	h := machine(p, "/w", "/w/env.txt", "/o.txt")
	h.Found = []host.Found{{Path: "/w/env.txt"}}
	tree := build(t, p, h)
	if n := tree.At("/x/env.txt"); n.Kind != rootfs.Hidden {
		t.Errorf("it is %s, in\n%s", n.Kind, tree)
	}
	if n := tree.At("/w/env.txt"); n.Kind != rootfs.Read || n.Source.Real != "/o.txt" {
		t.Errorf("%+v, in\n%s", n, tree)
	}
}

// TestNoDevRule: where the root is the host's, nothing can be made in /dev.
func TestNoDevRule(t *testing.T) {
	p := &policy.Policy{Name: "p", Files: policy.Files{Write: []string{"/"}}}
	for _, s := range build(t, p, machine(p, "/")).Rules() {
		if s.String() == "add a Landlock rule to write /dev" {
			t.Error(s)
		}
	}
}

// TestHideSystem: what every sandbox has of its own can be hidden too.
func TestHideSystem(t *testing.T) {
	p := &policy.Policy{Name: "p", Files: policy.Files{Hide: []string{"/dev/pts", "/proc/kallsyms.txt", "?/proc/none"}}}
	tree := build(t, p, machine(p, "/proc/kallsyms.txt"))
	steps, err := tree.Steps()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"hide /dev/pts", "hide /proc/kallsyms.txt"} {
		if !slices.ContainsFunc(steps, func(s step.Step) bool { return s.String() == want }) {
			t.Errorf("no step %q", want)
		}
	}
}
