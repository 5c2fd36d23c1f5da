package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// terminalPolicy is a policy file that adds to one of ours how the target
// stands to the terminal.
func terminalPolicy(t *testing.T, extends, terminal string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), terminal+".toml")
	text := fmt.Sprintf("version = 1\nsummary = \"test\"\nextends = [%q]\n[process]\nterminal = %q\n[expect]\n",
		extends, terminal)
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// ownTerminal is the command line of sbx giving the target a pty.
func ownTerminal(t *testing.T, target ...string) []string {
	t.Helper()
	return append([]string{binary("sbx"), "--policy", terminalPolicy(t, "shell", "pty"), "--read", binary("probe"),
		"--"}, target...)
}

// modes are the terminal's, which the master tells as well.
func (term *terminal) modes() unix.Termios {
	term.t.Helper()
	m, err := unix.IoctlGetTermios(int(term.pty.Fd()), unix.TCGETS)
	if err != nil {
		term.t.Fatal(err)
	}
	return *m
}

// takenOver waits until the terminal is raw.
func (term *terminal) takenOver() {
	term.t.Helper()
	eventually(term.t, "the terminal to be raw", func() bool { return term.modes().Lflag&(unix.ICANON|unix.ECHO) == 0 })
}

// TestOwnTerminal: the target has a terminal of its own, which looks like the
// caller's, and nothing of that one.
func TestOwnTerminal(t *testing.T) {
	term := atTerminal(t, ownTerminal(t, binary("probe"), "tty")...)
	term.shows("other terminals", 1)
	term.ends(0)
	out := strings.ReplaceAll(term.out.String(), "\r\n", "\n")
	answers := result{stdout: out}.answers()
	for what, want := range map[string]string{
		"window size": "80x24", "tcgetattr": "ok", "tcsetattr": "ok", "foreground": "true", "open /dev/tty": "ok",
		"other terminals": "1", // its own
		"TIOCSTI":         "EPERM", "TIOCSTI high": "EPERM", "TIOCLINUX": "EPERM", "TIOCLINUX high": "EPERM",
		"TIOCSETD": "EPERM",
	} {
		if answers[what] != want {
			t.Errorf("%s: %q, want %q\n%s", what, answers[what], want, out)
		}
	}
	// From outside: no process inside has the caller's terminal open, by any
	// descriptor. Others' are nobody's business but root's.
	term = atTerminal(t, ownTerminal(t, "bash", "--norc", "--noprofile", "-c", `tty; sleep 100 & wait`)...)
	var outer unix.Stat_t
	name, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", term.cmd.Process.Pid))
	if err == nil {
		err = unix.Stat(name, &outer)
	}
	if err != nil {
		t.Fatal(err)
	}
	term.shows("/dev/pts/0", 1)
	term.running("sleep")
	looked := 0
	for _, p := range descendants(t, term.cmd.Process.Pid) {
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
		if err != nil && !asRoot() {
			continue // the init and the janitor are not to be looked into
		}
		if err != nil {
			t.Fatal(err)
		}
		looked++
		for _, fd := range fds {
			var st unix.Stat_t
			if err := unix.Stat(fmt.Sprintf("/proc/%d/fd/%s", p.pid, fd.Name()), &st); err != nil {
				t.Fatal(err)
			}
			if st.Dev == outer.Dev && st.Ino == outer.Ino && p.name != "sbx-janitor" {
				t.Errorf("%s has the caller's terminal open as %s", p.name, fd.Name())
			}
		}
	}
	if looked < 2 {
		t.Errorf("looked at %d processes of %v", looked, descendants(t, term.cmd.Process.Pid))
	}
	term.types("\x03")
	term.ends(130)
}

