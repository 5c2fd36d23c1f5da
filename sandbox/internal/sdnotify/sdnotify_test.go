package sdnotify

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/internal/fdtest"
)

// ends are a sandbox's end and a manager's of a relay.
func ends(t *testing.T) (program, manager int, r *Relay) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(manager, &unix.SockaddrUnix{Name: path})
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err = Connect(path, -1, func(pid int) int {
		if pid == 2 {
			return 4711
		}
		return 0
	})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.Attach(pair[1])
	t.Cleanup(func() {
		r.Close()
		unix.Close(manager)
		unix.Close(pair[0])
	})
	return pair[0], manager, r
}

// heard is what the manager gets now, and its descriptors.
func heard(t *testing.T, manager int) (string, []int) {
	t.Helper()
	data, oob := make([]byte, 1<<16), make([]byte, 4096)
	n, rights, _, _, err := unix.Recvmsg(manager, data, oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return "", nil
	}
	return string(data[:n]), descriptors(oob[:rights])
}

// TestRelay: what is right arrives, what is not reaches nobody.
func TestRelay(t *testing.T) {
	program, manager, r := ends(t)
	for _, x := range []struct{ sent, want string }{
		{"READY=1", "READY=1"},
		{"READY=1\nSTATUS=serving 3 of 4\n", "READY=1\nSTATUS=serving 3 of 4"},
		{"RELOADING=1\nMONOTONIC_USEC=123456", "RELOADING=1\nMONOTONIC_USEC=123456"},
		{"STOPPING=1", "STOPPING=1"}, {"WATCHDOG=1", "WATCHDOG=1"}, {"WATCHDOG=trigger", "WATCHDOG=trigger"},
		{"WATCHDOG_USEC=20000000", "WATCHDOG_USEC=20000000"},
		{"EXTEND_TIMEOUT_USEC=1000", "EXTEND_TIMEOUT_USEC=1000"},
		{"ERRNO=2", "ERRNO=2"}, {"BUSERROR=org.freedesktop.DBus.Error.TimedOut",
			"BUSERROR=org.freedesktop.DBus.Error.TimedOut"},
		{"FDSTOREREMOVE=1\nFDNAME=x", "FDSTOREREMOVE=1\nFDNAME=x"},
		{"STATUS=", "STATUS="},
		{"MAINPID=2", "MAINPID=4711"}, {"READY=1\nMAINPID=2\nSTATUS=x", "READY=1\nMAINPID=4711\nSTATUS=x"},
		// Of what is not known nothing is said.
		{"READY=1\nX_OWN=1", "READY=1"}, {"X_OWN=1", ""}, {"NOTIFYACCESS=all", ""},
		// Malformed.
		{"READY=1\nSTATUS", ""}, {"=1", ""}, {"READY", ""}, {"READY=2", ""}, {"", ""}, {"\n", ""}, {"READY=1\x00", ""},
		{"STATUS=\xff", ""}, {"STATUS=\x1b[2J", ""}, {"READY=1\nMAINPID=3", ""}, {"MAINPID=0", ""}, {"MAINPID=-1", ""},
		{"MAINPID=+2", ""}, {"MAINPID=2\nMAINPID=2", ""}, {"MAINPID=99999999999", ""}, {"EXTEND_TIMEOUT_USEC=", ""},
		{"ERRNO=x", ""}, {"WATCHDOG=2", ""}, {"READY=1\n\nSTATUS=x", ""},
		{"BARRIER=1", ""}, {"FDSTORE=1", ""}, {"FDNAME=a:b", ""},
		{"STATUS=" + strings.Repeat("x", MaxSize-7), "STATUS=" + strings.Repeat("x", MaxSize-7)},
		{"STATUS=" + strings.Repeat("x", MaxSize-6), ""}, {"READY=1\nSTATUS=" + strings.Repeat("x", 60000), ""},
	} {
		if err := unix.Send(program, []byte(x.sent), 0); err != nil {
			t.Fatal(err)
		}
		r.Move()
		r.Move()
		if got, fds := heard(t, manager); got != x.want || fds != nil {
			t.Errorf("%.60q arrived as %.60q with %v, want %.60q", x.sent, got, fds, x.want)
		}
	}
}

// TestRelayDescriptors: descriptors go with FDSTORE and BARRIER alone, and nothing of them
// stays open here.
func TestRelayDescriptors(t *testing.T) {
	program, manager, r := ends(t)
	before := fdtest.Count(t)
	for _, x := range []struct {
		sent string
		n    int
		want string
		fds  int
	}{
		{"FDSTORE=1\nFDNAME=a", 1, "FDSTORE=1\nFDNAME=a", 1}, {"FDSTORE=1", 3, "FDSTORE=1", 3}, {"READY=1", 2, "READY=1", 0},
		{"BARRIER=1", 1, "BARRIER=1", 1}, {"BARRIER=1", 2, "", 0}, {"BARRIER=1\nREADY=1", 1, "", 0},
		{"FDSTORE=1\nFDNAME=", 1, "", 0}, {"FDSTORE=2", 1, "", 0}, {"STATUS=" + strings.Repeat("x", 5000), 3, "", 0},
	} {
		var pipe [2]int
		if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		var list []int
		for range x.n {
			list = append(list, pipe[1])
		}
		if err := unix.Sendmsg(program, []byte(x.sent), unix.UnixRights(list...), nil, 0); err != nil {
			t.Fatal(err)
		}
		unix.Close(pipe[1])
		r.Move()
		r.Move()
		got, fds := heard(t, manager)
		if got != x.want || len(fds) != x.fds {
			t.Errorf("%.40q arrived as %.40q with %d, want %.40q with %d", x.sent, got, len(fds), x.want, x.fds)
		}
		// The end is seen when the manager has closed what it got, and not before.
		poll := []unix.PollFd{{Fd: int32(pipe[0]), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, 0); err != nil || n != 0 && x.fds > 0 || n == 0 && x.fds == 0 {
			t.Errorf("%.40q: %d, %v before the manager has closed its own", x.sent, n, err)
		}
		for _, fd := range fds {
			unix.Close(fd)
		}
		if n, err := unix.Poll(poll, 0); err != nil || n != 1 {
			t.Errorf("%.40q: %d, %v after the manager has closed its own", x.sent, n, err)
		}
		unix.Close(pipe[0])
	}
	if n := fdtest.Count(t); n != before {
		t.Errorf("%d descriptors are open, there were %d", n, before)
	}
}

// TestRelayFull: a manager that is slow loses nothing, and who floods it waits.
func TestRelayFull(t *testing.T) {
	program, manager, r := ends(t)
	sent, got := 0, 0
	for got < 500 {
		for sent < 500 && unix.Send(program, []byte("WATCHDOG=1"), unix.MSG_DONTWAIT) == nil {
			sent++
		}
		r.Move()
		if list := r.Watch(nil); len(list) != 1 {
			t.Fatalf("it waits for %v", list)
		}
		if said, _ := heard(t, manager); said == "WATCHDOG=1" {
			got++
		}
	}
	if sent != 500 {
		t.Errorf("%d sent", sent)
	}
}

// FuzzParse: what is sent on of any datagram is one that is right.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"READY=1\nMAINPID=2", "BARRIER=1", "FDSTORE=1\nFDNAME=x", "STATUS=\xff"} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		m, err := parse(b, n)
		if err != nil {
			return
		}
		again, err := parse([]byte(strings.Join(m.lines, "\n")), n)
		if len(m.lines) > 0 && (err != nil || len(again.lines) != len(m.lines)) {
			t.Errorf("%q is %q, and that %q, %v", b, m.lines, again.lines, err)
		}
	})
}
