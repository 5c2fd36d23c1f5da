package integration

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNamedSockets: a socket that the policy names can be connected to, another
// beside it cannot; with open all can, and a shell's programs can talk among
// themselves. So it is on kernels with Landlock's right for sockets and on
// those without.
func TestNamedSockets(t *testing.T) {
	b := layUnixBait(t, "named")
	other := layUnixBait(t, "other")
	before, otherBefore := b.count(), other.count()
	ask := func(args ...string) result {
		return run(t, call{dir: t.TempDir(), args: append(append([]string{binary("sbx"), "--read", binary("probe")}, args...),
			"--", binary("probe"), "unix", b.stream, b.dgram, b.abstract)})
	}
	// By its own name, in a directory that is not shown otherwise and in one
	// that is; and by its directory.
	for _, c := range []struct {
		policy        string
		stream, dgram bool
	}{
		{"[files]\nsockets = [\"" + b.stream + "\"]", true, false},
		{"[files]\nread = [\"" + b.dir + "\"]\nsockets = [\"" + b.stream + "\"]", true, false},
		{"[files]\nread = [\"" + b.dir + "\"]\nsockets = [\"" + b.dir + "\"]", true, true},
		{"[files]\nwrite = [\"" + b.dir + "\"]\nsockets = [\"" + b.dgram + "\"]", false, true},
		{"[files]\nread = [\"" + b.dir + "\"]\nsockets = [\"" + other.dir + "\"]", false, false},
	} {
		r := ask("--policy", ownPolicyFile(t, "extends = [\"default\"]\n"+c.policy))
		r.want(t, 0)
		answers := r.answers()
		for what, want := range map[string]bool{"stream open and connect": c.stream, "dgram send": c.dgram, "own": true} {
			if (answers[what] == "ok") != want {
				t.Errorf("%s\n%s: %s", c.policy, what, answers[what])
			}
		}
		now := b.count()
		if (now > before) != (c.stream || c.dgram) {
			t.Errorf("%s\n%d came", c.policy, now-before)
		}
		before = now
	}
	if n := other.count(); n != otherBefore {
		t.Errorf("%d came to a socket that nobody asked for", n-otherBefore)
	}
	// open has them all.
	ask("--policy", "open").want(t, 0, "stream open and connect: ok", "dgram send: ok", "own: ok")
	// A shell has none, and its own.
	before = b.count()
	r := ask("--policy", "shell", "--read", b.dir)
	r.want(t, 0, "own: ok")
	for _, what := range []string{"stream open and connect", "dgram send", "dgram from a pair of dgram"} {
		if r.answers()[what] == "ok" {
			t.Errorf("shell: %s", what)
		}
	}
	if n := b.count(); n != before {
		t.Errorf("shell: %d came", n-before)
	}
	// The plan says which restrictions hold where they are not the best ones.
	r = ask("--policy", "shell", "--read", b.dir, "--dry-run")
	noted := strings.Contains(r.stdout, "Unix sockets that are made in shown directories")
	if best := landlockABI(t) >= 9; noted == best {
		t.Errorf("noted: %v\n%v", noted, r)
	}
	r = sbx(t, "--policy", "shell", "--", "true")
	if r.status != 0 || r.stderr != "" {
		t.Errorf("shell shows nothing of the host that changes, so there is nothing to note: %v", r)
	}
}

// TestNotifyOnly: the service manager's socket is there, as it has to be, and
// others beside the shown files are not.
func TestNotifyOnly(t *testing.T) {
	b := layUnixBait(t, "notify")
	before := b.count()
	manager := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenPacket("unixgram", manager)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := os.Chmod(manager, 0o777); err != nil {
		t.Fatal(err)
	}
	r := run(t, call{dir: t.TempDir(), env: append(userEnv(), "NOTIFY_SOCKET="+manager),
		args: []string{binary("sbx"), "--read", binary("probe"), "--read", b.dir, "--", binary("probe"), "unix", b.stream,
			b.dgram, b.abstract}})
	r.want(t, 0)
	for _, what := range []string{"stream open and connect", "dgram send", "dgram from a pair of dgram",
		"dgram by connecting a pair of dgram"} {
		if said := r.answers()[what]; said == "ok" || said == "" {
			t.Errorf("%s: %q", what, said)
		}
	}
	if n := b.count(); n != before {
		t.Errorf("%d came", n-before)
	}
	r = run(t, call{dir: t.TempDir(), env: append(userEnv(), "NOTIFY_SOCKET="+manager),
		args: []string{binary("sbx"), "--read", binary("probe"), "--", binary("probe"), "notify", "READY=1"}})
	r.want(t, 0, "notified")
	buf := make([]byte, 100)
	if n, _, err := conn.ReadFrom(buf); err != nil || string(buf[:n]) != "READY=1" {
		t.Errorf("the manager heard %q, %v", buf[:n], err)
	}
}
