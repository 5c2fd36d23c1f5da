package integration

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// statusFlags are those of an open file description.
func statusFlags(t *testing.T, f *os.File) int {
	t.Helper()
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags
}

// TestFlagsGivenBack: what a target does to the status flags of its standard
// streams is not there any more when it has ended, and of a pipe never is.
func TestFlagsGivenBack(t *testing.T) {
	dir := t.TempDir()
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	socket, other := os.NewFile(uintptr(pair[0]), "socket"), os.NewFile(uintptr(pair[1]), "other")
	for _, f := range []*os.File{log, in, out, null, socket, other} {
		defer f.Close()
		f.Fd() // from here on it blocks, as the caller's does
	}
	for _, streams := range [][3]*os.File{{in, log, out}, {null, out, log}, {log, null, socket}} {
		var before [3]int
		for i, f := range streams {
			before[i] = statusFlags(t, f)
		}
		cmd := exec.Command(binary("sbx"), "--read", binary("probe"), "--", binary("probe"), "spoil")
		cmd.Dir, cmd.Env = dir, userEnv()
		cmd.Stdin, cmd.Stdout, cmd.Stderr = streams[0], streams[1], streams[2]
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		for i, f := range streams {
			if now := statusFlags(t, f); now != before[i] {
				t.Errorf("descriptor %d, %s: flags %#o, before %#o", i, f.Name(), now, before[i])
			}
		}
	}
	// While it runs the pipe is the caller's as it was, and is closed with it.
	cmd := exec.Command(binary("sbx"), "--read", binary("probe"), "--", "sh", "-c",
		binary("probe")+" spoil; exec >&-; sleep 1000")
	cmd.Dir, cmd.Env, cmd.Stdout = dir, userEnv(), out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	end := make(chan error, 1)
	go func() { _, err := io.ReadAll(in); end <- err }()
	select {
	case err := <-end:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patient(10 * time.Second)):
		t.Error("the target has closed the pipe, and its reader does not see it")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := exitStatus(cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	noStrays(t)
}

// TestFlagsGivenBackByJanitor: where there is a janitor, also when the launcher
// is killed.
func TestFlagsGivenBackByJanitor(t *testing.T) {
	dir := t.TempDir()
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	before := statusFlags(t, log)
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	args := ownTerminal(t, "sh", "-c", binary("probe")+" spoil 2>/dev/null; sleep 1000")
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, userEnv()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, log, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := slave.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the target to change the flags", func() bool { return statusFlags(t, log) != before })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the flags to be as before", func() bool { return statusFlags(t, log) == before })
	if _, err := exitStatus(cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	noStrays(t)
}

// TestTerminalGivenBack: whatever the target did to the caller's terminal, its
// output runs, others may open it, and its keys reach somebody.
func TestTerminalGivenBack(t *testing.T) {
	for _, args := range [][]string{{binary("sbx"), "--read", binary("probe"), "--"}, newSession(t), ownTerminal(t)} {
		term := shellAt(t)
		term.types(joined(args) + " " + binary("probe") + " spoil; tty; stty -a </dev/tty >/dev/null; echo status $?\n")
		term.shows("status 0", 1)
		flags, err := unix.FcntlInt(term.pty.Fd(), unix.F_GETFL, 0)
		if err != nil {
			t.Fatal(err)
		}
		// The shell's own may differ by its O_NONBLOCK; what it reads does not.
		term.types("echo read $((40+2))\n")
		term.shows("read 42", 1)
		// Ctrl-C in what runs next reaches it.
		term.types("sleep 1000\n")
		term.running("sleep")
		term.types("\x03")
		term.gone("sleep")
		name := slaveName(t, term.pty)
		if other, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
			t.Errorf("%v: somebody else opens it: %v (%#o)", args, err, flags)
		} else if exclusive, err := unix.IoctlGetInt(int(other.Fd()), unix.TIOCGEXCL); err != nil || exclusive != 0 {
			t.Errorf("%v: it is exclusive: %d, %v", args, exclusive, err)
		} else if err := other.Close(); err != nil {
			t.Error(err)
		}
		term.types("exit 0\n")
		term.ends(0)
	}
}

// slaveName is the name of the terminal with that master.
func slaveName(t *testing.T, master *os.File) string {
	t.Helper()
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("/dev/pts/%d", n)
}

// stubborn is a target that heeds no signal that it can do without.
var stubborn = []string{"sh", "-c", "trap '' HUP INT QUIT TERM; echo ready; while :; do sleep 1000; done"}

// terminalModes are the command lines of the three ways to stand to a terminal.
func terminalModes(t *testing.T) map[string][]string {
	t.Helper()
	return map[string][]string{"inherit": {binary("sbx"), "--"}, "new-session": newSession(t), "pty": ownTerminal(t)}
}

