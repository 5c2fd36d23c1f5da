package review

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestNewFails: a review that cannot be made leaves nothing.
func TestNewFails(t *testing.T) {
	l := newLab(t, "f=1", "sub/f=1")
	var st, sub unix.Stat_t
	l.must(unix.Stat(l.lower, &st))
	l.must(unix.Stat(filepath.Join(l.lower, "sub"), &sub))
	good := Dir{Path: l.lower, Real: l.lower, Dev: st.Dev, Ino: st.Ino}
	link := filepath.Join(filepath.Dir(l.lower), "link")
	l.must(os.Symlink(l.lower, link))
	for what, c := range map[string]struct {
		dir  Dir
		want error
	}{
		"another file":   {Dir{Path: "/x", Real: l.lower, Dev: st.Dev, Ino: st.Ino + 1}, unix.ESTALE},
		"a link":         {Dir{Path: "/x", Real: link, Dev: st.Dev, Ino: st.Ino}, unix.ENOTDIR},
		"nothing":        {Dir{Path: "/x", Real: l.lower + "/none", Dev: st.Dev, Ino: st.Ino}, unix.ENOENT},
		"no place":       {Dir{Path: "/proc", Real: "/proc"}, nil},
		"over the store": {Dir{Path: "/x", Real: filepath.Dir(l.store.path)}, nil},
	} {
		if c.dir.Ino == 0 {
			l.must(unix.Stat(c.dir.Real, &st))
			c.dir.Dev, c.dir.Ino = st.Dev, st.Ino
		}
		r, _, err := l.store.New(Record{Policy: "p"}, nil, []Dir{good, c.dir})
		if what == "over the store" && err == nil {
			// It lies in what is written, so the changes are beside that.
			if len(r.Roots[1].Place) == 0 || strings.HasPrefix(string(r.Roots[1].Place), c.dir.Real+"/") {
				t.Errorf("the changes are in %q", r.Roots[1].Place)
			}
			l.must(r.Discard())
			r.Close()
			continue
		}
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
		if left := content(t, l.store.path); len(left) != 0 {
			t.Errorf("%s: left is %v", what, left)
		}
	}
}

// TestUnfit: the file systems that cannot have an upper directory are named.
func TestUnfit(t *testing.T) {
	for magic, want := range map[int64]string{
		0x794c7630: "overlayfs", 0x6969: "NFS", 0x65735546: "FUSE", 0xff534d42: "SMB", 0xfe534d42: "SMB", 0x01021997: "9p",
		0x4d44: "FAT", 0x2011bab0: "exFAT", 0xef53: "", 0x58465342: "", 0x9123683e: "", 0x01021994: "",
	} {
		err := unfitType(magic)
		var refused *Error
		if want == "" && err != nil || want != "" && (!errors.As(err, &refused) || refused.Hint() == "" ||
			!strings.Contains(err.Error(), "its file system is "+want+", which cannot")) {
			t.Errorf("%#x: %v", magic, err)
		}
	}
}

// TestGarbage: what is no review any more goes, and nothing else.
func TestGarbage(t *testing.T) {
	l := newLab(t, "f=1")
	make := func(files ...string) *Review {
		l.start()
		l.fill(l.upper, files...)
		l.review.Close()
		return l.review
	}
	changed, empty, discarded := make("f=2"), make(), make("f=3")
	l.must(os.Mkdir(filepath.Join(l.store.path, newPrefix+"young"), 0o700))
	running := func() *Review { l.start(); return l.review }()
	r, err := l.store.Find(discarded.ID)
	l.must(err)
	l.must(r.note(line{Discard: true}))
	r.Close()
	gone := map[string]string{}
	note := func(id, why string) { gone[id] = why }
	l.must(l.store.Garbage(0, note))
	if len(gone) != 2 || gone[empty.ID] == "" || gone[discarded.ID] == "" {
		t.Errorf("gone are %v", gone)
	}
	if _, err := l.store.Find(changed.ID[:5]); err != nil {
		t.Error(err)
	}
	if _, err := l.store.Find(running.ID); !errors.Is(err, errRunning) {
		t.Errorf("the one that runs: %v", err)
	}
	for _, id := range []string{"", "zz", "..", ".", newPrefix} {
		if r, err := l.store.Find(id); err == nil {
			t.Errorf("%q is review %s", id, r.ID)
		}
	}
}

func TestGarbageOld(t *testing.T) {
	l := newLab(t, "f=1")
	l.start()
	l.fill(l.upper, "f=2")
	l.review.Started = time.Now().Add(-48 * time.Hour)
	l.must(l.review.save())
	l.review.Close()
	count := 0
	l.must(l.store.Garbage(72*time.Hour, func(string, string) { count++ }))
	if count != 0 {
		t.Error("a review of two days is gone after three")
	}
	l.must(l.store.Garbage(24*time.Hour, func(string, string) { count++ }))
	if left := content(t, l.store.path); count != 1 || len(left) != 0 {
		t.Errorf("%d gone, left are %v", count, left)
	}
	l.host("f=1")
}

// TestForgedRecord: a record that names a directory of somebody else's to remove, or none to
// write to, is no review.
func TestForgedRecord(t *testing.T) {
	for _, change := range []func(*Root){
		func(r *Root) { r.Place = []byte("/home/u/.ssh") },
		func(r *Root) { r.Place = []byte("/tmp/" + placePrefix) },
		func(r *Root) { r.Real = nil },
		func(r *Root) { r.Real = []byte("../x") },
		func(r *Root) { r.N = 7 },
	} {
		l := newLab(t, "f=1")
		l.start()
		change(&l.review.Roots[0])
		l.must(l.review.save())
		id := l.review.ID
		l.review.Close()
		if _, err := l.store.Find(id); err == nil {
			t.Errorf("%+v is taken", l.review.Roots[0])
		}
	}
}
