package review

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestKinds(t *testing.T) {
	l := newLab(t, "same=1", "edit=old", "gone=x", "mode=m", "dir/a=1", "dir/b=2", "rm/x=1", "rm/y/z=2", "file=f", "d/e=1",
		"link=->a", "opaque/keep=1", "opaque/sub/deep=2", "opaque/lost=3")
	for _, name := range []string{"fifo", "pipe"} {
		l.must(unix.Mkfifo(filepath.Join(l.lower, name), 0o644))
	}
	l.start()
	for name, mode := range map[string]uint32{"fifo": 0o600, "pipe": 0o644} {
		l.must(unix.Mkfifo(filepath.Join(l.upper, name), mode))
		st, err := os.Stat(filepath.Join(l.lower, name))
		l.must(err)
		l.must(os.Chtimes(filepath.Join(l.upper, name), st.ModTime(), st.ModTime()))
	}
	l.fill(l.upper, "edit=new!", "gone=WHITEOUT", "mode=m", "dir/a=changed", "dir/new=n", "rm=WHITEOUT", "file/in=1",
		"d=now a file", "link=->b", "added/deep/er=1", "opaque/keep=1!", "opaque/sub/other=4", "opaque/fresh=5")
	l.must(os.Chmod(filepath.Join(l.upper, "mode"), 0o600))
	l.attr("opaque", xattrOpaque, "y")
	l.want("modified d", "modified edit", "mode fifo", "deleted gone", "modified link", "mode mode", "deleted rm",
		"added added", "added added/deep", "added added/deep/er", "modified dir/a", "added dir/new",
		"modified file", "added file/in", "added opaque/fresh", "modified opaque/keep", "deleted opaque/lost",
		"deleted opaque/sub/deep", "added opaque/sub/other")
	if x := l.keep(false); !x.OK() || x.Left {
		t.Errorf("%+v", x)
	}
	l.host("added/", "added/deep/", "added/deep/er=1", "d=now a file", "dir/", "dir/a=changed", "dir/b=2", "dir/new=n",
		"edit=new!", "fifo=p--------- 0600", "file/", "file/in=1", "link=->b", "mode=m 0600", "opaque/", "opaque/fresh=5",
		"opaque/keep=1!", "opaque/sub/", "opaque/sub/other=4", "pipe=p---------", "same=1")
	l.want()
}

// TestRenamed: a file that was moved is one change, by overlayfs's note or by what it is.
func TestRenamed(t *testing.T) {
	l := newLab(t, "a=content", "b=other", "c=third", "d=empty")
	l.start()
	l.fill(l.upper, "a=WHITEOUT", "b=WHITEOUT", "c=WHITEOUT", "d=WHITEOUT", "sub/a2=content",
		"b2=changed since", "c2=THIRD")
	h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, filepath.Join(l.lower, "b"), 0)
	if err == nil {
		l.attr("b2", xattrOrigin, "\x00\xfb\x00\x00"+string(rune(h.Type()))+strings.Repeat("\x00", 16)+string(h.Bytes()))
	}
	for from, to := range map[string]string{"a": "sub/a2", "c": "c2"} {
		st, err := os.Stat(filepath.Join(l.lower, from))
		l.must(err)
		l.must(os.Chtimes(filepath.Join(l.upper, to), st.ModTime(), st.ModTime()))
	}
	want := []string{"renamed b2 from b", "deleted c", "added c2", "deleted d", "added sub", "renamed sub/a2 from a"}
	if err != nil { // no handles on this file system
		want = append([]string{"deleted b", "added b2"}, want[1:]...)
	}
	l.want(want...)
	// Both halves are kept, whichever is named.
	l.keep(false, "a")
	l.must(l.review.DiscardPaths(l.selection("b2")))
	l.want("deleted c", "added c2", "deleted d")
	l.host("b=other", "c=third", "d=empty", "sub/", "sub/a2=content")
}

func TestKeepPart(t *testing.T) {
	l := newLab(t, "dir/a=1", "o/one=1", "o/two=2")
	l.start()
	l.fill(l.upper, "dir/a=changed", "n/x/f=1", "n/x/g=2", "n/y=3", "o/three=3")
	l.attr("o", xattrOpaque, "y")
	l.must(os.Chmod(filepath.Join(l.upper, "n/x"), 0o750))
	if x := l.keep(false, "n/x/f", "o/three"); !x.OK() || !x.Left || x.Kept != 4 {
		t.Errorf("%+v", x)
	}
	l.host("dir/", "dir/a=1", "n/", "n/x/ 0750", "n/x/f=1", "o/", "o/one=1", "o/three=3", "o/two=2")
	l.want("modified dir/a", "added n/y", "added n/x/g", "deleted o/one", "deleted o/two")
	l.must(l.review.DiscardPaths(l.selection("n", "o/one")))
	l.want("modified dir/a", "deleted o/two")
	l.keep(false)
	l.host("dir/", "dir/a=changed", "n/", "n/x/ 0750", "n/x/f=1", "o/", "o/one=1", "o/three=3")
}

