package terminal

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// ends are two terminals as a relay has them: the side at which the user types and
// reads, and the side at which the target reads and writes.
type ends struct {
	user, target *os.File
	caller       *Caller
	relay        *Relay
}

func relayed(t *testing.T) ends {
	t.Helper()
	user, outer, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	master, target, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	// The caller's descriptor gets an open file description of its own, because the Go
	// runtime would otherwise poll it.
	fd, err := unix.Open(outer.Name(), unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	modes, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	own, err := unix.Dup(int(master.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	e := ends{user: user, target: target, caller: &Caller{FD: fd, Modes: *modes}}
	if e.relay, err = e.caller.Start(own); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, f := range []*os.File{user, outer, master, target} {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return e
}

// turn is one turn of the launcher's loop.
func (e ends) turn(t *testing.T) (moved bool) {
	t.Helper()
	fds, _ := e.relay.Watch(nil)
	n, err := unix.Poll(fds, 50)
	if err != nil && err != unix.EINTR {
		t.Fatal(err)
	}
	hungUp, err := e.relay.Move(fds)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0 && !hungUp
}

func modesAt(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	m, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *m
}

// TestRelayHoldsBack: the target's side cannot write more than the user's side takes.
// No byte is lost, and no buffer grows.
func TestRelayHoldsBack(t *testing.T) {
	e := relayed(t)
	const size = 1 << 20
	wrote := make(chan error, 1)
	go func() {
		_, err := e.target.Write(bytes.Repeat([]byte("0123456789abcdef"), size/16))
		wrote <- err
	}()
	for e.turn(t) {
	}
	select {
	case err := <-wrote:
		t.Fatalf("a megabyte went into a terminal that is not read: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	got := make(chan []byte)
	go func() {
		b := make([]byte, size)
		n, _ := io.ReadFull(e.user, b)
		got <- b[:n]
	}()
	for {
		select {
		case b := <-got:
			if len(b) != size || !bytes.Equal(b[size-16:], []byte("0123456789abcdef")) ||
				bytes.Count(b, []byte("f0")) != size/16-1 {
				t.Fatalf("%d bytes arrived, ending in %q", len(b), b[max(0, len(b)-20):])
			}
			if err := <-wrote; err != nil {
				t.Fatal(err)
			}
			if err := e.relay.End(); err != nil {
				t.Fatal(err)
			}
			return
		default:
			e.turn(t)
		}
	}
}

// TestRelayFlush: the last output is shown, and stop ends the wait.
func TestRelayFlush(t *testing.T) {
	e := relayed(t)
	if _, err := e.target.WriteString("the last\n"); err != nil {
		t.Fatal(err)
	}
	if err := e.relay.Flush(-1, func() bool { return false }); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	if n, err := e.user.Read(b); err != nil || string(b[:n]) != "the last\r\n" {
		t.Errorf("%q, %v", b[:n], err)
	}
	go e.target.Write(make([]byte, 1<<20)) // until the cleanup closes it
	for e.turn(t) {
	}
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	unix.Close(p[1]) // so that there is always something
	asked := 0
	if err := e.relay.Flush(p[0], func() bool { asked++; return asked == 3 }); err != nil || asked != 3 {
		t.Errorf("%v, asked %d times", err, asked)
	}
	if err := e.relay.End(); err != nil {
		t.Fatal(err)
	}
}

// TestRestores: the modes are restored, also after a pause in which they were changed,
// but not where another program has changed them since then.
func TestRestores(t *testing.T) {
	e := relayed(t)
	before := e.caller.Modes
	if now := modesAt(t, e.user); now.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 || now.Oflag&unix.OPOST != 0 {
		t.Errorf("not raw: %+v", now)
	}
	if err := e.relay.Pause(); err != nil || modesAt(t, e.user) != before {
		t.Errorf("%v, modes %+v, want %+v", err, modesAt(t, e.user), before)
	}
	changed := before
	changed.Cc[unix.VINTR] = 'x'
	changed.Lflag |= unix.TOSTOP
	if err := unix.IoctlSetTermios(e.caller.FD, unix.TCSETS, &changed); err != nil {
		t.Fatal(err)
	}
	if err := e.relay.Resume(); err != nil {
		t.Fatal(err)
	}
	if now, raw := modesAt(t, e.user), rawOf(before); now != raw {
		t.Errorf("raw modes %+v, want those the janitor knows, %+v", now, raw)
	}
	if err := e.relay.Pause(); err != nil || modesAt(t, e.user) != changed {
		t.Errorf("%v, modes %+v, want %+v", err, modesAt(t, e.user), changed)
	}
	if err := e.relay.Resume(); err != nil {
		t.Fatal(err)
	}
	others := before
	others.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(e.caller.FD, unix.TCSETS, &others); err != nil {
		t.Fatal(err)
	}
	if err := e.relay.End(); err != nil || modesAt(t, e.user) != others {
		t.Errorf("%v, modes %+v, want another program's %+v", err, modesAt(t, e.user), others)
	}
	if err := e.relay.End(); err != nil {
		t.Errorf("the second end: %v", err)
	}
}

// TestRelayHangsUp: a terminal that hangs up ends the relay, and the target reads an
// end of file.
func TestRelayHangsUp(t *testing.T) {
	e := relayed(t)
	if _, err := e.user.WriteString("typed"); err != nil {
		t.Fatal(err)
	}
	e.turn(t)
	if err := e.relay.HangUp(); err != nil {
		t.Fatal(err)
	}
	if fds, _ := e.relay.Watch(nil); len(fds) > 0 {
		t.Errorf("it watches on: %v", fds)
	}
	if err := e.relay.End(); err != nil {
		t.Fatal(err)
	}
}

func TestStepsSay(t *testing.T) {
	for want, s := range map[string]Open{
		"make a pseudo-terminal, relayed by the launcher":                            {},
		"make a pseudo-terminal for descriptor 0, relayed by the launcher":           {Streams: [3]bool{true}},
		"make a pseudo-terminal for descriptors 0, 1 and 2, relayed by the launcher": {Streams: [3]bool{true, true, true}},
		"make a pseudo-terminal for descriptors 0 and 2, relayed by the launcher":    {Streams: [3]bool{true, false, true}},
	} {
		if got := s.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if !strings.Contains(Restore{}.String(), "restore") || !strings.Contains(Foreground{}.String(), "foreground") {
		t.Error("steps do not say what they do")
	}
}
