package review

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMeanwhile: what has changed on the host since the start is a conflict, whatever it
// is, and not overwritten; what has not is none.
func TestMeanwhile(t *testing.T) {
	rename := func(from, to string) func(*lab) {
		return func(l *lab) { l.must(os.Rename(filepath.Join(l.lower, from), filepath.Join(l.lower, to))) }
	}
	remove := func(name string) func(*lab) {
		return func(l *lab) { l.must(os.RemoveAll(filepath.Join(l.lower, name))) }
	}
	write := func(files ...string) func(*lab) { return func(l *lab) { l.fill(l.lower, files...) } }
	chmod := func(name string, mode uint32) func(*lab) {
		return func(l *lab) { l.must(unix.Chmod(filepath.Join(l.lower, name), mode)) }
	}
	attr := func(name string) func(*lab) {
		return func(l *lab) { l.must(unix.Lsetxattr(filepath.Join(l.lower, name), "user.theirs", []byte("1"), 0)) }
	}
	mode := func(name string) func(*lab) { // the program's
		return func(l *lab) { l.must(unix.Chmod(filepath.Join(l.upper, name), 0o700)) }
	}
	all := func(list ...func(*lab)) func(*lab) {
		return func(l *lab) {
			for _, f := range list {
				f(l)
			}
		}
	}
	nothing := func(*lab) {}
	for name, c := range map[string]struct {
		before, program []string
		more            func(*lab) // the program's
		host            func(*lab)
		want            []string
		forced          []string // what the host has by force
	}{
		"removed": {[]string{"f=1"}, []string{"f=mine"}, nothing, remove("f"),
			[]string{"added f !"}, []string{"f=mine"}},
		"removed, and its directory was written to besides": {[]string{"f=1"}, []string{"f=mine", "n=mine"}, nothing,
			all(remove("f"), write("x=theirs")), []string{"added f !", "added n"}, []string{"f=mine", "n=mine", "x=theirs"}},
		"a new file in a directory that the host has written to": {[]string{"d/f=1"}, []string{"d/n=mine"}, nothing,
			all(write("d/x=theirs"), remove("d/f")), []string{"added d/n"}, []string{"d/", "d/n=mine", "d/x=theirs"}},
		"renamed": {[]string{"f=1"}, []string{"f=mine"}, nothing, rename("f", "g"),
			[]string{"added f !"}, []string{"f=mine", "g=1"}},
		"renamed, and another one in its place": {[]string{"f=1", "h=h"}, []string{"f=mine"}, nothing,
			all(rename("f", "g"), rename("h", "f")), []string{"modified f !"}, []string{"f=mine", "g=1"}},
		"changed and restored": {[]string{"f=1"}, []string{"f=mine"}, nothing, all(write("f=x"), write("f=1")),
			[]string{"modified f !"}, []string{"f=mine"}},
		"removed and made again": {[]string{"f=1"}, []string{"f=mine"}, nothing, all(remove("f"), write("f=1")),
			[]string{"modified f !"}, []string{"f=mine"}},
		"the same change on both sides": {[]string{"f=1"}, []string{"f=both"}, nothing,
			all(write("f=both"), func(l *lab) { // and the same times
				at := []unix.Timespec{time1000, time1000}
				for _, dir := range []string{l.lower, l.upper} {
					l.must(unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(dir, "f"), at, 0))
				}
			}), nil, []string{"f=both"}},
		"an attribute": {[]string{"f=1"}, []string{"f=mine"}, nothing, attr("f"),
			[]string{"modified f !"}, []string{"f=mine"}},
		"a link that leads elsewhere": {[]string{"l=->a"}, []string{"l=->b"}, nothing,
			all(remove("l"), write("l=->c")), []string{"modified l !"}, []string{"l=->b"}},
		"a link removed": {[]string{"l=->a"}, []string{"l=->b"}, nothing, remove("l"),
			[]string{"added l !"}, []string{"l=->b"}},
		"a file became a directory": {[]string{"f=1"}, []string{"f=mine"}, nothing, all(remove("f"), write("f/x=theirs")),
			[]string{"modified f !"}, []string{"f=mine"}},
		"its directory removed": {[]string{"d/f=1"}, []string{"d/f=mine", "d/n=mine"}, nothing, remove("d"),
			[]string{"added d !", "added d/f !", "added d/n"}, []string{"d/", "d/f=mine", "d/n=mine"}},
		"the directory over it removed": {[]string{"a/b/c/f=1"}, []string{"a/b/c/f=mine"}, nothing, remove("a/b"),
			[]string{"added a/b !", "added a/b/c !", "added a/b/c/f !"},
			[]string{"a/", "a/b/", "a/b/c/", "a/b/c/f=mine"}},
		"its directory renamed": {[]string{"d/f=1"}, []string{"d/f=mine"}, nothing, rename("d", "e"),
			[]string{"added d !", "added d/f !"}, []string{"d/", "d/f=mine", "e/", "e/f=1"}},
		"its directory renamed there and back": {[]string{"d/f=1"}, []string{"d/f=mine"}, nothing,
			all(rename("d", "e"), rename("e", "d")), []string{"modified d/f"}, []string{"d/", "d/f=mine"}},
		"its directory became a file": {[]string{"d/f=1"}, []string{"d/f=mine"}, nothing, all(remove("d"), write("d=theirs")),
			[]string{"modified d !", "added d/f !"}, []string{"d/", "d/f=mine"}},
		"its directory became a link": {[]string{"d/f=1", "e/f=2"}, []string{"d/f=mine"}, nothing,
			all(remove("d"), write("d=->e")), []string{"modified d !", "added d/f !"},
			[]string{"d/", "d/f=mine", "e/", "e/f=2"}},
		"another directory in its place, with old files": {[]string{"d/f=1", "e/f=2"}, []string{"d/f=mine"}, nothing,
			all(rename("d", "g"), rename("e", "d")), []string{"modified d/f !"},
			[]string{"d/", "d/f=mine", "g/", "g/f=1"}},
		"another directory over it, with old files": {[]string{"a/d/f=1", "b/d/f=2"}, []string{"a/d/f=WHITEOUT"}, nothing,
			all(rename("a", "c"), rename("b", "a")), []string{"deleted a/d/f !"},
			[]string{"a/", "a/d/", "c/", "c/d/", "c/d/f=1"}},
		"deleted, and renamed by the host": {[]string{"f=1"}, []string{"f=WHITEOUT"}, nothing, rename("f", "g"),
			nil, []string{"g=1"}},
		"deleted, and replaced by the host": {[]string{"f=1"}, []string{"f=WHITEOUT"}, nothing,
			all(remove("f"), write("f/x=theirs")), []string{"deleted f !"}, nil},
		"a deleted directory in which a file is new": {[]string{"d/e/f=1"}, []string{"d=WHITEOUT"}, nothing,
			write("d/e/x=theirs"), []string{"deleted d !"}, nil},
		"a deleted directory in which one file is gone": {[]string{"d/e/f=1", "d/e/g=1"}, []string{"d=WHITEOUT"}, nothing,
			remove("d/e/g"), []string{"deleted d !"}, nil},
		"a directory's mode, on both sides": {[]string{"d/f=1"}, []string{"d/"}, mode("d"), chmod("d", 0o750),
			[]string{"mode d !"}, []string{"d/ 0700", "d/f=1"}},
		"a directory's mode, and then a new file in it": {[]string{"d/f=1"}, []string{"d/"}, mode("d"),
			all(chmod("d", 0o750), write("d/x=1")), []string{"mode d !"}, []string{"d/ 0700", "d/f=1", "d/x=1"}},
		"a directory's attribute, and then a new file in it": {[]string{"d/f=1"}, []string{"d/"}, mode("d"),
			all(attr("d"), write("d/x=1")), []string{"mode d !"}, []string{"d/ 0700", "d/f=1", "d/x=1"}},
		"no more than a new file in a directory with a new mode": {[]string{"d/f=1"}, []string{"d/"}, mode("d"),
			write("d/x=1"), []string{"mode d"}, []string{"d/ 0700", "d/f=1", "d/x=1"}},
		"the mode of the top": {nil, []string{"n=1"}, mode(""), all(chmod("", 0o750), write("x=1")),
			[]string{"mode  !", "added n"}, []string{"n=1", "x=1"}},
		"a new file in a directory that is not there": {nil, []string{"d/e/f=1"}, nothing, write("d/x=theirs"),
			[]string{"added d/e", "added d/e/f"}, []string{"d/", "d/e/", "d/e/f=1", "d/x=theirs"}},
		"many directories": {[]string{"a/b/c/d/f=1", "a/x/f=1"}, []string{"a/b/c/d/f=mine", "a/b/n=mine"}, nothing,
			all(remove("a/x"), remove("a/b/c/d/f")), []string{"added a/b/n", "added a/b/c/d/f !"},
			[]string{"a/", "a/b/", "a/b/c/", "a/b/c/d/", "a/b/c/d/f=mine", "a/b/n=mine"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, c.before...)
			l.start()
			l.fill(l.upper, c.program...)
			c.more(l)
			c.host(l)
			theirs := content(t, l.lower)
			l.want(c.want...)
			conflicts, free := 0, 0
			for _, s := range c.want {
				if strings.HasSuffix(s, " !") {
					conflicts++
				} else {
					free++
				}
			}
			x := l.keep(false)
			if l.again(); x.Left != (conflicts > 0) || (conflicts > 0) != (len(x.Conflicts) > 0) {
				t.Errorf("%+v", x)
			}
			if got := content(t, l.lower); free == 0 && !slices.Equal(got, theirs) {
				t.Errorf("the host has\n%s\nand had\n%s", strings.Join(got, "\n"), strings.Join(theirs, "\n"))
			}
			l.keep(true)
			l.host(c.forced...)
			l.want()
		})
	}
}

