package host

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// TestStreams: which descriptors have a file of the host's behind them, and
// which of these can be opened once more as they are.
func TestStreams(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("some text"), 0o640); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(path string, flags int) int {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NOCTTY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	gone := open(filepath.Join(dir, "gone"), unix.O_RDWR|unix.O_CREAT)
	if err := os.Remove(filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	moved := open(filepath.Join(dir, "moved"), unix.O_RDONLY|unix.O_CREAT)
	for _, name := range []string{"moved", "file"} { // the second link stays
		if err := os.Link(filepath.Join(dir, name), filepath.Join(dir, name+"2")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	memory, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	master := open("/dev/ptmx", unix.O_RDWR)
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	slave, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER,
		unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		t.Fatal(errno)
	}
	t.Cleanup(func() {
		for _, fd := range []int{pipe[0], pipe[1], memory, int(slave)} {
			unix.Close(fd)
		}
	})
	read := open(path, unix.O_RDONLY)
	if _, err := unix.Seek(read, 5, unix.SEEK_SET); err != nil {
		t.Fatal(err)
	}
	again, err := unix.Dup(read)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(again) })
	for _, c := range []struct {
		name           string
		fd             int
		onHost, source bool
	}{
		{"pipe", pipe[0], false, false},
		{"memory", memory, false, false},
		{"a file without a name", gone, false, false},
		{"directory", open(dir, unix.O_RDONLY|unix.O_DIRECTORY), true, true},
		{"a path to a directory", open(dir, unix.O_PATH), true, true},
		{"a directory of a process", open("/proc/self/task", unix.O_RDONLY|unix.O_DIRECTORY), true, false},
		{"a path to a file", open(path, unix.O_PATH), false, false},
		{"file to read", read, true, true},
		{"file to write", open(path, unix.O_WRONLY), true, false},
		{"file to append", open(path, unix.O_WRONLY|unix.O_APPEND), true, false},
		{"file to read and write", open(path, unix.O_RDWR), true, false},
		{"file under another name by now", moved, true, false},
		{"fifo", open(fifo, unix.O_RDWR), true, true},
		{"null", open("/dev/null", unix.O_RDWR), true, true},
		{"terminal", int(slave), true, true},
		{"terminal's master", master, true, false},
		{"a process's own", open("/proc/self/maps", unix.O_RDONLY), true, false},
		{"the kernel's", open("/proc/cpuinfo", unix.O_RDONLY), true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &Facts{Files: map[string]File{}}
			defer h.Close()
			if err := h.probeStreams(&policy.Policy{}, nil, Target{KeepFDs: []int{c.fd}}); err != nil {
				t.Fatal(err)
			}
			s := h.Kept[0]
			if s.OnHost != c.onHost || (s.Source.Mode != 0) != c.source {
				t.Errorf("on the host %v, want %v; can be opened once more %v, want %v: %+v", s.OnHost, c.onHost,
					s.Source.Mode != 0, c.source, s)
			}
			if c.onHost && s.Metadata.FD == 0 {
				t.Error("its metadata was not looked at")
			}
		})
	}
	h := &Facts{Files: map[string]File{}}
	defer h.Close()
	if err := h.probeStreams(&policy.Policy{}, nil, Target{KeepFDs: []int{read, again, open(path,
		unix.O_RDONLY)}}); err != nil {
		t.Fatal(err)
	}
	if k := h.Kept; k[0].Offset != 5 || k[1].Same != read || k[2].Same != k[2].FD {
		t.Errorf("offset %d; %d is the same as %d, %d as %d", k[0].Offset, k[1].FD, k[1].Same, k[2].FD, k[2].Same)
	}
}

// TestCrossing: what a service manager hands over crosses as what is kept does, each
// once.
func TestCrossing(t *testing.T) {
	target := Target{PID: 7, Env: []string{"LISTEN_PID=7", "LISTEN_FDS=2"}, KeepFDs: []int{0, 4, 9, 9, 6}}
	if fds, listen := target.crossing(&policy.Policy{}); !slices.Equal(fds, []int{3, 4, 9, 6}) || listen != 2 {
		t.Errorf("%v, of which %d are handed over", fds, listen)
	}
	for _, env := range [][]string{{"LISTEN_FDS=2"}, {"LISTEN_PID=8", "LISTEN_FDS=2"},
		{"LISTEN_PID=7", "LISTEN_FDS=x"}, {"LISTEN_PID=7", "LISTEN_FDS=-1"}} {
		target.Env = env
		if fds, listen := target.crossing(&policy.Policy{}); !slices.Equal(fds, []int{4, 9, 6}) || listen != 0 {
			t.Errorf("%q: %v, of which %d are handed over", env, fds, listen)
		}
	}
}
