package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// TestOwnTerminalDeaths: the caller's terminal has its modes back, whoever
// dies, and of what.
func TestOwnTerminalDeaths(t *testing.T) {
	inside := func(term *terminal) int {
		for _, p := range descendants(t, term.cmd.Process.Pid) {
			if p.name == "probe" {
				return p.pid
			}
		}
		t.Fatal("there is no target")
		return 0
	}
	for _, death := range []struct {
		name   string
		status int
		of     func(*terminal) error
	}{
		{"end", 42, func(term *terminal) error { term.types("\x03"); return nil }},
		{"target killed", 137, func(term *terminal) error { return unix.Kill(inside(term), unix.SIGKILL) }},
		{"launcher told to end", 143, func(term *terminal) error { return unix.Kill(term.cmd.Process.Pid, unix.SIGTERM) }},
		{"launcher killed", 137, func(term *terminal) error { return unix.Kill(term.cmd.Process.Pid, unix.SIGKILL) }},
		{"janitor killed", 137, func(term *terminal) error {
			for _, p := range descendants(t, term.cmd.Process.Pid) {
				if p.name == "sbx-janitor" {
					return unix.Kill(p.pid, unix.SIGKILL)
				}
			}
			return fmt.Errorf("there is no janitor")
		}},
	} {
		t.Run(death.name, func(t *testing.T) {
			term := waitingFor(t, func() *terminal { return atTerminal(t, ownTerminal(t, binary("probe"), "tty-wait")...) })
			if err := death.of(term.terminal); err != nil {
				t.Fatal(err)
			}
			term.ends(death.status)
			term.restored()
		})
	}
}

// waiting is a terminal with what its modes were.
type waiting struct {
	*terminal
	before unix.Termios
}

func waitingFor(t *testing.T, start func() *terminal) waiting {
	t.Helper()
	w := waiting{before: newModes(t)}
	w.terminal = start()
	w.shows("ready", 1)
	w.takenOver()
	return w
}

