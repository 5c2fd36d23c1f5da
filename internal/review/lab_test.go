package review

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// lab is a review of one directory of the host, whose upper directory a test fills as
// overlayfs would.
type lab struct {
	*testing.T
	store        *Store
	review       *Review
	lower, upper string
}

// newLab makes the host's files: names that end in a slash are directories, and what
// stands behind = is a file's content.
func newLab(t *testing.T, files ...string) *lab {
	t.Helper()
	state := t.TempDir()
	if err := os.Chmod(state, 0o700); err != nil {
		t.Fatal(err)
	}
	l := &lab{T: t, lower: filepath.Join(t.TempDir(), "project")}
	l.must(os.Mkdir(l.lower, 0o755))
	l.fill(l.lower, files...)
	fd, err := unix.Open(state, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	l.must(err)
	defer unix.Close(fd)
	l.store, err = Open(fd, true)
	l.must(err)
	t.Cleanup(l.store.Close)
	return l
}

// start begins the review.
func (l *lab) start(held ...string) {
	l.Helper()
	var st unix.Stat_t
	l.must(unix.Stat(l.lower, &st))
	r, layers, err := l.store.New(Record{Policy: "project"}, []string{"true"}, []Dir{
		{Path: l.lower, Real: l.lower, Dev: st.Dev, Ino: st.Ino, Held: held},
	})
	l.must(err)
	l.review, l.upper = r, layers[l.lower][0]
	l.Cleanup(func() { l.review.Close() })
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *lab) fill(dir string, files ...string) {
	l.Helper()
	for _, f := range files {
		name, content, _ := strings.Cut(f, "=")
		at := filepath.Join(dir, name)
		l.must(os.MkdirAll(filepath.Dir(at), 0o755))
		switch to, isLink := strings.CutPrefix(content, "->"); {
		case strings.HasSuffix(name, "/"):
			l.must(os.MkdirAll(at, 0o755))
		case content == "WHITEOUT":
			l.must(unix.Mknod(at, unix.S_IFCHR, 0))
		case isLink:
			l.must(os.Symlink(to, at))
		default:
			l.must(os.WriteFile(at, []byte(content), 0o644))
		}
	}
}

func (l *lab) attr(name, attr, value string) {
	l.Helper()
	l.must(unix.Lsetxattr(filepath.Join(l.upper, name), attr, []byte(value), 0))
}

// changes are all changes in short.
func (l *lab) changes() (list []string) {
	l.Helper()
	l.must(l.review.Changes(func(c *Change) error {
		s := c.Kind + " " + c.Path
		if c.From != "" {
			s += " from " + c.From
		}
		if c.Conflict != "" {
			s += " !"
		}
		if c.Refused != "" {
			s += " refused"
		}
		list = append(list, s)
		return nil
	}))
	return list
}

func (l *lab) want(want ...string) {
	l.Helper()
	if got := l.changes(); !slices.Equal(got, want) {
		l.Errorf("changes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// content is everything below a directory, as fill takes it, with modes.
func content(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || rel == "." {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		s := rel
		switch {
		case d.IsDir():
			s += "/"
		case d.Type()&os.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			s += "=->" + to
		case d.Type().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			s += "=" + string(data)
		default:
			s += "=" + d.Type().String()
		}
		if m := info.Mode().Perm(); m != 0o644 && m != 0o755 && m != 0o777 {
			s += fmt.Sprintf(" %04o", m)
		}
		list = append(list, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func (l *lab) host(want ...string) {
	l.Helper()
	if got := content(l.T, l.lower); !slices.Equal(got, want) {
		l.Errorf("the host has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (l *lab) keep(force bool, paths ...string) *Result {
	l.Helper()
	x, err := l.review.Keep(l.selection(paths...), force)
	l.must(err)
	for _, err := range x.Failed {
		l.Error(err)
	}
	return x
}

func (l *lab) selection(paths ...string) (list []Selected) {
	l.Helper()
	for _, p := range paths {
		s, err := l.review.Select(filepath.Join(l.lower, p))
		l.must(err)
		list = append(list, s)
	}
	return list
}

// TestMain has the tests work on a tmpfs, where a sync takes no time, if it has what a review
// needs (Linux 6.6).
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("/dev/shm", "sbx-review-test-")
	if err == nil && unix.Setxattr(dir, "user.sbx", []byte("1"), 0) == nil {
		err = os.Setenv("TMPDIR", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "not on a tmpfs:", err)
	}
	code := m.Run()
	if dir != "" {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