// TestOwnTerminalModes: the modes are the caller's at the start; then each
// terminal has its own, and the caller's are back at the end.
func TestOwnTerminalModes(t *testing.T) {
	args := ownTerminal(t, "sh", "-c", `stty -a; read line; echo "line $line"; stty raw -echo; printf 'raw\r\n'
		head -c 4 | od -An -tx1`)
	term := atTerminal(t, append([]string{"/bin/sh", "-c", `stty intr ^X; stty -g; "$@"; stty -g; read line`, "sh"},
		args...)...)
	term.shows("intr = ^X", 1)
	term.takenOver()
	raw := term.modes()
	if raw.Iflag&(unix.ICRNL|unix.IXON) != 0 || raw.Oflag&unix.OPOST != 0 || raw.Lflag&unix.ISIG != 0 {
		t.Errorf("the caller's terminal is not raw: %+v", raw)
	}
	term.types("abx\x7fc\r") // edited by the inside's terminal
	term.shows("line abc", 1)
	term.shows("raw\r\n", 1)
	// Keys that mean something to every terminal in between, if it lets them.
	term.types("\x03\x1a\x04\x13")
	term.shows("03 1a 04 13", 1)
	eventually(t, "the modes to be told again", func() bool { return strings.Count(term.out.String(), ":18:") == 2 })
	term.types("\n")
	term.ends(0)
	var told []string
	for line := range strings.Lines(term.out.String()) {
		if strings.Count(line, ":") > 20 {
			told = append(told, line)
		}
	}
	if len(told) != 2 || told[0] != told[1] {
		t.Errorf("modes before and after: %q", told)
	}
}

// TestOwnTerminalKeys: Ctrl-C and a new size reach the target, each once.
func TestOwnTerminalKeys(t *testing.T) {
	term := atTerminal(t, ownTerminal(t, binary("probe"), "tty-wait")...)
	term.shows("ready", 1)
	term.takenOver()
	if err := pty.Setsize(term.pty, &pty.Winsize{Cols: 132, Rows: 43}); err != nil {
		t.Fatal(err)
	}
	term.shows("size 132x43", 1)
	term.types("\x03")
	term.ends(42)
	for _, signal := range []string{"SIGINT", "SIGWINCH"} {
		if n := strings.Count(term.out.String(), "got "+signal); n != 1 {
			t.Errorf("%s came %d times\n%s", signal, n, &term.out)
		}
	}
}

// TestOwnTerminalOutput: all that is written arrives, the last of it too, also
// where somebody reads slowly.
func TestOwnTerminalOutput(t *testing.T) {
	const lines = 180_000 // more than a megabyte
	term := atTerminal(t, ownTerminal(t, "seq", fmt.Sprint(lines))...)
	term.ends(0)
	var want strings.Builder
	for n := range lines {
		fmt.Fprintf(&want, "%d\r\n", n+1)
	}
	got := term.out.String()
	if _, after, found := strings.Cut(got, "private home\r\n"); found {
		got = after
	}
	if got != want.String() {
		t.Errorf("%d bytes arrived of %d, ending in %q", len(got), want.Len(), got[max(0, len(got)-40):])
	}
}

// TestOwnTerminalPipe: a stream that is no terminal stays what it is.
func TestOwnTerminalPipe(t *testing.T) {
	args := ownTerminal(t, "sh", "-c", `test -t 0 && test ! -t 1 && test -t 2 && echo piped
		echo to the terminal >/dev/tty; exec >/dev/null 2>&1 </dev/null; sleep 0.3; echo once more >/dev/tty`)
	term := atTerminal(t, append([]string{"/bin/sh", "-c", `"$@" | sed s/piped/through/`, "sh"}, args...)...)
	term.shows("through", 1)
	term.shows("to the terminal", 1)
	term.shows("once more", 1)
	term.ends(0)
}

// TestNoTerminal: without one at hand there is none to relay, and the target
// has none either.
func TestNoTerminal(t *testing.T) {
	for _, kind := range []string{"pty", "new-session"} {
		cmd := exec.Command(binary("sbx"), "--policy", terminalPolicy(t, "shell", kind), "--", "sh", "-c",
			`(: </dev/tty) 2>/dev/null || echo none; cat`)
		cmd.Dir, cmd.Env, cmd.Stdin = t.TempDir(), userEnv(), strings.NewReader("data\n")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != "none\ndata\n" {
			t.Errorf("%s: %v, %q", kind, err, out)
		}
	}
}

