package review

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// startFile begins the review of one file, and returns the copy.
func (l *lab) startFile(name string) (string, error) {
	l.Helper()
	at := filepath.Join(l.lower, name)
	var st unix.Stat_t
	l.must(unix.Stat(at, &st))
	r, layers, err := l.store.New(Record{Policy: "p"}, []string{"true"}, []Dir{
		{File: true, Path: "/inside/" + name, Real: at, Dev: st.Dev, Ino: st.Ino},
	})
	if err != nil {
		return "", err
	}
	l.review, l.upper = r, filepath.Dir(layers[at][0])
	l.Cleanup(func() { r.Close() })
	if got := filepath.Base(layers[at][0]); got != name || layers[at][1] != "" {
		l.Errorf("the copy is %q", layers[at])
	}
	return layers[at][0], nil
}

// TestFile: a single file is a copy, that keeping puts in its place, and nothing else of its
// directory is looked at.
func TestFile(t *testing.T) {
	l := newLab(t, "f=old", "other=1", "dir/x=1")
	host := filepath.Join(l.lower, "f")
	l.must(os.Chmod(host, 0o640))
	l.must(unix.Lsetxattr(host, "user.mine", []byte("1"), 0))
	l.must(unix.UtimesNanoAt(unix.AT_FDCWD, host, []unix.Timespec{time1000, time1000}, 0))
	copied, err := l.startFile("f")
	l.must(err)
	st, err := os.Stat(copied)
	if err != nil || st.Mode().Perm() != 0o640 || st.ModTime().Unix() != 1000 || st.Size() != 3 {
		t.Errorf("the copy is %v, %v", st, err)
	}
	buf := make([]byte, 10)
	if n, err := unix.Lgetxattr(copied, "user.mine", buf); err != nil || n != 1 {
		t.Errorf("the copy's attribute: %v", err)
	}
	l.want()
	l.must(os.WriteFile(copied, []byte("new!"), 0o640))
	l.want("modified f")
	for name, ok := range map[string]bool{
		host: true, "/inside/f": true, l.lower: false, l.lower + "/other": false, "/": false,
	} {
		if s, err := l.review.Select(name); (err == nil && string(s.Path) == "f") != ok {
			t.Errorf("%s is %q, %v", name, s.Path, err)
		}
	}
	if x := l.keep(false, "f"); !x.OK() || x.Left {
		t.Errorf("%+v", x)
	}
	l.host("dir/", "dir/x=1", "f=new! 0640", "other=1")
	if n, err := unix.Lgetxattr(host, "user.mine", buf); err != nil || n != 1 {
		t.Errorf("the attribute of what was kept: %v", err)
	}
}

// TestFileMeanwhile: what has changed on the host is a conflict, and what the program has not
// touched is no change, however large.
func TestFileMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		program, host func(l *lab, copied, host string)
		want          []string
		after         string // the content that the host has in the end
	}{
		"changed": {write("mine"), writeHost("theirs"), []string{"modified f !"}, "theirs"},
		"removed": {write("mine"), func(l *lab, _, host string) { l.must(os.Remove(host)) }, []string{"added f !"}, ""},
		"replaced": {write("mine"), func(l *lab, _, host string) {
			l.must(os.WriteFile(host+"2", []byte("theirs"), 0o644))
			l.must(os.Rename(host+"2", host))
		}, []string{"modified f !"}, "theirs"},
		"not touched": {func(*lab, string, string) {}, writeHost("theirs"), nil, "theirs"},
		"mode": {func(l *lab, copied, _ string) { l.must(os.Chmod(copied, 0o600)) }, func(*lab, string, string) {},
			[]string{"mode f"}, "old"},
		"set-user-ID": {func(l *lab, copied, _ string) { l.must(unix.Chmod(copied, 0o4755)) }, func(*lab, string, string) {},
			[]string{"mode f refused"}, "old"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "f=old")
			host := filepath.Join(l.lower, "f")
			copied, err := l.startFile("f")
			l.must(err)
			c.program(l, copied, host)
			c.host(l, copied, host)
			l.want(c.want...)
			l.keep(false)
			if got, err := os.ReadFile(host); string(got) != c.after || err != nil && c.after != "" {
				t.Errorf("the host has %q, %v", got, err)
			}
		})
	}
}

func write(s string) func(*lab, string, string) {
	return func(l *lab, copied, _ string) { l.must(os.WriteFile(copied, []byte(s), 0o644)) }
}

func writeHost(s string) func(*lab, string, string) {
	return func(l *lab, _, host string) { l.must(os.WriteFile(host, []byte(s), 0o644)) }
}

