package child

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// restored has a janitor restore what the file was, and says what it has put
// back and the errno of the first call that failed.
func restored(t *testing.T, m step.Metadata) (done uint8, errno unix.Errno) {
	t.Helper()
	asm := &step.Asm{}
	asm.Restore(m, "/proc/self/fd/"+strconv.Itoa(m.FD), 3)
	tab, err := asm.Link()
	if err != nil {
		t.Fatal(err)
	}
	defer tab.Free()
	st, err := NewStatus()
	if err != nil {
		t.Fatal(err)
	}
	defer st.Free()
	Undo(tab, st, 0)
	return st.Restored(3), unix.Errno(st.Errno)
}

// describe is a file's metadata, with a descriptor to mean it by.
func describe(t *testing.T, path string, attributes ...[2]string) step.Metadata {
	t.Helper()
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return step.Metadata{FD: fd, Dev: st.Dev, Ino: st.Ino, Perm: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid,
		Atime: [2]int64{st.Atim.Sec, st.Atim.Nsec}, Mtime: [2]int64{st.Mtim.Sec, st.Mtim.Nsec},
		Listed: true, Attributes: attributes}
}

// TestRestore: what has changed is put back, and nothing else is touched.
func TestRestore(t *testing.T) {
	attribute := func(path, name string) string {
		b := make([]byte, 100)
		n, err := unix.Getxattr(path, name, b)
		if err != nil {
			return ""
		}
		return string(b[:n])
	}
	for _, c := range []struct {
		name   string
		change func(path string) error
		want   uint8
	}{
		{"nothing", func(string) error { return nil }, 0},
		{"contents", func(p string) error { return os.WriteFile(p, []byte("other"), 0) }, 0},
		{"mode", func(p string) error { return os.Chmod(p, 0o666) }, step.RestoredMode},
		{"attribute changed", func(p string) error { return unix.Setxattr(p, "user.kept", []byte("b"), 0) },
			step.RestoredAttributes},
		{"attribute longer", func(p string) error { return unix.Setxattr(p, "user.kept", []byte("aa"), 0) },
			step.RestoredAttributes},
		{"attribute gone", func(p string) error { return unix.Removexattr(p, "user.kept") }, step.RestoredAttributes},
		{"attribute new", func(p string) error { return unix.Setxattr(p, "user.kep", []byte("x"), 0) },
			step.RestoredAttributes},
		{"past", func(p string) error { return os.Chtimes(p, time.Unix(1, 0), time.Unix(2, 0)) }, step.RestoredTimes},
		{"to come", func(p string) error { in := time.Now().Add(time.Hour); return os.Chtimes(p, in, in) },
			step.RestoredTimes},
		{"several", func(p string) error {
			if err := os.Chmod(p, 0o606); err != nil {
				return err
			}
			return os.Chtimes(p, time.Unix(1, 0), time.Unix(2, 0))
		}, step.RestoredMode | step.RestoredTimes},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, []byte("some"), 0o640); err != nil {
				t.Fatal(err)
			}
			if err := unix.Setxattr(path, "user.kept", []byte("a"), 0); err != nil {
				t.Fatal(err)
			}
			m := describe(t, path, [2]string{"user.kept", "a"})
			if err := c.change(path); err != nil {
				t.Fatal(err)
			}
			var before, after unix.Stat_t
			if err := unix.Stat(path, &before); err != nil {
				t.Fatal(err)
			}
			if done, errno := restored(t, m); done != c.want || errno != 0 {
				t.Errorf("restored %#x with errno %d, want %#x", done, errno, c.want)
			}
			if err := unix.Stat(path, &after); err != nil {
				t.Fatal(err)
			}
			if after.Mode&0o7777 != 0o640 || attribute(path, "user.kept") != "a" || attribute(path, "user.kep") != "" {
				t.Errorf("mode %o, attributes %q and %q", after.Mode, attribute(path, "user.kept"), attribute(path, "user.kep"))
			}
			if now := time.Now().Unix(); after.Mtim.Sec < m.Mtime[0] || after.Mtim.Sec > now ||
				after.Atim.Sec < m.Atime[0] || after.Atim.Sec > now {
				t.Errorf("times %d and %d, were %d and %d", after.Atim.Sec, after.Mtim.Sec, m.Atime[0], m.Mtime[0])
			}
			if c.want == 0 && after.Ctim != before.Ctim {
				t.Error("a file was touched of which nothing had changed")
			}
		})
	}
}

// TestRestoreOther: nothing is done to a file that is not the one described, as
// where the number is another's by now.
func TestRestoreOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	m := describe(t, path)
	m.Ino++
	m.Perm = 0o600
	if done, errno := restored(t, m); done != 0 || errno != unix.EBADF {
		t.Errorf("restored %#x with errno %d, want nothing and EBADF", done, errno)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode() != 0o640 {
		t.Errorf("mode %v (%v)", fi.Mode(), err)
	}
}
