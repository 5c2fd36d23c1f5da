package sys

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestOpen: files of the kinds that are asked for are opened, all others are
// refused without waiting for anybody.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket)
	for _, err := range []error{
		unix.Mkfifo(at("fifo"), 0o600), os.Mkdir(at("dir"), 0o700), os.Symlink("file", at("link")), os.Symlink("fifo",
			at("tofifo")),
		unix.Bind(socket, &unix.SockaddrUnix{Name: at("socket")}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		flags int
		want  error
	}{
		{"file", 0, nil}, {"file", unix.O_NOFOLLOW, nil}, {"link", 0, nil}, {"link", unix.O_NOFOLLOW, unix.ELOOP},
		{"fifo", 0, ErrKind}, {"fifo", unix.O_NOFOLLOW, ErrKind}, {"tofifo", 0, ErrKind}, {"tofifo", unix.O_NOFOLLOW,
			unix.ELOOP},
		{"dir", 0, ErrKind}, {"socket", 0, ErrKind}, {"none", 0, unix.ENOENT}, {"file/x", 0, unix.ENOTDIR},
		{"/dev/null", 0, ErrKind},
	} {
		name := c.name
		if !filepath.IsAbs(name) {
			name = at(name)
		}
		type answer struct {
			fd  int
			err error
		}
		done := make(chan answer, 1)
		go func() {
			fd, err := OpenRegular(unix.AT_FDCWD, name, c.flags)
			done <- answer{fd, err}
		}()
		select {
		case got := <-done:
			if !errors.Is(got.err, c.want) || (got.err == nil) != (got.fd >= 0) {
				t.Errorf("%s, flags %#x: %d, %v, want %v", c.name, c.flags, got.fd, got.err, c.want)
			}
			if got.err == nil {
				unix.Close(got.fd)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: still waiting", c.name)
		}
	}
	fd, err := Open(unix.AT_FDCWD, "/dev/null", unix.O_WRONLY, unix.S_IFREG, unix.S_IFCHR)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if n, err := unix.Write(fd, []byte("x")); n != 1 || err != nil {
		t.Errorf("/dev/null: %d, %v", n, err)
	}
	if s, err := ReadRegular(at("link")); s != "content" || err != nil {
		t.Errorf("link: %q, %v", s, err)
	}
	if _, err := ReadRegular(at("fifo")); !errors.Is(err, ErrKind) {
		t.Errorf("fifo: %v", err)
	}
}