// TestFileLarge: holes stay holes, and a large file that was not touched counts as no change.
func TestFileLarge(t *testing.T) {
	l := newLab(t, "f=start")
	host := filepath.Join(l.lower, "f")
	l.must(os.Truncate(host, 1<<40))
	f, err := os.OpenFile(host, os.O_RDWR, 0)
	l.must(err)
	_, err = f.WriteAt([]byte("middle"), 1<<39)
	l.must(errors.Join(err, f.Close()))
	copied, err := l.startFile("f")
	l.must(err)
	var st unix.Stat_t
	l.must(unix.Stat(copied, &st))
	if st.Size != 1<<40 || st.Blocks > 1000 {
		t.Errorf("%d bytes, %d blocks", st.Size, st.Blocks)
	}
	l.want()
	f, err = os.OpenFile(copied, os.O_RDWR, 0)
	l.must(err)
	buf := make([]byte, 6)
	for at, want := range map[int64]string{1 << 39: "middle", 0: "start\x00"} {
		if _, err := f.ReadAt(buf, at); err != nil || string(buf) != want {
			t.Errorf("at %d: %q, %v", at, buf, err)
		}
	}
	_, err = f.WriteAt([]byte("end"), 1<<40-3)
	l.must(errors.Join(err, f.Close()))
	l.want("modified f")
	l.keep(false)
	l.must(unix.Stat(host, &st))
	if st.Size != 1<<40 || st.Blocks > 1000 {
		t.Errorf("kept: %d bytes, %d blocks", st.Size, st.Blocks)
	}
}

// TestFileRefused: where keeping could not put the file in its place, nothing begins.
func TestFileRefused(t *testing.T) {
	l := newLab(t, "f=1", "link=->f")
	var st unix.Stat_t
	l.must(unix.Stat(filepath.Join(l.lower, "f"), &st))
	for _, d := range []Dir{
		{File: true, Path: "/x", Real: l.lower + "/f", Dev: st.Dev, Ino: st.Ino + 1},
		{File: true, Path: "/x", Real: l.lower + "/link", Dev: st.Dev, Ino: st.Ino},
		{File: true, Path: "/x", Real: "/proc/self/comm", Dev: st.Dev, Ino: st.Ino},
	} {
		if _, _, err := l.store.New(Record{}, nil, []Dir{d}); err == nil {
			t.Errorf("%s is reviewed", d.Real)
		}
	}
	if left := content(t, l.store.path); len(left) != 0 {
		t.Errorf("left is %v", left)
	}
	// A forged record leads nowhere else.
	for _, name := range []string{"..", ".", "a/b", "/etc/passwd"} {
		_, err := l.startFile("f")
		l.must(err)
		l.review.Roots[0].File = []byte(name)
		l.must(l.review.save())
		l.review.Close()
		if _, err := l.store.Find(l.review.ID); err == nil {
			t.Errorf("a record with the file %q is taken", name)
		}
	}
}

// TestFileKilled: a keep that was killed goes on.
func TestFileKilled(t *testing.T) {
	for n := 0; ; n++ {
		l := newLab(t, "f=old")
		copied, err := l.startFile("f")
		l.must(err)
		l.must(os.WriteFile(copied, []byte("new"), 0o644))
		left := n
		l.review.fault = func(string) {
			if left--; left < 0 {
				panic(errKilled)
			}
		}
		killed := l.killed(func() { l.keep(false) })
		if got := content(t, l.lower); len(got) != 1 || got[0] != "f=old" && got[0] != "f=new" {
			t.Errorf("killed before change %d: %v", n, got)
		}
		l.again()
		if x := l.keep(false); !x.OK() || x.Left {
			t.Errorf("killed before change %d, and then %+v", n, x)
		}
		l.host("f=new")
		if !killed {
			return
		}
	}
}

// TestObeyed: what other programs run or obey is marked, and a new directory of that kind
// once.
func TestObeyed(t *testing.T) {
	l := newLab(t, "HEAD=1", "bare/objects/x=1", ".envrc=old", "hooks/x=1")
	l.start()
	l.fill(l.upper, ".envrc=new", "sub/.vscode/tasks.json=1", "sub/.vscode/a/b=1", "sub/plain=1", "bare/HEAD=1",
		"bare/refs/x=1", "Makefile=1", "HEAD=2", "hooks/x=WHITEOUT")
	l.review.Obeyed = func(_ *Root, rel string, dir bool) bool {
		return rel == ".envrc" || dir && strings.HasSuffix(rel, ".vscode") || strings.Contains(rel, ".vscode/") ||
			rel == "hooks/x"
	}
	var marked []string
	count := Count{}
	l.must(l.review.Changes(func(c *Change) error {
		count.Add(c)
		if c.Obeyed {
			marked = append(marked, c.Path)
		}
		if strings.Contains(c.Line(), "OBEYED: other programs run or obey it") != c.Obeyed {
			t.Error(c.Line())
		}
		return nil
	}))
	if want := []string{".envrc", "bare/HEAD", "sub/.vscode"}; !slices.Equal(marked, want) {
		t.Errorf("marked are %q, want %q", marked, want)
	}
	if !strings.HasSuffix(count.String(), "; 3 that other programs run or obey") {
		t.Error(count.String())
	}
}
