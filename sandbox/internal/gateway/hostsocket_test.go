package gateway

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestListenAt: a name that is free is taken, and one whose socket is dead; nothing else is.
// It is given back unless it is somebody else's by then.
func TestListenAt(t *testing.T) {
	dir := t.TempDir()
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(at)
	elsewhere := filepath.Join(t.TempDir(), "kept")
	if err := os.WriteFile(elsewhere, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	listen := func(name string) (int, *hostSocket) {
		t.Helper()
		fd, s, err := listenAt(at, name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return fd, s
	}
	refused := func(name string, want error) {
		t.Helper()
		if _, _, err := listenAt(at, name); !errors.Is(err, want) {
			t.Errorf("%s: %v, not %v", name, err, want)
		}
	}
	there := func(name string, want bool) {
		t.Helper()
		if _, err := os.Lstat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: %v, and it should be there: %v", name, err, want)
		}
	}
	fd, s := listen("x")
	if err := connectTo(t, filepath.Join(dir, "x")); err != nil {
		t.Errorf("nobody listens at x: %v", err)
	}
	refused("x", unix.EADDRINUSE) // it is alive
	unix.Close(fd)
	there("x", true) // as a killed sbx leaves it
	fd, second := listen("x")
	if err := connectTo(t, filepath.Join(dir, "x")); err != nil {
		t.Errorf("nobody listens at the new x: %v", err)
	}
	if err := s.remove(); err != nil { // of the first, whose name it is no more
		t.Error(err)
	}
	there("x", true)
	unix.Close(fd)
	if err := second.remove(); err != nil {
		t.Error(err)
	}
	there("x", false)

	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("file", errOther)
	for link, to := range map[string]string{"link": elsewhere, "dangling": filepath.Join(dir, "nothing")} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
		refused(link, errOther)
	}
	if err := os.Mkdir(filepath.Join(dir, "directory"), 0o700); err != nil {
		t.Fatal(err)
	}
	refused("directory", errOther)
	if b, err := os.ReadFile(elsewhere); err != nil || string(b) != "kept" {
		t.Errorf("what a link leads to: %q, %v", b, err)
	}
	// Nothing is left of what was refused.
	list, err := filepath.Glob(filepath.Join(dir, ".sbx-*"))
	if err != nil || len(list) > 0 {
		t.Errorf("left: %q, %v", list, err)
	}
}

// TestTakePlaceRaces: of two that find the same dead socket, the one that comes second
// leaves the first one's in its place.
func TestTakePlaceRaces(t *testing.T) {
	dir := t.TempDir()
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(at)
	done := make(chan int)
	const rounds, each = 50, 4
	for round := range rounds {
		dead, _, err := listenAt(at, "x")
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		unix.Close(dead)
		for range each {
			go func() {
				fd, s, err := listenAt(at, "x")
				if err != nil {
					done <- -1
					return
				}
				unix.Close(s.dir)
				done <- fd
			}()
		}
		var won []int
		for range each {
			if fd := <-done; fd >= 0 {
				won = append(won, fd)
			}
		}
		// Somebody listens, whoever: two may have changed places with each other at once.
		if len(won) > 0 && connectTo(t, filepath.Join(dir, "x")) != nil {
			t.Errorf("round %d: %d have it, and nobody listens at it", round, len(won))
		}
		for _, fd := range won {
			unix.Close(fd)
		}
	}
}

func connectTo(t *testing.T, path string) error {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path})
}
