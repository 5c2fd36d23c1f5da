package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestByNameNested: in a sandbox whose network is of this kind another one may have such a
// network, and reaches what both policies name.
func TestByNameNested(t *testing.T) {
	onceInWorld(t, func(t *testing.T, w *world) {
		dir := filepath.Join(base, "user")
		file := filepath.Join(dir, "nest.toml")
		text := "version = 1\nextends = [\"default\"]\n[process]\nnest = true\n"
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(file)
		r := run(t, call{args: []string{binary("sbx"), "--policy", file, "--read", binary("sbx"), "--read", binary("probe"),
			"--host", "a.example:80", "--host", "10.9.9.9:80", "--", binary("sbx"), "--read", binary("probe"),
			"--host", "a.example:80", "--host", "six.example:80", "--host", "10.0.0.0/8:80", "--host", "a.example:7", "--",
			binary("probe"), "byname", "tcp=a.example:80", "tcp=six.example:80", "tcp=10.9.9.9:80", "tcp=10.1.1.1:80",
			"tcp=127.0.0.1:80", "tcp=a.example:7", "tcp=x.wild.example:80"},
			dir: dir, env: append(userEnv(), "HOME="+dir), attr: callers()["user"]})
		got := r.answers()
		for what, want := range map[string]string{
			"tcp=a.example:80": "ok", "tcp=six.example:80": "ECONNRESET", "tcp=10.9.9.9:80": "ok",
			"tcp=10.1.1.1:80":  "ECONNRESET",
			"tcp=127.0.0.1:80": "ECONNRESET", "tcp=a.example:7": "ECONNRESET", "tcp=x.wild.example:80": "ENOENT",
		} {
			if got[what] != want {
				t.Errorf("%s: %s, not %s\n%v", what, got[what], want, r)
			}
		}
		r = run(t, call{args: []string{binary("sbx"), "--policy", file, "--host", "a.example:80", "--", "true"}, dir: dir,
			env: append(userEnv(), "HOME="+dir)})
		const refused = "sbx: error: nest as root: the target could write to all of /proc/sys\n" +
			"sbx: hint: run sbx as a user\n"
		if r.status != 125 || !strings.Contains(r.stderr, refused) {
			t.Errorf("as root: %v", r)
		}
		if w.bait.Load() > 0 {
			t.Error("it came to the host's own")
		}
	})
}

// TestByNameWithoutNamespaces: where no network can be made, the refusal says what can be
// had in its place.
func TestByNameWithoutNamespaces(t *testing.T) {
	onceInWorld(t, func(t *testing.T, _ *world) {
		dir := filepath.Join(base, "user")
		try := func(args ...string) result {
			return run(t, call{args: args, dir: dir, env: append(userEnv(), "HOME="+dir), attr: callers()["user"]})
		}
		r := try("unshare", "-Ur", "sh", "-c",
			`echo 0 >/proc/sys/user/max_net_namespaces && exec "$0" --host a.example:80 -- true`,
			binary("sbx"))
		if r.status != 125 || !strings.Contains(r.stderr, "sbx: error: make new namespaces: ") ||
			!strings.Contains(r.stderr, "or run without namespaces, which protects less: sbx --no-namespaces") {
			t.Error(r)
		}
		for _, flags := range [][]string{{"--host", "a.example:80"}, {"--publish", "8080"}} {
			r := try(append(append([]string{binary("sbx"), "--no-namespaces"}, flags...), "--", "true")...)
			if r.status != 125 || !strings.Contains(r.stderr,
				`sbx: hint: name TCP ports in their place, which leads to all hosts: `+
					`connect = ["443"] and bind = ["8080"] in the policy's [network]`) {
				t.Error(r)
			}
		}
	})
}
