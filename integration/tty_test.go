package integration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"sbx/internal/ptytest"
)

// terminal is a program at a pseudo-terminal of its own session.
type terminal struct {
	t    *testing.T
	pty  *os.File
	cmd  *exec.Cmd
	out  lockedBuffer
	done chan error
	read chan struct{} // closed once all output is in out
}

func atTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	term := &terminal{t: t, cmd: exec.Command(args[0], args[1:]...), done: make(chan error, 1), read: make(chan struct{})}
	term.cmd.Dir, term.cmd.Env = t.TempDir(), userEnv()
	file, err := pty.StartWithSize(term.cmd, &pty.Winsize{Cols: 80, Rows: 24})
	if err != nil {
		t.Fatal(err)
	}
	term.pty = file
	go func() {
		defer close(term.read)
		if err := ptytest.Copy(&term.out, file); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Log(err)
		}
	}()
	go func() { term.done <- term.cmd.Wait() }()
	t.Cleanup(func() {
		if err := term.cmd.Process.Kill(); err == nil {
			<-term.done
		}
		if err := file.Close(); err != nil {
			t.Log(err)
		}
		noStrays(t)
	})
	return term
}

func (term *terminal) types(s string) {
	term.t.Helper()
	if _, err := term.pty.Write([]byte(s)); err != nil {
		term.t.Fatal(err)
	}
}

// shellAt is bash with job control, ready at its prompt.
func shellAt(t *testing.T) *terminal {
	t.Helper()
	term := atTerminal(t, "/bin/bash", "--norc", "--noprofile", "-i")
	term.types("PS1='prompt> '\n")
	term.shows("prompt> ", 2)
	return term
}

