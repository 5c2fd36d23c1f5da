package setid

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mode is a file's, or fails the test.
func mode(t *testing.T, name string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

func mustChmod(t *testing.T, name string, m fs.FileMode) {
	t.Helper()
	if err := os.Chmod(name, m); err != nil {
		t.Fatal(err)
	}
}

func made(t *testing.T, name string, m fs.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	mustChmod(t, name, m)
	return name
}

func swept(t *testing.T, dir string, since time.Time) []string {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return Sweep([]Dir{{dir, fd}}, since)
}

// TestSweep: what is new loses the bits, whatever directory it is in; what was there
// before, directories and the files that links lead to keep them.
func TestSweep(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	const suid, sgid = fs.ModeSetuid | 0o755, fs.ModeSetgid | 0o755
	old := made(t, filepath.Join(dir, "sub", "old"), suid)
	linked := made(t, filepath.Join(elsewhere, "linked"), suid)
	time.Sleep(2 * tick)
	since := time.Now()
	time.Sleep(2 * tick)
	shown := []string{
		made(t, filepath.Join(dir, "new"), suid), made(t, filepath.Join(dir, "sub", "new"), sgid),
		made(t, filepath.Join(dir, "a", "b", "c", "new"), suid|fs.ModeSetgid),
	}
	locked := made(t, filepath.Join(dir, "locked", "in", "new"), suid)
	if err := os.Symlink(linked, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(dir, "linkdir")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "group"), 0o755); err != nil {
		t.Fatal(err)
	}
	mustChmod(t, filepath.Join(dir, "group"), sgid)
	mustChmod(t, filepath.Dir(locked), 0o005)
	mustChmod(t, filepath.Dir(filepath.Dir(locked)), fs.ModeSticky|0o301)
	notes := swept(t, dir, since)
	if len(notes) != 1 || !strings.HasPrefix(notes[0], "took the set-id bits from 4 files that the target has made: ") {
		t.Errorf("notes %q", notes)
	}
	if m := mode(t, filepath.Dir(filepath.Dir(locked))); m.Perm() != 0o301 || m&fs.ModeSticky == 0 {
		t.Errorf("the unreadable directory has %v", m)
	}
	mustChmod(t, filepath.Dir(filepath.Dir(locked)), 0o755)
	if m := mode(t, filepath.Dir(locked)); m.Perm() != 0o005 {
		t.Errorf("the inner one has %v", m)
	}
	mustChmod(t, filepath.Dir(locked), 0o755)
	for _, name := range append(shown, locked) {
		if m := mode(t, name); m != 0o755 {
			t.Errorf("%s is left with %v", name, m)
		}
		if name != locked && !strings.Contains(notes[0], name) {
			t.Errorf("%s is not named: %s", name, notes[0])
		}
	}
	for _, name := range []string{old, linked} {
		if m := mode(t, name); m&fs.ModeSetuid == 0 {
			t.Errorf("%s was there before and has %v", name, m)
		}
	}
	if m := mode(t, filepath.Join(dir, "group")); m&fs.ModeSetgid == 0 {
		t.Error("the directory has lost its set-group-ID bit")
	}
	if notes := swept(t, dir, since); len(notes) > 0 {
		t.Errorf("the second time: %q", notes)
	}
}

// TestSweepDeep goes through a tree that is deeper than a path can be long, and
// wider than a note can be.
func TestSweepDeep(t *testing.T) {
	dir := t.TempDir()
	since := time.Now()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("d", 200)
	for range 600 { // 120,000 bytes
		if err := unix.Mkdirat(fd, name, 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(fd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		unix.Close(fd)
		if err != nil {
			t.Fatal(err)
		}
		fd = next
	}
	defer unix.Close(fd)
	for _, file := range []string{"1", "2", "3", "4", "5", "6", "7"} {
		f, err := unix.Openat(fd, file, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o4755)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(f)
	}
	notes := swept(t, dir, since)
	if len(notes) != 1 || !strings.Contains(notes[0], "from 7 files") || !strings.HasSuffix(notes[0], "and 2 more") {
		t.Errorf("notes %.300q", notes)
	}
	var st unix.Stat_t
	if err := unix.Fstatat(fd, "7", &st, 0); err != nil || st.Mode&0o6000 != 0 {
		t.Errorf("the deepest file has mode %o, %v", st.Mode, err)
	}
}

// TestSweepLate: after the time, what was not looked at is named.
func TestSweepLate(t *testing.T) {
	dir := t.TempDir()
	made(t, filepath.Join(dir, "sub", "new"), fs.ModeSetuid|0o755)
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	s := &sweep{user: uint32(os.Geteuid())}
	s.tree(Dir{dir, fd})
	if s.unread != 1 || s.missed[0] != dir || s.count != 0 {
		t.Errorf("%d unread: %q", s.unread, s.missed)
	}
}
