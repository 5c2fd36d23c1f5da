package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNoLandlock: on a kernel without Landlock the mounts stand alone. The run
// says so, and sbx's own file is as safe as with it, also from a target whose
// interpreter line is /proc/self/exe (how runc was overwritten, CVE-2019-5736).
func TestNoLandlock(t *testing.T) {
	before, err := os.ReadFile(binary("sbx"))
	if err != nil {
		t.Fatal(err)
	}
	without := deny(unix.ENOSYS, unix.SYS_LANDLOCK_CREATE_RULESET, unix.SYS_LANDLOCK_ADD_RULE,
		unix.SYS_LANDLOCK_RESTRICT_SELF)
	inSandbox := func(args ...string) result {
		dir := t.TempDir()
		evil := filepath.Join(dir, "evil")
		if err := os.WriteFile(evil, []byte("#!/proc/self/exe --\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return runFiltered(t, without, call{args: append([]string{binary("sbx")}, args...), dir: dir})
	}
	for _, policy := range []string{"default", "project", "fetch", "web"} {
		r := inSandbox("--policy", policy, "--read", binary("probe"), "--", binary("probe"), "trace")
		r.want(t, 0)
		if !strings.Contains(r.stderr, "sbx: note: ") {
			t.Errorf("%s: nothing said about Landlock: %v", policy, r)
		}
		for what, said := range r.answers() {
			if said == "ok" && strings.Contains(what, "exe") {
				t.Errorf("%s: %s is allowed", policy, what)
			}
		}
		r = inSandbox("--policy", policy, "--", "sh", "-c",
			`for p in /proc/[0-9]*/exe; do (echo evil >$p) 2>/dev/null && readlink $p; done; echo end`)
		r.want(t, 0, "end")
		if strings.Contains(r.stdout, "sbx") {
			t.Errorf("%s: wrote to sbx: %v", policy, r)
		}
		if r := inSandbox("--policy", policy, "--", "./evil"); r.status == 0 {
			t.Errorf("%s: a script interpreted by sbx itself succeeded: %v", policy, r)
		}
	}
	after, err := os.ReadFile(binary("sbx"))
	if err != nil || string(after) != string(before) {
		t.Errorf("bin/sbx changed (%v)", err)
	}
	// A policy that requires Landlock gets a refusal.
	dir := t.TempDir()
	text := "version = 1\nsummary = \"Landlock\"\nextends = [\"base\"]\n[process]\nlandlock = \"require\"\n[expect]\n"
	if err := os.WriteFile(filepath.Join(dir, "require.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	r := runFiltered(t, without, call{args: []string{binary("sbx"), "--policy", "./require.toml", "--", "touch", "ran"},
		dir: dir})
	if r.status != 125 || !strings.Contains(r.stderr, "Landlock") {
		t.Errorf("want 125 naming Landlock: %v", r)
	}
}
