package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOfferExplain: at a terminal, and only there, a run that a filter has ended says how
// to find out why.
func TestOfferExplain(t *testing.T) {
	policy := filepath.Join(t.TempDir(), "kill.toml")
	text := "version = 1\nsummary = \"kills\"\nextends = [\"default\"]\n[[seccomp.rule]]\nsyscalls = [\"unshare\"]\n" +
		"action = \"kill-process\"\n[expect]\n"
	if err := os.WriteFile(policy, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	const offer = "sbx: note: the program was ended by SIGSYS"
	args := []string{binary("sbx"), "--policy", policy, "--", "unshare", "--user", "true"}
	term := atTerminal(t, args...)
	term.ends(128 + 31)
	if out := term.out.String(); !strings.Contains(out, offer) {
		t.Errorf("%q", out)
	}
	if r := run(t, call{args: args, dir: t.TempDir()}); r.status != 128+31 || strings.Contains(r.stderr, "sbx:") {
		t.Errorf("%v", r)
	}
	term = atTerminal(t, append([]string{args[0], "--explain"}, args[1:]...)...)
	term.ends(128 + 31)
	if out := term.out.String(); strings.Contains(out, offer) || !strings.Contains(out, "unshare(CLONE_NEWUSER) killed") {
		t.Errorf("%q", out)
	}
	term = atTerminal(t, args[0], "--", "sh", "-c", "no-such-program-anywhere")
	term.ends(127)
	if out := term.out.String(); !strings.Contains(out, "sbx: note: status 127 mostly means") {
		t.Errorf("%q", out)
	}
	r := run(t, call{args: []string{args[0], "--", "sh", "-c", "no-such-program-anywhere"}, dir: t.TempDir()})
	if r.status != 127 || strings.Contains(r.stderr, "sbx:") {
		t.Errorf("%v", r)
	}
}

// TestExplainTerminal: a program that the policy has given no terminal finds none at
// /dev/tty. Where the caller has none either, that is not told.
func TestExplainTerminal(t *testing.T) {
	policy := filepath.Join(t.TempDir(), "session.toml")
	text := "version = 1\nsummary = \"has no terminal\"\nextends = [\"default\"]\n" +
		"[process]\nterminal = \"new-session\"\n[expect]\n"
	if err := os.WriteFile(policy, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{binary("sbx"), "--explain-files", "--policy", policy, "--", "sh", "-c", "! true </dev/tty"}
	const told = "/dev/tty was answered with ENXIO"
	term := atTerminal(t, args...)
	term.ends(0)
	if out := term.out.String(); !strings.Contains(out, told) || !strings.Contains(out, `terminal = "pty" in [process]`) {
		t.Errorf("%q", out)
	}
	if r := run(t, call{args: args, dir: t.TempDir()}); r.status != 0 || strings.Contains(r.stderr, told) {
		t.Errorf("%v", r)
	}
}