// TestOwnTerminalStops: Ctrl-Z stops the whole job with the target, and the
// shell has its terminal back; fg brings it all back, in the size of the day.
func TestOwnTerminalStops(t *testing.T) {
	for _, pipe := range []string{"", " | cat"} {
		term := shellAt(t)
		term.types("echo before $(stty -g) end\n")
		term.shows(" end\r\n", 2) // as typed and as told
		term.types(strings.Join(ownTerminal(t, binary("probe"), "tty-wait"), " ") + pipe + "\n")
		term.shows("ready", 1)
		term.takenOver()
		term.types("\x1a")
		term.shows("Stopped", 1)
		term.types("echo after $(stty -g) end\n")
		term.shows(" end\r\n", 4)
		if err := pty.Setsize(term.pty, &pty.Winsize{Cols: 99, Rows: 33}); err != nil {
			t.Fatal(err)
		}
		term.types("fg\n")
		term.shows("got SIGCONT", 1)
		term.shows("size 99x33", 1)
		term.takenOver()
		term.types("\x03")
		term.gone("sbx") // what is typed before is the target's
		if pipe == "" {  // else it is cat's
			term.types("echo status $?\n")
			term.shows("status 42", 1)
		}
		term.types("echo after $(stty -g) end\n")
		term.shows(" end\r\n", 6)
		term.types("exit 0\n")
		term.ends(0)
		var told []string
		for _, word := range strings.Fields(term.out.String()) {
			if strings.Count(word, ":") > 20 {
				told = append(told, word)
			}
		}
		if len(told) != 3 || told[0] != told[1] || told[0] != told[2] {
			t.Errorf("modes before, while stopped and after: %q\n%s", told, &term.out)
		}
	}
}

// TestOwnTerminalOrphan: where no shell could continue a stopped job, Ctrl-Z
// stops nothing for good.
func TestOwnTerminalOrphan(t *testing.T) {
	term := atTerminal(t, ownTerminal(t, binary("probe"), "tty-wait")...)
	term.shows("ready", 1)
	term.takenOver()
	term.types("\x1a")
	term.shows("got SIGCONT", 1)
	term.types("\x03")
	term.ends(42)
}

// TestOwnTerminalShell: a shell inside has job control of its own.
func TestOwnTerminalShell(t *testing.T) {
	insideShell(t, ownTerminal(t, "/bin/bash", "--norc", "--noprofile", "-i"))
}

// TestOwnTerminalBackground: in the background the terminal is left alone, but
// for what is shown; in the foreground it is taken over.
func TestOwnTerminalBackground(t *testing.T) {
	term := shellAt(t)
	term.types(strings.Join(ownTerminal(t, binary("probe"), "tty-wait"), " ") + " &\n")
	term.shows("ready", 1)
	term.types("echo typed $((40+2))\n")
	term.shows("typed 42", 1)
	term.types("fg\n")
	eventually(t, "the job to be in the foreground", func() bool {
		group, err := unix.IoctlGetInt(int(term.pty.Fd()), unix.TIOCGPGRP)
		return err == nil && group != term.cmd.Process.Pid
	})
	term.takenOver() // bash's own modes are gone by then
	term.types("\x03")
	term.gone("sbx")
	term.types("echo status $?\n")
	term.shows("status 42", 1)
	term.types("exit 0\n")
	term.ends(0)
}

func joined(args []string) string { return strings.Join(args, " ") }

// newSession is the command line of sbx without a controlling terminal.
func newSession(t *testing.T, target ...string) []string {
	t.Helper()
	return append([]string{binary("sbx"), "--policy", terminalPolicy(t, "shell", "new-session"), "--read",
		binary("probe"), "--"}, target...)
}