// shows waits until the text has appeared n times.
func (term *terminal) shows(text string, n int) {
	term.t.Helper()
	for range 1000 * patience {
		if strings.Count(term.out.String(), text) >= n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ended := "it runs on"
	select {
	case err := <-term.done:
		term.done <- err
		ended = fmt.Sprint("it ended: ", err)
	default:
	}
	term.t.Fatalf("the terminal does not show %q %d times (%s):\n%s", text, n, ended, &term.out)
}

// stopped says that a process of that name below the shell is stopped.
func (term *terminal) stopped(name string) {
	term.t.Helper()
	below := descendants(term.t, term.cmd.Process.Pid)
	if !slices.ContainsFunc(below, func(p process) bool { return p.name == name && p.state == "T" }) {
		term.t.Errorf("the target was not stopped with its launcher: %v", below)
	}
}

func (term *terminal) ends(want int) {
	term.t.Helper()
	term.endsWithin(10*time.Second, want)
}

func (term *terminal) endsWithin(limit time.Duration, want int) {
	term.t.Helper()
	select {
	case err := <-term.done:
		term.done <- nil
		got, err := exitStatus(err)
		if err != nil || got != want {
			term.t.Errorf("status %d (%v), want %d\n%s", got, err, want, &term.out)
		}
		select {
		case <-term.read:
		case <-time.After(patient(5 * time.Second)):
			term.t.Errorf("somebody still has the terminal open\n%s", &term.out)
		}
	case <-time.After(patient(limit)):
		term.t.Fatalf("did not end\n%s", &term.out)
	}
}

func probeAt(t *testing.T, question string) *terminal {
	t.Helper()
	return atTerminal(t, binary("sbx"), "--read", binary("probe"), "--", binary("probe"), question)
}

// TestTerminal: a program below sbx has a working terminal but cannot type
// for the user, nor see other terminals.
func TestTerminal(t *testing.T) {
	term := probeAt(t, "tty")
	term.shows("other terminals", 1)
	term.ends(0)
	out := strings.ReplaceAll(term.out.String(), "\r\n", "\n")
	answers := result{stdout: out}.answers()
	for what, want := range map[string]string{
		"window size": "80x24", "tcgetattr": "ok", "tcsetattr": "ok", "foreground": "true", "other terminals": "0",
	} {
		if answers[what] != want {
			t.Errorf("%s: %q, want %q\n%s", what, answers[what], want, out)
		}
	}
	for _, what := range []string{"TIOCSTI", "TIOCSTI high", "TIOCLINUX", "TIOCLINUX high", "TIOCSETD", "TIOCSETD high"} {
		if answers[what] != "EPERM" {
			t.Errorf("%s: %q, want EPERM from the filter", what, answers[what])
		}
	}
}

// TestTerminalName: the terminal has a name inside, by which it can be opened and not
// changed; in pure as well, and one of its own that of its /dev/pts. Where no standard
// stream is the terminal there is none.
func TestTerminalName(t *testing.T) {
	const ask = "tty; echo written >$(tty); chmod 777 $(tty) 2>/dev/null || echo kept"
	for _, args := range [][]string{{"--policy", "default"}, {"--policy", "pure"}, {"--policy", "open"}} {
		term := atTerminal(t, append(append([]string{binary("sbx")}, args...), "--", "sh", "-c", ask)...)
		term.ends(0)
		if out := strings.ReplaceAll(term.out.String(), "\r\n", "\n"); !strings.HasSuffix(out,
			"/dev/console\nwritten\nkept\n") {
			t.Errorf("%q: %q", args, out)
		}
	}
	own := ownPolicyFile(t, "extends = [\"default\"]\n[process]\nterminal = \"pty\"")
	term := atTerminal(t, binary("sbx"), "--policy", own, "--", "sh", "-c", "tty; test -e /dev/console || echo none")
	term.ends(0)
	if out := strings.ReplaceAll(term.out.String(), "\r\n", "\n"); !strings.HasSuffix(out, "/dev/pts/0\nnone\n") {
		t.Errorf("of its own: %q", out)
	}
	term = atTerminal(t, "sh", "-c", `"$0" -- ls /dev/console </dev/null >/dev/null 2>/dev/null || echo absent`,
		binary("sbx"))
	term.ends(0)
	if out := strings.TrimSpace(term.out.String()); out != "absent" {
		t.Errorf("no stream is the terminal: %q", out)
	}
}

// TestTerminalCtrlC: the key reaches the target, once, and what the target
// makes of it is the result.
func TestTerminalCtrlC(t *testing.T) {
	term := probeAt(t, "tty-wait")
	term.shows("ready", 1)
	term.types("\x03")
	term.ends(42)
	if n := strings.Count(term.out.String(), "got SIGINT"); n != 1 {
		t.Errorf("SIGINT came %d times\n%s", n, &term.out)
	}
	// One that leaves it alone dies of it.
	term = atTerminal(t, binary("sbx"), "--", "sh", "-c", "echo ready; exec sleep 60")
	term.shows("ready", 1)
	eventually(t, "sleep to be there", func() bool {
		return slices.ContainsFunc(descendants(t, term.cmd.Process.Pid), func(p process) bool { return p.name == "sleep" })
	})
	term.types("\x03")
	term.ends(130)
}

// TestTerminalResize: the target hears of a new size and sees it.
func TestTerminalResize(t *testing.T) {
	term := probeAt(t, "tty-wait")
	term.shows("ready", 1)
	if err := pty.Setsize(term.pty, &pty.Winsize{Cols: 132, Rows: 43}); err != nil {
		t.Fatal(err)
	}
	term.shows("size 132x43", 1)
	term.types("\x03")
	term.ends(42)
}

// TestTerminalHangup: a closed terminal ends it all.
func TestTerminalHangup(t *testing.T) {
	term := atTerminal(t, binary("sbx"), "--", "sh", "-c", "echo ready; sleep 60; sleep 60")
	term.shows("ready", 1)
	if err := term.cmd.Process.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	term.ends(129)
}

// TestJobControl: bash runs sbx as a job: Ctrl-Z stops it, fg brings it back,
// and Ctrl-C then ends it.
func TestJobControl(t *testing.T) {
	term := shellAt(t)
	term.types(binary("sbx") + " --read " + binary("probe") + " -- " + binary("probe") + " tty-wait\n")
	term.shows("ready", 1)
	term.types("\x1a")
	term.shows("Stopped", 1)
	term.types("echo back in $((40+2))\n")
	term.shows("back in 42", 1)
	term.stopped("probe")
	term.types("fg\n")
	term.shows("got SIGCONT", 1)
	term.types("\x03")
	term.shows("got SIGINT", 1)
	term.types("echo status $?\n")
	term.shows("status 42", 1)
	term.types("exit 0\n")
	term.ends(0)
}

// TestInteractiveShell: a shell inside has job control of its own.
func TestInteractiveShell(t *testing.T) {
	insideShell(t, []string{binary("sbx"), "--policy", "shell", "--", "/bin/bash", "--norc", "--noprofile", "-i"})
}

// running waits until a program of that name runs below the terminal's.
func (term *terminal) running(name string) {
	term.t.Helper()
	eventually(term.t, name+" to run", func() bool {
		return slices.ContainsFunc(descendants(term.t, term.cmd.Process.Pid), func(p process) bool { return p.name == name })
	})
}

// gone waits until none does.
func (term *terminal) gone(name string) {
	term.t.Helper()
	eventually(term.t, name+" to end", func() bool {
		return !slices.ContainsFunc(descendants(term.t, term.cmd.Process.Pid), func(p process) bool { return p.name == name })
	})
}

func insideShell(t *testing.T, sbx []string) {
	t.Helper()
	term := atTerminal(t, sbx...)
	term.types("PS1='inside> '\n")
	term.shows("inside> ", 2)
	if bytes.Contains([]byte(term.out.String()), []byte("no job control")) {
		t.Errorf("no job control\n%s", &term.out)
	}
	term.types("sleep 100\n")
	term.running("sleep") // until its exec it is a copy of bash
	term.types("\x1a")
	term.shows("Stopped", 1)
	// Bash, here as outside, can miss the SIGCHLD of the job's end, and takes it
	// for a stopped one until another child ends: it would not exit.
	term.types("kill %1\n")
	eventually(t, "bash to tell of the job's end", func() bool {
		prompts := strings.Count(term.out.String(), "inside> ")
		term.types("/bin/true\n")
		term.shows("inside> ", prompts+1)
		return strings.Contains(term.out.String(), "Terminated")
	})
	term.types("wait; echo after $((1+1))\n")
	term.shows("after 2", 1)
	term.types("exit 5\n")
	term.ends(5)
}

// TestTerminalGroup: at a terminal the target shares its process group with
// the launcher and whatever the shell put there; a signal to the group must
// not leave the sandbox, with Landlock or without.
func TestTerminalGroup(t *testing.T) {
	for _, policy := range []string{"default", ownPolicyFile(t,
		"extends = [\"default\"]\n[process]\nlandlock = \"off\"")} {
		for _, signal := range []string{"KILL", "TERM"} {
			term := atTerminal(t, "/bin/sh", "-c", `"$0" --policy "$1" -- sh -c "trap '' TERM; kill -`+
				signal+` 0; kill -9 \$\$"; echo outside $?`, binary("sbx"), policy)
			term.shows("outside 137", 1)
			term.ends(0)
		}
		// What a job is stopped and continued by goes on.
		term := atTerminal(t, binary("sbx"), "--policy", policy, "--", "sh", "-c",
			"kill -CONT 0 && kill -WINCH 0 && kill -0 0 && echo well")
		term.shows("well", 1)
		term.ends(0)
	}
}

// TestTerminalAsync: no signal leaves the sandbox by a terminal that is told to
// send one when something is typed, with Landlock or without, in the caller's job
// or in a session of the sandbox's own.
func TestTerminalAsync(t *testing.T) {
	attack := `
import fcntl, os, sys, time
fds = [0]
def tries(f):
    try:
        return f()
    except OSError:
        pass
tries(lambda: fds.append(os.open("/dev/tty", os.O_RDWR)))
for fd in fds:
    tries(lambda: fcntl.fcntl(fd, fcntl.F_SETSIG, 9))
    tries(lambda: fcntl.ioctl(fd, 0x5452, b"\\1\\0\\0\\0")) # FIOASYNC
    tries(lambda: fcntl.fcntl(fd, fcntl.F_SETFL, os.O_RDWR | os.O_ASYNC))
print("armed")
sys.stdout.flush()
sys.stdin.readline()
time.sleep(0.2)
print("well inside")
`
	off := "extends = [\"default\"]\n[process]\nlandlock = \"off\"\n"
	for name, c := range map[string]struct{ policy, inside string }{
		"Landlock":             {"default", "outside "}, // the target itself may be hit
		"none":                 {ownPolicyFile(t, off), "outside 0"},
		"a session of its own": {ownPolicyFile(t, off+"terminal = \"new-session\""), "outside 0"},
	} {
		t.Run(name, func(t *testing.T) {
			term := atTerminal(t, "/bin/sh", "-c", `"$0" --policy "$1" -- python3 -c "$2"; echo outside $?`, binary("sbx"),
				c.policy, attack)
			term.shows("armed", 1)
			term.types("\n")
			term.shows(c.inside, 1)
			term.ends(0)
		})
	}
}