func TestConflicts(t *testing.T) {
	l := newLab(t, "edited=1", "deleted=1", "tree/deep/f=1", "replaced=1", "fine=1", "moved=1", "both/x=1", "touched=1")
	l.start()
	l.fill(l.upper, "edited=mine", "deleted=WHITEOUT", "tree=WHITEOUT", "replaced/in=1", "fine=mine", "new=mine",
		"moved=mine", "both/n=mine", "touched=mine")
	l.fill(l.lower, "edited=theirs", "deleted=theirs", "tree/deep/f=theirs", "replaced=theirs", "new=theirs",
		"both/n=theirs")
	l.must(os.Chmod(filepath.Join(l.lower, "touched"), 0o600))
	l.must(os.Rename(filepath.Join(l.lower, "moved"), filepath.Join(l.lower, "moved2")))
	l.must(os.Rename(filepath.Join(l.lower, "moved2"), filepath.Join(l.lower, "moved")))
	l.want("deleted deleted !", "modified edited !", "modified fine", "modified moved !", "modified new !",
		"modified touched !", "deleted tree !", "modified both/n !", "modified replaced !", "added replaced/in")
	if x := l.keep(false); len(x.Conflicts) != 8 || x.Kept != 1 || !x.Left {
		t.Errorf("%+v", x)
	}
	l.host("both/", "both/n=theirs", "both/x=1", "deleted=theirs", "edited=theirs", "fine=mine", "moved=1", "new=theirs",
		"replaced=theirs", "touched=1 0600", "tree/", "tree/deep/", "tree/deep/f=theirs")
	if x := l.keep(true); !x.OK() || x.Left {
		t.Errorf("by force: %+v", x)
	}
	l.host("both/", "both/n=mine", "both/x=1", "edited=mine", "fine=mine", "moved=mine", "new=mine", "replaced/",
		"replaced/in=1", "touched=mine")
}

