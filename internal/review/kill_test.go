package review

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

var errKilled = errors.New("killed")

// TestKilled kills a keep before each of its changes in turn. Then every file is old or
// new, and the next sbx goes on to the same end.
func TestKilled(t *testing.T) {
	before := []string{"a=old", "b/c=old", "b/d=old", "gone=old", "rm/x=old", "rm/y/z=old", "swap/in=old", "turn=old"}
	files := map[string][]string{
		"a": {"old", "new"}, "b/c": {"old", "new"}, "b/d": {"old"}, "gone": {"old", ""}, "turn": {"old", ""},
		"turn/n": {"", "new"}, "swap/in": {"old", ""}, "n/o/p": {"", "new"}, "n/q": {"", "new"}, "rm/x": {"old", ""},
		"rm/y/z": {"old", ""}, "swap": {"", "new"}, "ro": {"", "new"}, "op/x": {"", "new"},
	}
	want := []string{"a=new", "b/ 0711", "b/c=new", "b/d=old", "n/ 0750", "n/o/", "n/o/p=new", "n/q=new", "op/",
		"op/x=new",
		"ro=new 0444", "swap=new", "turn/", "turn/n=new"}
	for n := 0; ; n++ {
		l := newLab(t, before...)
		l.fill(l.lower, "op/y=old")
		l.start()
		l.fill(l.upper, "a=new", "b/c=new", "gone=WHITEOUT", "rm=WHITEOUT", "swap=new", "turn/n=new", "n/o/p=new",
			"n/q=new", "ro=new", "op/x=new")
		l.attr("ro", xattrOrigin, "x")
		l.attr("op", xattrOpaque, "y")
		l.must(os.Chmod(filepath.Join(l.upper, "ro"), 0o444))
		l.must(os.Chmod(filepath.Join(l.upper, "n"), 0o750))
		l.must(os.Chmod(filepath.Join(l.upper, "b"), 0o711))
		l.attr("b", "user.mine", "1")
		at := time1000
		l.must(unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(l.upper, "n"), []unix.Timespec{at, at}, 0))
		left := n
		l.review.fault = func(string) {
			if left--; left < 0 {
				panic(errKilled)
			}
		}
		killed := l.killed(func() {
			x, err := l.review.Keep(nil, false)
			l.must(err)
			if !x.OK() || x.Left {
				t.Errorf("%d: %+v", n, x)
			}
		})
		for name, may := range files {
			data, err := os.ReadFile(filepath.Join(l.lower, name))
			if err == nil != slices.Contains(may, string(data)) && !slices.Contains(may, "") {
				t.Errorf("killed before change %d: %s is %q, %v", n, name, data, err)
			}
			if err == nil && !slices.Contains(may, string(data)) {
				t.Errorf("killed before change %d: %s is %q", n, name, data)
			}
		}
		for _, name := range []string{"swap", "turn"} { // a directory that becomes a file, and the reverse
			if _, err := os.Lstat(filepath.Join(l.lower, name)); err != nil {
				t.Errorf("killed before change %d: %v", n, err)
			}
		}
		l.again()
		if x := l.keep(false); !x.OK() || x.Left {
			t.Errorf("killed before change %d, and then %+v", n, x)
		}
		l.host(want...)
		if st, err := os.Stat(filepath.Join(l.lower, "n")); err != nil || st.ModTime().Unix() != 1000 {
			t.Errorf("killed before change %d: n is of %v, %v", n, st.ModTime(), err)
		}
		l.want()
		l.must(l.review.Discard())
		if t.Failed() || !killed {
			t.Logf("%d changes", n)
			break
		}
	}
}

var time1000 = unix.NsecToTimespec(1000 * 1e9)

// killed says whether f was ended by a panic.
func (l *lab) killed(f func()) (killed bool) {
	defer func() {
		if e := recover(); e != nil {
			if e != errKilled { //nolint:errorlint // it is that value
				panic(e)
			}
			killed = true
		}
	}()
	f()
	return false
}

// again opens the review as the next sbx does.
func (l *lab) again() {
	l.Helper()
	l.review.Close()
	r, err := l.store.Find(l.review.ID)
	l.must(err)
	l.review = r
}

// TestKilledDiscard: a discard that was killed goes on, and is not mistaken for a review.
func TestKilledDiscard(t *testing.T) {
	for n := 0; ; n++ {
		l := newLab(t, "f=1")
		l.start()
		l.fill(l.upper, "f=2", "d/e=3")
		left := n
		l.review.fault = func(string) {
			if left--; left < 0 {
				panic(errKilled)
			}
		}
		killed := l.killed(func() { l.must(l.review.Discard()) })
		l.review.Close()
		l.host("f=1")
		list, err := l.store.List()
		l.must(err)
		for _, x := range list {
			if x.Err != nil {
				t.Errorf("killed before change %d: %v", n, x.Err)
			}
			if r, err := l.store.Find(x.ID); err == nil {
				if x.Unfinished {
					if _, err := r.Keep(nil, false); err == nil {
						t.Errorf("killed before change %d: kept what was being discarded", n)
					}
				}
				l.must(r.Discard())
				r.Close()
			}
		}
		if !killed {
			return
		}
	}
}