// TestMeanwhileUnknown: where there was no room to note what was there, or it could not be
// read, what may have been removed counts as a conflict, and nothing else.
func TestMeanwhileUnknown(t *testing.T) {
	l := newLab(t, "d/f=1", "d/g=1", "e/f=1", "quiet/f=1")
	l.start()
	l.fill(l.upper, "d/f=mine", "d/g=mine", "e/n=mine", "quiet/n=mine", "top=mine")
	l.must(os.Remove(filepath.Join(l.review.store.path, l.review.ID, beforeName+"0")))
	l.must(os.Remove(filepath.Join(l.lower, "d/f")))
	l.want("added top", "added d/f !", "modified d/g !", "added e/n", "added quiet/n")
	if x := l.keep(false); len(x.Conflicts) != 2 || x.Kept != 3 {
		t.Errorf("%+v", x)
	}
	l.again()
	l.want("added d/f !", "modified d/g !")
	l.keep(true)
	l.want()
}

// TestTwoReviews: two programs have changed the same tree. The one that is kept first has
// changed the host for the other.
func TestTwoReviews(t *testing.T) {
	l := newLab(t, "both=1", "gone=1", "d/f=1", "t/f=1", "s=1", "r=1")
	l.start()
	first, firstUpper := l.review, l.upper
	l.start()
	second, secondUpper := l.review, l.upper
	l.fill(firstUpper, "both=first", "gone=WHITEOUT", "d=WHITEOUT", "t/n=first", "n/x=first", "n/same=first", "s/in=first",
		"r=WHITEOUT", "r2=1")
	l.fill(secondUpper, "both=second", "gone=second", "d/f=second", "t/n=second", "t/m=second", "n/x=second", "n/y=second",
		"s=second", "free=second")
	for _, dir := range []string{firstUpper, secondUpper} {
		l.must(unix.Lsetxattr(filepath.Join(dir, "n"), xattrOpaque, []byte("y"), 0))
	}
	l.review = first
	if x := l.keep(false); !x.OK() || x.Left {
		t.Errorf("%+v", x)
	}
	one := content(t, l.lower)
	l.review = second
	l.want("modified both !", "added free", "added gone !", "modified s !", "added d !", "added d/f !",
		"modified n/x !", "added n/y", "added t/m", "modified t/n !")
	if x := l.keep(false); len(x.Conflicts) != 6 || !x.Left {
		t.Errorf("%+v", x)
	}
	got := content(t, l.lower)
	for _, s := range one {
		if !slices.Contains(got, s) {
			t.Errorf("the second review has changed %s of the first", s)
		}
	}
	l.keep(true)
	l.host("both=second", "d/", "d/f=second", "free=second", "gone=second", "n/", "n/same=first", "n/x=second",
		"n/y=second", "r2=1", "s=second", "t/", "t/f=1", "t/m=second", "t/n=second")
}
