package host

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// tree makes files in a new directory: "a/" is a directory, "a -> b" a link,
// everything else a file. The directory's path has no links in it.
func tree(t *testing.T, entries ...string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name, to, link := strings.Cut(e, " -> ")
		name = filepath.Join(dir, name)
		if err = os.MkdirAll(filepath.Dir(name), 0o755); err == nil {
			switch {
			case link:
				err = os.Symlink(strings.ReplaceAll(to, "$D", dir), name)
			case strings.HasSuffix(e, "/"):
				err = os.MkdirAll(name, 0o755)
			default:
				err = os.WriteFile(name, nil, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func probed(t *testing.T, files policy.Files, target Target) *Facts {
	t.Helper()
	h := &Facts{account: target.AccountHome, UID: unix.Geteuid(), GID: unix.Getegid(), Files: make(map[string]File)}
	t.Cleanup(h.Close)
	no := false
	files.Dev, files.Proc = &no, &no
	p := &policy.Policy{Files: files}
	if err := h.probePaths(p, p.Tree(), target); err != nil {
		t.Fatal(err)
	}
	return h
}

// TestWalk: the walker comes to the same file as the kernel, and names each link
// on the way.
func TestWalk(t *testing.T) {
	dir := tree(t, "a/b/file", "to-a -> a", "abs -> $D/a/b", "two -> to-a/b", "up -> a/b/../../a",
		"tricky -> abs/../b/file",
		"a/self -> .", "loop -> loop", "ring -> gnir", "gnir -> ring", "gone -> a/none", "long/long/l -> ../../to-a")
	for _, c := range []struct{ path, links string }{
		{"a/b/file", ""}, {"to-a", "to-a"}, {"to-a/b/file", "to-a"}, {"abs/file", "abs"}, {"two/file", "two to-a"},
		{"up/b", "up"},
		{"tricky", "tricky abs"}, {"a/self/self/b/file", "a/self a/self"}, {"loop", ""}, {"ring", ""}, {"gone", ""},
		{"to-a/none", ""},
		{"a/b/file/x", ""}, {"long/long/l/b/file", "long/long/l to-a"}, {"a/b/../b/file", ""}, {"to-a/../a", "to-a"},
	} {
		t.Run(c.path, func(t *testing.T) {
			var w walker
			defer w.close()
			name := dir + "/" + c.path
			o, err := w.open(name)
			var want unix.Stat_t
			if wantErr := unix.Stat(name, &want); wantErr != nil {
				if err != wantErr {
					t.Errorf("%v, want %v", err, wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(o.fd)
			real, err := filepath.EvalSymlinks(name)
			if err != nil || o.real != real || identity(&o.st) != identity(&want) {
				t.Errorf("came to %s, want %s (%v)", o.real, real, err)
			}
			var links []string
			for _, l := range o.links {
				links = append(links, strings.TrimPrefix(l.name, dir+"/"))
				if l.dir.real != filepath.Dir(l.name) || int(l.uid) != os.Getuid() {
					t.Errorf("link %+v", l)
				}
			}
			if got := strings.Join(links, " "); got != c.links {
				t.Errorf("went by %q, want %q", got, c.links)
			}
		})
	}
	var w walker
	defer w.close()
	if _, err := w.open("relative"); err != unix.EINVAL {
		t.Errorf("a relative path: %v", err)
	}
	// What the caller has opened has the name that it has; sbx's own descriptors, which
	// are close-on-exec, have none.
	own, err := unix.Open(dir+"/a/b", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(own)
	if _, err := w.open("/proc/self/fd/" + strconv.Itoa(own)); err != unix.ENOENT {
		t.Errorf("sbx's own descriptor: %v", err)
	}
	fd, err := unix.Open(dir+"/a/b", unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	o, err := w.open("/proc/self/fd/" + strconv.Itoa(fd) + "/file")
	if err != nil || o.real != dir+"/a/b/file" || !o.links[len(o.links)-1].magic {
		t.Errorf("by /proc: %+v, %v", o, err)
	}
	unix.Close(o.fd)
}

// TestDistrust: who can have made the link decides whether it is followed.
func TestDistrust(t *testing.T) {
	const they = 4711
	for _, c := range []struct {
		name   string
		files  policy.Files
		target Target
		path   string
		spoil  func(dir string) error
		want   string // of the reason
		inside bool
	}{
		{name: "the caller's own", files: policy.Files{Read: []string{"l"}}, path: "l"},
		{
			name: "in a writable entry", files: policy.Files{Write: []string{"w"}, Read: []string{"w/l"}}, path: "w/l",
			want: "where the program may write", inside: true,
		},
		{
			name: "deep in one", files: policy.Files{Write: []string{"w"}, Read: []string{"w/d/l/file"}}, path: "w/d/l/file",
			want: "where the program may write", inside: true,
		},
		{
			name: "a writable entry in another", files: policy.Files{Write: []string{"w", "w/l"}}, path: "w/l",
			want: "where the program may write", inside: true,
		},
		{
			name: "a second link on the way", files: policy.Files{Write: []string{"w"}, Read: []string{"to-w/l"}},
			path: "to-w/l",
			want: "where the program may write", inside: true,
		},
		{
			name: "in the upper directory of an overlay", path: "w/l", want: "changes are kept", inside: true,
			files: policy.Files{
				Overlay: []string{"d"},
				Read:    []string{"w/l"},
				Paths:   map[string]policy.PathOptions{"d": {Upper: "w", Work: "work"}},
			},
		},
		{
			name: "a source", path: "w/l", want: "where the program may write", inside: true,
			files: policy.Files{
				Write: []string{"w"},
				Read:  []string{"/x"},
				Paths: map[string]policy.PathOptions{"/x": {From: "w/l"}},
			},
		},
		{name: "a path to hide", files: policy.Files{Write: []string{"w"}, Hide: []string{"w/l"}}, path: "w/l",
			want: "may write", inside: true},
		{name: "a socket", files: policy.Files{Write: []string{"w"}, Sockets: []string{"w/l"}}, path: "w/l",
			want: "may write", inside: true},
		{name: "in the project", files: policy.Files{Read: []string{"w/l"}}, target: Target{Project: "w"}, path: "w/l",
			want: "in the project", inside: true},
		{
			name: "in the project that the caller stands in", files: policy.Files{Read: []string{"w/l"}},
			target: Target{CallerProject: "w"},
			path:   "w/l", want: "in the project", inside: true,
		},
		{
			name: "at the top of the repository that the project lies in", files: policy.Files{Read: []string{"w/l"}},
			target: Target{Project: "w/d/sub"}, path: "w/l", want: "in the project", inside: true,
			spoil: func(dir string) error { return os.MkdirAll(dir+"/w/.git", 0o755) },
		},
		{
			name: "above a project without a repository", files: policy.Files{Read: []string{"w/l"}},
			target: Target{Project: "w/d/sub"}, path: "w/l",
		},
		{
			name: "all of the host can be written", files: policy.Files{Write: []string{"/"}, Read: []string{"w/l"}},
			path: "w/l",
		},
		{
			name: "another user's", files: policy.Files{Read: []string{"l"}}, path: "l",
			spoil: func(dir string) error { return os.Lchown(dir+"/l", they, they) }, want: "belongs to user 4711",
		},
		{
			name: "in another user's directory", files: policy.Files{Read: []string{"d/l"}}, path: "d/l",
			spoil: func(dir string) error { return os.Chown(dir+"/d", they, they) }, want: "its directory belongs to user 4711",
		},
		{
			name: "where everybody may write", files: policy.Files{Read: []string{"d/l"}}, path: "d/l",
			spoil: func(dir string) error { return os.Chmod(dir+"/d", 0o777) }, want: "others can write",
		},
		{
			name: "where the group may write", files: policy.Files{Read: []string{"d/l"}}, path: "d/l",
			spoil: func(dir string) error {
				if os.Geteuid() != 0 {
					return os.Chmod(dir+"/d", 0o777)
				}
				return errors.Join(os.Chown(dir+"/d", 0, they), os.Chmod(dir+"/d", 0o775))
			}, want: "others can write",
		},
		{
			name: "in a sticky directory", files: policy.Files{Read: []string{"d/l"}}, path: "d/l",
			spoil: func(dir string) error { return os.Chmod(dir+"/d", 0o777|os.ModeSticky) },
		},
		{
			name: "no link at all, in another user's directory", files: policy.Files{Read: []string{"d/file"}}, path: "d/file",
			spoil: func(dir string) error { return os.Chown(dir+"/d", they, they) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := tree(t, "vault/file", "l -> vault", "w/l -> ../vault", "w/d/l -> ../../vault", "to-w -> w", "d/l -> ../vault",
				"d/file", "work/")
			if c.spoil != nil {
				if err := c.spoil(dir); errors.Is(err, unix.EPERM) {
					return // only root can give files away; it runs these, too
				} else if err != nil {
					t.Fatal(err)
				}
			}
			at := func(s string) string {
				if s == "" || s[0] == '/' {
					return s
				}
				return dir + "/" + s
			}
			for _, list := range []*[]string{&c.files.Read, &c.files.Write, &c.files.Overlay, &c.files.Hide, &c.files.Sockets} {
				for i, s := range *list {
					(*list)[i] = at(s)
				}
			}
			options := make(map[string]policy.PathOptions)
			for s, o := range c.files.Paths {
				o.From, o.Upper, o.Work = at(o.From), at(o.Upper), at(o.Work)
				options[at(s)] = o
			}
			c.files.Paths = options
			c.target.Project, c.target.CallerProject = at(c.target.Project), at(c.target.CallerProject)
			f := probed(t, c.files, c.target).Files[at(c.path)]
			var e *LinkError
			switch got := errors.As(f.Err, &e); {
			case !got && (c.want != "" || f.Err != nil || f.Mode == 0):
				t.Errorf("%+v, want %q", f, c.want)
			case got && (c.want == "" || !strings.Contains(e.Why, c.want) || e.Inside != c.inside || f.Mode != 0):
				t.Errorf("%v (inside: %v), want %q", e, e.Inside, c.want)
			case got && (!errors.Is(f.Err, Untrusted) || !strings.Contains(e.Hint(), dir+"/vault") || e.File.Mode == 0):
				t.Errorf("hint %q of %+v", e.Hint(), e)
			}
		})
	}
}

// TestMountedTwice: a directory is the same under the name that a bind mount
// gives it, which only its number tells.
func TestMountedTwice(t *testing.T) {
	dir := tree(t, "w/d/l -> ../../vault", "vault/")
	var w walker
	defer w.close()
	o, err := w.open(dir + "/w/d/l")
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(o.fd)
	var st unix.Stat_t
	if err := unix.Stat(dir+"/w", &st); err != nil {
		t.Fatal(err)
	}
	h := &Facts{UID: unix.Geteuid(), zones: []zone{{"/elsewhere", identity(&st), "it is in there"}}}
	if why, inside := h.distrust(&o.links[0]); why != "it is in there" || !inside {
		t.Errorf("%q, %v", why, inside)
	}
}

// TestGroupOfOne: a group that is the user's alone may write to its directory.
func TestGroupOfOne(t *testing.T) {
	for _, c := range []struct {
		uid, gid       int
		dirUID, dirGID uint32
		mode           uint32
		want           bool
	}{
		{1000, 1000, 1000, 1000, 0o775, true},
		{1000, 1000, 1000, 1000, 0o777, false},
		{1000, 100, 1000, 100, 0o775, false},
		{1000, 1000, 1000, 50, 0o775, false},
		{1000, 1000, 0, 1000, 0o775, false},
	} {
		h := &Facts{UID: c.uid, GID: c.gid}
		if got := h.groupOfOne(&unix.Stat_t{Uid: c.dirUID, Gid: c.dirGID, Mode: c.mode}); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestWalkRaced: while files are being renamed, the links that are returned are those that
// led to the file.
func TestWalkRaced(t *testing.T) {
	dir := tree(t, "one/f", "two/f", "l -> one", "m -> two")
	stop := make(chan struct{})
	done := make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := unix.Renameat2(unix.AT_FDCWD, dir+"/l", unix.AT_FDCWD, dir+"/m", unix.RENAME_EXCHANGE); err != nil {
				done <- err
				return
			}
		}
	}()
	seen := map[string]int{}
	for range 3000 {
		var w walker
		o, err := w.open(dir + "/l/f")
		if err == unix.ESTALE {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(o.links) != 1 || o.real != filepath.Join(dir, o.links[0].to, "f") {
			t.Errorf("came to %s by %+v", o.real, o.links)
		}
		seen[o.links[0].to]++
		unix.Close(o.fd)
		w.close()
	}
	close(stop)
	if err := <-done; err != nil || len(seen) != 2 {
		t.Errorf("%v, %v", seen, err)
	}
}