// TestThreeKeys: Ctrl-C three times within a second ends a target that ignores
// it, twice does not, and neither does what is no signal to the target.
func TestThreeKeys(t *testing.T) {
	for name, args := range terminalModes(t) {
		t.Run(name, func(t *testing.T) {
			term := atTerminal(t, append(args, stubborn...)...)
			term.shows("ready", 1)
			if name == "pty" {
				term.takenOver()
			}
			term.types("\x03")
			time.Sleep(100 * time.Millisecond)
			term.types("\x03")
			time.Sleep(1500 * time.Millisecond)
			for range 3 {
				select {
				case err := <-term.done:
					t.Fatalf("it ended early: %v\n%s", err, &term.out)
				default:
				}
				term.types("\x03")
				time.Sleep(100 * time.Millisecond) // or the kernel makes one of them
			}
			term.ends(137)
			const note = "sbx: note: ended, since Ctrl-C was typed three times within a second"
			if out := term.out.String(); !strings.Contains(out, note) {
				t.Errorf("nothing is said\n%s", out)
			}
			term = atTerminal(t, append(args, "sh", "-c",
				"stty -isig; echo ready; dd bs=1 count=4 2>/dev/null | od -An -tx1")...)
			term.shows("ready", 1)
			for range 4 {
				term.types("\x03")
				time.Sleep(50 * time.Millisecond)
			}
			term.types("\n")
			term.ends(0)
		})
	}
}

// TestWaitingIsSaid: at a terminal a second SIGTERM, or ten seconds, make sbx
// say whom it waits for.
func TestWaitingIsSaid(t *testing.T) {
	const said = "sbx: note: waiting for sh, which was sent SIGTERM; "
	for name, args := range terminalModes(t) {
		for _, terms := range []int{2, 1} {
			if terms == 1 && name != "pty" {
				continue // it takes ten seconds
			}
			term := atTerminal(t, append(args, stubborn...)...)
			term.shows("ready", 1)
			sent := time.Now()
			for range terms {
				if err := term.cmd.Process.Signal(unix.SIGTERM); err != nil {
					t.Fatal(err)
				}
				time.Sleep(50 * time.Millisecond)
			}
			for !strings.Contains(term.out.String(), said) && time.Since(sent) < patient(15*time.Second) {
				time.Sleep(10 * time.Millisecond)
			}
			if took := time.Since(sent); terms == 2 && took > patient(5*time.Second) ||
				terms == 1 && (took < 9*time.Second || took > patient(14*time.Second)) {
				t.Errorf("%s: %d signals, and said after %v\n%s", name, terms, took, &term.out)
			}
			for range 3 {
				term.types("\x03")
				time.Sleep(100 * time.Millisecond)
			}
			term.ends(137)
		}
	}
}

// TestTerminalClosed: a target that ignores its terminal's end is ended after a
// while, unless sbx was started to outlive it.
func TestTerminalClosed(t *testing.T) {
	for name, args := range terminalModes(t) {
		for _, nohup := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " nohup ", nohup), func(t *testing.T) {
				t.Parallel()
				args := append(args, stubborn...)
				if nohup {
					args = append([]string{"/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh"}, args...)
				}
				cmd := exec.Command(args[0], args[1:]...)
				cmd.Dir, cmd.Env = t.TempDir(), userEnv()
				master, err := pty.Start(cmd)
				if err != nil {
					t.Fatal(err)
				}
				for out := ""; !strings.Contains(out, "ready"); {
					buf := make([]byte, 1024)
					n, err := master.Read(buf)
					if err != nil {
						t.Fatal(err, out)
					}
					out += string(buf[:n])
				}
				closed := time.Now()
				if err := master.Close(); err != nil {
					t.Fatal(err)
				}
				done := make(chan error, 1)
				go func() { done <- cmd.Wait() }()
				limit := time.Minute // for what ends by itself, however busy the machine is
				if nohup {
					limit = 13 * time.Second
				}
				select {
				case err := <-done:
					status, err := exitStatus(err)
					if took := time.Since(closed); nohup || err != nil || status != 137 || took < 9*time.Second {
						t.Errorf("status %d, %v, after %v", status, err, took)
					}
				case <-time.After(limit):
					if !nohup {
						t.Error("it lives on")
					}
					if err := cmd.Process.Kill(); err != nil {
						t.Fatal(err)
					}
					<-done
				}
			})
		}
	}
}

// TestOwnTerminalStopsItself: a target that stops itself stops sbx, not all of
// the caller's job, which no key has stopped.
func TestOwnTerminalStopsItself(t *testing.T) {
	term := shellAt(t)
	term.types(joined(ownTerminal(t)) + " sh -c 'echo ready; kill -TSTP $$; echo woke' |" +
		" (while read x; do echo got $x; done)\n")
	term.shows("got ready", 1)
	launcher := func() (pid int) {
		for _, p := range descendants(t, term.cmd.Process.Pid) {
			if p.name == "sbx" && p.state == "T" {
				pid = p.pid
			}
		}
		return pid
	}
	eventually(t, "sbx to be stopped", func() bool { return launcher() != 0 })
	time.Sleep(100 * time.Millisecond)
	for _, p := range descendants(t, term.cmd.Process.Pid) {
		if p.name == "bash" && p.state == "T" {
			t.Errorf("the rest of the job is stopped: %v", p)
		}
	}
	if err := unix.Kill(launcher(), unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	term.shows("got woke", 1)
	term.gone("sbx") // which reads what is typed until then
	term.types("exit 0\n")
	term.ends(0)
}