// TestNewSession: no controlling terminal, but the keys still do what they do.
func TestNewSession(t *testing.T) {
	term := atTerminal(t, newSession(t, binary("probe"), "tty")...)
	term.shows("other terminals", 1)
	term.ends(0)
	out := strings.ReplaceAll(term.out.String(), "\r\n", "\n")
	answers := result{stdout: out}.answers()
	for what, want := range map[string]string{"window size": "80x24", "open /dev/tty": "ENXIO", "TIOCSTI": "EPERM",
		"foreground": "ENOTTY"} {
		if answers[what] != want {
			t.Errorf("%s: %q, want %q\n%s", what, answers[what], want, out)
		}
	}
	// Ctrl-C is for all of the target's group, as at a terminal.
	term = atTerminal(t, newSession(t, "sh", "-c",
		"trap 'echo trapped; exit 7' INT; echo ready; sleep 100; echo not interrupted")...)
	term.shows("ready", 1)
	term.running("sleep")
	term.types("\x03")
	term.ends(7)
	if !strings.Contains(term.out.String(), "trapped") {
		t.Errorf("%s", &term.out)
	}
}

// TestNewSessionStops: Ctrl-Z and fg go through the launcher.
func TestNewSessionStops(t *testing.T) {
	term := shellAt(t)
	term.types(joined(newSession(t, binary("probe"), "tty-wait")) + "\n")
	term.shows("ready", 1)
	term.types("\x1a")
	term.shows("Stopped", 1)
	term.stopped("probe")
	term.types("fg\n")
	term.shows("got SIGCONT", 1)
	if err := pty.Setsize(term.pty, &pty.Winsize{Cols: 99, Rows: 33}); err != nil {
		t.Fatal(err)
	}
	term.shows("size 99x33", 1)
	term.types("\x03")
	term.gone("sbx")
	term.types("echo status $?\n")
	term.shows("status 42", 1)
	term.types("exit 0\n")
	term.ends(0)
}

// TestOwnTerminalRefused: what would hand over the caller's terminal after
// all, or leave no place for the other, is an error before anything runs.
func TestOwnTerminalRefused(t *testing.T) {
	args := ownTerminal(t)
	flags := joined(args[1 : len(args)-1])
	for _, c := range []struct{ line, want, hint string }{
		{"sbx " + flags + " --keep-fd 5 -- echo ran 5</dev/tty", "keep descriptor 5: it is the caller's terminal",
			"leave --keep-fd out"},
		{"sbx " + flags + " --hide /dev/pts -- echo ran", "make a pseudo-terminal", "hides /dev/pts"},
		{"script -qec 'sbx " + flags + " -- echo ran 2>&6' /dev/null", "are different terminals", "redirect the streams"},
	} {
		term := atTerminal(t, "/bin/sh", "-c", "PATH="+binary("")+":$PATH; exec 6>&1; "+c.line+"; echo status $?")
		term.ends(0)
		out := strings.ReplaceAll(term.out.String(), "\r\n", "\n")
		if !strings.Contains(out, c.want) || !strings.Contains(out, c.hint) || !strings.Contains(out, "status 125") ||
			strings.Contains(out, "\nran") {
			t.Errorf("%s:\n%s", c.line, out)
		}
	}
}

// TestOwnTerminalEditor: a program of the whole screen, stopped by its own key
// and brought back.
func TestOwnTerminalEditor(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	args := ownTerminal(t, "busybox", "vi", file)
	args = append([]string{args[0], "--write", dir}, args[1:]...)
	term := shellAt(t)
	term.types(joined(args) + "\n")
	term.shows("\x1b[24;1H", 1) // it knows the size
	term.takenOver()
	term.types("ihello")
	term.shows("hello", 1)
	term.types("\x1b")
	term.shows("- "+file, 2) // not inserting any more
	term.types("\x1a")
	term.shows("Stopped", 1)
	shown := strings.Count(term.out.String(), "hello")
	term.types("fg\n")
	term.shows("hello", shown+1)
	term.types(":wq\r")
	term.gone("sbx")
	if b, err := os.ReadFile(file); err != nil || string(b) != "hello\n" {
		t.Errorf("it wrote %q, %v", b, err)
	}
	term.types("exit 0\n")
	term.ends(0)
}