// TestRefused: what never crosses stays in the review, whatever force says.
func TestRefused(t *testing.T) {
	l := newLab(t, "held/hook=1", "held/x=1", "top=1")
	l.start("held/hook")
	l.fill(l.upper, "held/hook=evil", "suid=1", "sgid=1", "redirect/x=1", "meta=1", "plain=1", "sdir/f=1")
	l.must(unix.Chmod(filepath.Join(l.upper, "suid"), 0o4755))
	l.must(unix.Chmod(filepath.Join(l.upper, "sgid"), 0o2755))
	l.must(unix.Chmod(filepath.Join(l.upper, "sdir"), 0o2755)) // an ordinary directory
	l.must(unix.Mkfifo(filepath.Join(l.upper, "fifo"), 0o644))
	l.attr("redirect", xattrRedirect, "/etc")
	l.attr("meta", xattrMetacopy, "")
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	l.must(err)
	defer unix.Close(s)
	l.must(unix.Bind(s, &unix.SockaddrUnix{Name: filepath.Join(l.upper, "sock")}))
	if os.Geteuid() == 0 {
		l.must(unix.Mknod(filepath.Join(l.upper, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		l.must(unix.Mknod(filepath.Join(l.upper, "disk"), unix.S_IFBLK|0o666, int(unix.Mkdev(253, 0))))
	}
	for range 2 {
		x := l.keep(true)
		for _, c := range x.Refused {
			if c.Refused == "" {
				t.Errorf("%+v is refused for no reason", c)
			}
		}
		if len(x.Refused) < 5 || !x.Left {
			t.Errorf("refused %d, %+v", len(x.Refused), x)
		}
		l.host("fifo=p---------", "held/", "held/hook=1", "held/x=1", "plain=1", "sdir/", "sdir/f=1", "top=1")
	}
	var st unix.Stat_t
	l.must(unix.Stat(filepath.Join(l.lower, "sdir"), &st))
	if st.Mode&0o7777 != 0o2755 {
		t.Errorf("sdir has the mode %04o", st.Mode&0o7777)
	}
}

// TestHeld: neither deleting nor replacing a directory over what is guarded is kept.
func TestHeld(t *testing.T) {
	for _, upper := range []string{"a=WHITEOUT", "a=file", "a/b=WHITEOUT", "a/b=file", "a/b/c=WHITEOUT", "a/b/c/d=1",
		"a/b/c=->/etc"} {
		l := newLab(t, "a/b/c=guarded")
		l.start("a/b/c")
		l.fill(l.upper, upper)
		l.keep(true)
		l.host("a/", "a/b/", "a/b/c=guarded")
	}
	l := newLab(t, "a/b/c=guarded", "a/b/free=1")
	l.start("a/b/c")
	l.fill(l.upper, "a/b/new=1")
	l.attr("a/b", xattrOpaque, "y")
	l.keep(true)
	l.host("a/", "a/b/", "a/b/c=guarded", "a/b/new=1")
}

// TestLinks: a link is a file, on both sides, and leads nowhere.
func TestLinks(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "f"), []byte("safe"), 0o644); err != nil {
		t.Fatal(err)
	}
	l := newLab(t, "dir/f=1", "f=1", "host=->"+outside, "in=->"+outside+"/f")
	l.start()
	// Where the host has a link, the program has a directory or a file, and the reverse.
	l.fill(l.upper, "host/f=evil", "host/new=evil", "in=evil", "dir=->"+outside, "f=->"+outside+"/f", "up=->../../..")
	l.keep(true)
	l.host("dir=->"+outside, "f=->"+outside+"/f", "host/", "host/f=evil", "host/new=evil", "in=evil", "up=->../../..")
	if got := content(t, outside); !slices.Equal(got, []string{"f=safe"}) {
		t.Errorf("outside there is %v", got)
	}
}

// TestSwapped: the host's directory becomes a link, or another directory, between the scan
// and keeping.
func TestSwapped(t *testing.T) {
	outside := t.TempDir()
	l := newLab(t, "dir/f=1")
	l.start()
	l.fill(l.upper, "dir/f=evil", "dir/new=evil", "made/x=evil")
	l.review.fault = func(what string) {
		if what == "rename" || what == "place" {
			for _, name := range []string{"dir", "made"} {
				if err := os.Rename(filepath.Join(l.lower, name), filepath.Join(l.lower, name+"-")); err == nil {
					l.must(os.Symlink(outside, filepath.Join(l.lower, name)))
				}
			}
		}
	}
	if _, err := l.review.Keep(nil, true); err != nil {
		t.Log(err)
	}
	if got := content(t, outside); len(got) != 0 {
		t.Errorf("outside there is %v", got)
	}
}

func TestRootReplaced(t *testing.T) {
	l := newLab(t, "f=1")
	l.start()
	l.fill(l.upper, "f=2")
	l.must(os.Rename(l.lower, l.lower+"-"))
	for _, make := range []func() error{
		func() error { return os.Mkdir(l.lower, 0o755) },
		func() error { return os.Symlink(l.lower+"-", l.lower) },
	} {
		l.must(make())
		if x, err := l.review.Keep(nil, true); err == nil {
			t.Errorf("kept %+v in another directory", x)
		}
		l.must(os.Remove(l.lower))
	}
	l.must(os.Rename(l.lower+"-", l.lower))
	l.keep(false)
	l.host("f=2")
}

func TestHardLinks(t *testing.T) {
	l := newLab(t, "a=1")
	l.must(os.Link(filepath.Join(l.lower, "a"), filepath.Join(l.lower, "b")))
	l.must(os.Link(filepath.Join(l.lower, "a"), filepath.Join(l.lower, "c")))
	l.start()
	l.fill(l.upper, "a=new", "b=WHITEOUT", "c=mine", "x=linked")
	l.must(os.Link(filepath.Join(l.upper, "x"), filepath.Join(l.upper, "y")))
	// What keeping does to the one name is no change of the host's to the other.
	l.keep(false, "a")
	l.want("deleted b", "modified c", "added x", "added y")
	if x := l.keep(false); !x.OK() {
		t.Errorf("%+v", x)
	}
	l.host("a=new", "c=mine", "x=linked", "y=linked")
	var x, y unix.Stat_t
	l.must(unix.Stat(filepath.Join(l.lower, "x"), &x))
	l.must(unix.Stat(filepath.Join(l.lower, "y"), &y))
	if x.Ino != y.Ino {
		t.Error("x and y are two files")
	}
}

// TestHiddenEdit: the same size and times hide no change.
func TestHiddenEdit(t *testing.T) {
	l := newLab(t, "a=one", "b=one")
	l.start()
	l.fill(l.upper, "a=two", "b=one")
	for _, name := range []string{"a", "b"} {
		st, err := os.Stat(filepath.Join(l.lower, name))
		l.must(err)
		l.must(os.Chtimes(filepath.Join(l.upper, name), st.ModTime(), st.ModTime()))
	}
	l.want("modified a")
	if x := l.keep(false); x.Left || x.Kept != 1 {
		t.Errorf("%+v", x)
	}
}

func TestWhiteoutByAttribute(t *testing.T) {
	l := newLab(t, "d/a=1", "d/b=2")
	l.start()
	l.fill(l.upper, "d/a=")
	l.attr("d/a", xattrWhiteout, "")
	l.want("modified d/a") // without the directory's word it is a file
	l.attr("d", xattrOpaque, "x")
	l.want("deleted d/a")
	l.keep(false)
	l.host("d/", "d/b=2")
}

func TestStripped(t *testing.T) {
	l := newLab(t, "f=1")
	l.start()
	l.fill(l.upper, "f=2", "d/g=3")
	for _, name := range []string{"f", "d/g"} {
		l.attr(name, xattrOrigin, "x")
		l.attr(name, "user.mine", "kept")
		l.must(os.Chmod(filepath.Join(l.upper, name), 0o444))
	}
	l.attr("d", xattrOpaque, "y")
	l.attr("d", "user.mine", "kept")
	l.keep(false)
	for _, name := range []string{"f", "d/g", "d"} {
		buf := make([]byte, 200)
		n, err := unix.Llistxattr(filepath.Join(l.lower, name), buf)
		got := string(buf[:max(n, 0)])
		if err != nil || strings.Contains(got, overlayPrefix) || !strings.Contains(got, "user.mine") {
			t.Errorf("%s has the attributes %q, %v", name, got, err)
		}
	}
	l.host("d/", "d/g=3 0444", "f=2 0444")
}

// TestUnreadable: a directory that its owner may not read hides nothing.
func TestUnreadable(t *testing.T) {
	l := newLab(t)
	l.start()
	l.fill(l.upper, "d/e/f=1")
	l.must(os.Chmod(filepath.Join(l.upper, "d/e"), 0))
	l.must(os.Chmod(filepath.Join(l.upper, "d"), 0o300))
	l.want("added d", "added d/e", "added d/e/f")
	l.keep(false)
	for name, mode := range map[string]os.FileMode{"d": 0o300, "d/e": 0} {
		l.must(os.Chmod(l.lower, 0o755))
		if st, err := os.Stat(filepath.Join(l.lower, name)); err != nil {
			t.Error(err)
		} else if st.Mode().Perm() != mode {
			t.Errorf("%s has the mode %v", name, st.Mode())
		}
	}
	l.must(os.Chmod(filepath.Join(l.lower, "d"), 0o700))
	l.must(os.Chmod(filepath.Join(l.lower, "d/e"), 0o700))
}

// TestDirectoryTimes: a directory has the times that the program left it.
func TestDirectoryTimes(t *testing.T) {
	l := newLab(t)
	l.start()
	l.fill(l.upper, "d/e/f=1", "d/g=1")
	want := map[string]int64{"d": 1000, "d/e": 2000, "d/e/f": 3000}
	for _, name := range []string{"d/e/f", "d/e", "d"} {
		at := unix.NsecToTimespec(want[name] * 1e9)
		l.must(unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(l.upper, name), []unix.Timespec{at, at}, 0))
	}
	l.keep(false)
	for name, sec := range want {
		st, err := os.Stat(filepath.Join(l.lower, name))
		l.must(err)
		if st.ModTime().Unix() != sec {
			t.Errorf("%s is of %v", name, st.ModTime())
		}
	}
}

