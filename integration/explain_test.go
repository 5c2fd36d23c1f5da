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
}
