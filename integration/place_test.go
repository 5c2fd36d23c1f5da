package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStanding: nobody means a place as a project by standing in it, where
// programs keep what they run or obey: nothing can be written there, and tokens
// are not shown. Who names it by -C means it.
func TestStanding(t *testing.T) {
	home := t.TempDir()
	at := func(name string) string { return filepath.Join(home, name) }
	places := []string{
		".config/gh", ".cargo/bin", "bin", "bin/sub", ".vim/plugin", ".anything/deep/er", "p/.git", "p/.git/hooks",
		"p/.github/workflows", "bare/hooks", "bare", "tools", "tools/sub",
	}
	projects := []string{"p", "p/src", "work/p.git", "half"}
	for _, d := range append(append([]string{"bare/objects", "bare/refs", "half/objects"}, places...), projects...) {
		if err := os.MkdirAll(at(d), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at(d+"/hosts.yml"), []byte("token: "+canaryString+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(at("bare/HEAD"), []byte("ref: refs/heads/main\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(userEnv(), "HOME="+home)
	env[0] += ":" + at("tools")
	try := func(place, policy string, flags ...string) result {
		t.Helper()
		args := append(append([]string{binary("sbx"), "--policy", policy}, flags...), "--", "/bin/sh", "-c",
			`cat "$0/hosts.yml"; echo evil >"$0/planted"; exit 0`, at(place))
		r := run(t, call{args: args, dir: at(place), env: env})
		r.want(t, 0)
		return r
	}
	planted := func(place string) bool {
		_, err := os.Stat(at(place + "/planted"))
		return err == nil
	}
	for _, place := range places {
		for _, policy := range []string{"default", "project", "build", "fetch"} {
			shows := policy == "build" && place == ".cargo/bin" // wherever one stands, read-only
			if r := try(place, policy); strings.Contains(r.stdout, canaryString) != shows {
				t.Errorf("%s: %s shows it, or not: %v", place, policy, r)
			}
			if planted(place) {
				t.Fatalf("%s: %s wrote there", place, policy)
			}
		}
		if r := try(place, "default", "-C", "."); !strings.Contains(r.stdout, canaryString) {
			t.Errorf("%s: it is not shown by -C: %v", place, r)
		}
	}
	for _, place := range projects {
		if r := try(place, "project"); !strings.Contains(r.stdout, canaryString) || !planted(place) {
			t.Errorf("%s: it is no project: %v", place, r)
		}
	}
	// -C opens neither the places of keys nor those of sbx itself.
	for _, place := range []string{".ssh", ".config", ".config/sbx/policies", ".cache/sbx"} {
		if err := os.MkdirAll(at(place), 0o755); err != nil {
			t.Fatal(err)
		}
		r := run(t, call{args: []string{binary("sbx"), "--policy", "project", "-C", ".", "--", "touch", "planted"},
			dir: at(place), env: env})
		if r.status == 0 || planted(place) {
			t.Errorf("%s: -C . opens it: %v", place, r)
		}
	}
	// At a terminal the run says why.
	term := atTerminal(t, "/bin/sh", "-c", `cd "$1" && HOME="$2" exec "$0" -- true`, binary("sbx"), at(".config/gh"), home)
	term.shows(`which programs keep for themselves; -C . shows it)`, 1)
	term.ends(0)
}

// TestStandingInSystem: the machine's own directories are no project either, even root's,
// but by -C.
func TestStandingInSystem(t *testing.T) {
	const name = ".sbx-test-planted"
	for _, dir := range []string{"/usr/share", "/etc/alternatives", "/usr/local"} {
		if _, err := os.Stat(dir); err != nil {
			t.Fatal(err)
		}
		for _, policy := range []string{"project", "build", "commit", "fetch"} {
			r := run(t, call{args: []string{binary("sbx"), "--policy", policy, "--", "touch", filepath.Join(dir, name)},
				dir: dir, env: userEnv()})
			if r.status == 0 {
				t.Errorf("%s: %s: %v", dir, policy, r)
			}
			if os.Remove(filepath.Join(dir, name)) == nil {
				t.Errorf("%s: %s wrote there", dir, policy)
			}
		}
	}
}