// newModes are those of every new pty. Those of one at which something runs
// already may be its.
func newModes(t *testing.T) unix.Termios {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	modes, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{master, slave} {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return *modes
}

func (w waiting) restored() {
	w.t.Helper()
	eventually(w.t, "the terminal's modes to be restored", func() bool { return w.modes() == w.before })
}

// TestOwnTerminalKilledAtAnyInstant: the launcher is killed at every second
// millisecond of its first fifty, and of those after it took the terminal.
func TestOwnTerminalKilledAtAnyInstant(t *testing.T) {
	args := ownTerminal(t, "sleep", "100")
	before := newModes(t)
	for after := range 30 {
		term := atTerminal(t, args...)
		if after >= 25 {
			term.takenOver()
			after -= 25
		}
		time.Sleep(time.Duration(2*after) * time.Millisecond)
		if err := term.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		term.ends(137)
		eventually(t, "the terminal's modes to be restored", func() bool { return term.modes() == before })
		noStrays(t)
	}
}

// TestOwnTerminalKilledBelowShell: the shell that takes the terminal back, or
// has it while the job is stopped, is not disturbed by the janitor: readline
// goes on in modes of its own.
func TestOwnTerminalKilledBelowShell(t *testing.T) {
	for n := range 6 {
		term := shellAt(t)
		term.types(joined(ownTerminal(t, binary("probe"), "tty-wait")) + "\n")
		term.shows("ready", 1)
		term.takenOver()
		if n%2 == 1 {
			term.types("\x1a")
			term.shows("Stopped", 1)
		}
		for _, p := range descendants(t, term.cmd.Process.Pid) {
			if p.name == "sbx" {
				if err := unix.Kill(p.pid, unix.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
		}
		term.gone("sbx-janitor")
		if n%2 == 1 {
			term.types("\n") // bash tells at the next prompt
		}
		term.shows("Killed", 1)
		// By readline. Between the janitor's look and its repair the shell may
		// have come in after all: then it takes the terminal at its next prompt.
		eventually(t, "the terminal to be readline's", func() bool {
			if term.modes().Lflag&(unix.ICANON|unix.ECHO) == 0 {
				return true
			}
			term.types("\n")
			time.Sleep(50 * time.Millisecond)
			return false
		})
		term.types("echo fins\x7fe $((40+2))\n")
		term.shows("fine 42", 1)
		term.types("exit 0\n")
		term.ends(0)
	}
}

// TestOwnTerminalHangup: a terminal that is closed hangs up on the target too.
func TestOwnTerminalHangup(t *testing.T) {
	dir := t.TempDir()
	marker := filepath.Join(dir, "hung-up")
	args := ownTerminal(t, "bash", "--norc", "--noprofile", "-c",
		`trap 'echo HUP >>"$0"; exit 1' HUP; echo ready; sleep 100 & wait`, marker)
	args = append([]string{args[0], "--write", dir}, args[1:]...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, userEnv()
	master, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	buf, out := make([]byte, 1024), ""
	for !strings.HasSuffix(out, "ready\r\n") {
		n, err := master.Read(buf)
		if err != nil {
			t.Fatal(err, out)
		}
		out += string(buf[:n])
	}
	if err := master.Close(); err != nil {
		t.Fatal(err)
	}
	if status, err := exitStatus(cmd.Wait()); err != nil || status != 1 {
		t.Errorf("status %d, %v, want the target's 1", status, err)
	}
	if b, err := os.ReadFile(marker); err != nil || string(b) != "HUP\n" {
		t.Errorf("the target heard %q, %v", b, err)
	}
	noStrays(t)
}

// TestOwnTerminalNobodyReads: a terminal whose reader has stopped holds up the
// target, and neither signals nor the end.
func TestOwnTerminalNobodyReads(t *testing.T) {
	for _, target := range []string{"yes", "echo much; seq 100000; sleep 100"} {
		args := ownTerminal(t, "sh", "-c", target)
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir, cmd.Env = t.TempDir(), userEnv()
		master, err := pty.Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the terminal to be full", func() bool {
			n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCINQ)
			return err == nil && n > 4000
		})
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		for ended := false; !ended; {
			// The first is the target's; it may take another to lose patience
			// with what is left to be shown.
			if err := cmd.Process.Signal(unix.SIGTERM); err != nil && err != os.ErrProcessDone {
				t.Fatal(err)
			}
			select {
			case err := <-done:
				ended = true
				if status, err := exitStatus(err); err != nil || status != 143 {
					t.Errorf("status %d, %v, want 143", status, err)
				}
			case <-time.After(200 * time.Millisecond):
			}
		}
		if err := master.Close(); err != nil {
			t.Fatal(err)
		}
		noStrays(t)
	}
}

// TestOwnTerminalTyping: even where the filter lets a program type, it types
// at its own terminal and not for the user.
func TestOwnTerminalTyping(t *testing.T) {
	if legacy, err := os.ReadFile("/proc/sys/dev/tty/legacy_tiocsti"); err == nil && string(legacy) == "0\n" {
		t.Skip("the kernel lets nobody type: dev.tty.legacy_tiocsti is 0")
	}
	for mode, want := range map[string]string{"inherit": "typed <x>", "pty": "typed <>"} {
		name := filepath.Join(t.TempDir(), "typing.toml")
		text := fmt.Sprintf("version = 1\nsummary = \"test\"\nextends = [\"shell\"]\n[process]\nterminal = %q\n"+
			"[seccomp]\nallow = [\"@terminal-input\"]\n[expect]\n", mode)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		term := atTerminal(t, "/bin/bash", "--norc", "--noprofile", "-c",
			`"$@" | grep '^TIOCSTI:'; stty -icanon min 0 time 5; typed=$(head -c 1); echo "typed <$typed>"`,
			"bash", binary("sbx"), "--policy", name, "--read", binary("probe"), "--", binary("probe"), "tty")
		term.shows("typed <", 1)
		term.ends(0)
		if out := term.out.String(); !strings.Contains(out, "TIOCSTI: ok") || !strings.Contains(out, want) {
			t.Errorf("%s: want %s\n%s", mode, want, out)
		}
	}
}