func TestDiscard(t *testing.T) {
	l := newLab(t, "f=1")
	l.start()
	// Deeper than any path is long, and closed.
	l.fill(l.upper, "f=2", "gone=WHITEOUT")
	deep, err := unix.Open(l.upper, unix.O_PATH, 0)
	l.must(err)
	name := strings.Repeat("d", 200)
	for range 60 {
		l.must(unix.Mkdirat(deep, name, 0o700))
		next, err := unix.Openat(deep, name, unix.O_PATH, 0)
		l.must(err)
		unix.Close(deep)
		deep = next
	}
	l.must(unix.Chmod(byFDItself(deep), 0))
	unix.Close(deep)
	refused := 0
	l.must(l.review.Changes(func(c *Change) error {
		if c.Refused != "" {
			refused++
		}
		return nil
	}))
	if refused != 1 {
		t.Errorf("%d changes are refused, want the one whose path is too long", refused)
	}
	l.must(l.review.Discard())
	l.host("f=1")
	if left := content(t, l.store.path); len(left) != 0 {
		t.Errorf("left: %v", left[:min(len(left), 3)])
	}
}

func TestSelect(t *testing.T) {
	l := newLab(t, "f=1")
	l.start()
	for name, want := range map[string]string{"": "", "/f": "f", "/d/e": "d/e"} {
		if s, err := l.review.Select(l.lower + name); err != nil || string(s.Path) != want {
			t.Errorf("%s: %q, %v", name, s.Path, err)
		}
	}
	for _, name := range []string{"/etc/passwd", l.lower + "x", "/"} {
		if s, err := l.review.Select(name); err == nil {
			t.Errorf("%s: %q", name, s.Path)
		}
	}
}
