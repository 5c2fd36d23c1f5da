package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// unixBait is what a host offers by Unix sockets: a stream and a datagram
// socket in one directory, and a datagram socket with an abstract name. It
// counts what comes.
type unixBait struct {
	dir, stream, dgram, abstract string
	counter
}

func layUnixBait(t *testing.T, name string) *unixBait {
	t.Helper()
	b := &unixBait{dir: t.TempDir(), abstract: fmt.Sprintf("sbx-unix-%d-%s", os.Getpid(), name)}
	b.stream, b.dgram = filepath.Join(b.dir, "stream"), filepath.Join(b.dir, "dgram")
	b.listen(t, b.stream, b.dgram, "@"+b.abstract)
	return b
}

// listen makes the sockets.
func (b *unixBait) listen(t *testing.T, stream string, dgrams ...string) {
	t.Helper()
	b.streams(t, "unix", stream)
	for _, name := range dgrams {
		b.datagrams(t, "unixgram", name)
	}
}

// closed fails for each way that led to a socket of the host.
func (b *unixBait) closed(t *testing.T, r result, before int64) {
	t.Helper()
	r.want(t, 0)
	answers := r.answers()
	tried := 0
	for what, said := range answers {
		tried++
		ownPair := strings.HasSuffix(what, "from a pair of seqpacket") // to its other half
		if said == "ok" && what != "own" && what != "open high" && !ownPair {
			t.Errorf("%s: ok", what)
		}
	}
	if tried < 20 {
		t.Errorf("only %d ways were tried\n%v", tried, r)
	}
	if now := b.count(); now != before {
		t.Errorf("%d came\n%v", now-before, r)
	}
}

// TestUnixSockets: no way leads to a Unix socket of the host that is there at the
// start in a directory that is shown, read-only or writable; not by the halves of pairs
// either. The program's own sockets work. Without own_sockets, or with Landlock, no way
// leads to one that is made later. The plan says which restriction holds.
func TestUnixSockets(t *testing.T) {
	b := layUnixBait(t, "early")
	ask := []string{"unix", b.stream, b.dgram, b.abstract}
	r := run(t, call{args: append([]string{binary("probe")}, ask...), dir: t.TempDir()})
	r.want(t, 0, "stream open and connect: ok", "dgram send: ok", "dgram connect: ok", "dgram from a pair of dgram: ok",
		"abstract from a pair of raw: ok",
		"dgram by connecting a pair of dgram: ok", "own: ok")
	before := b.count()
	if before < 7 {
		t.Fatalf("the bait is not taken: %d", before)
	}
	for _, flags := range [][]string{
		{"--policy", "default", "--read", b.dir}, {"--policy", "project", "--write", b.dir},
		{"--policy", "build", "--read", b.dir},
		{"--policy", "fetch", "--write", b.dir}, {"--policy", "web", "--read", b.dir},
		{"--policy", "filter", "--read", b.dir},
	} {
		r := sbxProbe(t, flags, ask...)
		t.Logf("%q", flags)
		b.closed(t, r, before)
		if own := r.answers()["own"]; own != "ok" {
			t.Errorf("%q: a socket of its own: %s", flags, own)
		}
	}
	// One that is made only when the program runs.
	strict := ownPolicyFile(t, "extends = [\"project\"]\n[files]\nown_sockets = false")
	late := filepath.Join(b.dir, "late")
	project := t.TempDir()
	done := make(chan result)
	go func() {
		done <- run(t, call{dir: project, args: []string{binary("sbx"), "--policy", strict, "--write", b.dir, "--read",
			binary("probe"), "--",
			binary("probe"), "unix", late, late + "-dgram", b.abstract + "-late", filepath.Join(project, "go")}})
	}()
	b.listen(t, late, late+"-dgram", "@"+b.abstract+"-late")
	if err := os.WriteFile(filepath.Join(project, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.closed(t, <-done, before)

	for policy, says := range map[string]string{
		strict:    "load seccomp filter \"no Unix sockets but pairs\"",
		"default": "note: the target can connect to Unix sockets that are made in shown directories after the start",
	} {
		if landlockABI(t) >= 9 {
			says = "no Unix sockets outside it"
		}
		r = sbx(t, "--policy", policy, "--dry-run", "--", "true")
		if !strings.Contains(r.stdout, says) {
			t.Errorf("%s: the plan does not say which restriction holds: %v", policy, r)
		}
	}
	if r = sbx(t, "--", "true"); strings.Contains(r.stderr, "note") {
		t.Errorf("a run says what only the plan has to: %v", r)
	}
}

// TestUnixSocketsOutOfSight: where a policy names some sockets, none of the others
// in what it shows can be called: not in a directory that cannot be read, nor below
// one of installed software.
func TestUnixSocketsOutOfSight(t *testing.T) {
	top := t.TempDir()
	places := []string{top, filepath.Join(top, "dark"), filepath.Join(top, "dark/deep"), filepath.Join(top, "own")}
	if asRoot() {
		opt, err := os.MkdirTemp("/opt", "sbx-it-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(opt)
		etc, err := os.MkdirTemp("/etc", "sbx-it-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(etc)
		places = append(places, opt, etc)
	}
	var c counter
	read := ""
	for _, dir := range places {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		c.streams(t, "unix", filepath.Join(dir, "s.sock"))
		if !strings.HasPrefix(dir, top+"/") {
			read += fmt.Sprintf("%q, ", dir)
		}
	}
	c.streams(t, "unix", filepath.Join(top, "named.sock"))
	dark := filepath.Join(top, "dark")
	if err := os.Chmod(dark, 0o311); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dark, 0o755) //nolint:errcheck // so that it can be removed
	before := c.count()
	connect := `
import socket, sys
for name in sys.argv[1:]:
    try:
        socket.socket(socket.AF_UNIX).connect(name)
        print(name + ": ok")
    except OSError as e:
        print(name + ": refused")
`
	args := []string{"python3", "-c", connect, filepath.Join(top, "named.sock")}
	for _, dir := range places {
		args = append(args, filepath.Join(dir, "s.sock"))
	}
	policy := ownPolicyFile(t, fmt.Sprintf("extends = [\"base\"]\n[files]\nread = [%s]\nsockets = [%q]", read,
		filepath.Join(top, "named.sock")))
	r := sbx(t, append([]string{"--policy", policy, "--"}, args...)...)
	r.want(t, 0, filepath.Join(top, "named.sock")+": ok")
	for what, said := range r.answers() {
		if said == "ok" && !strings.HasSuffix(what, "named.sock") {
			t.Errorf("%s: ok\n%v", what, r)
		}
	}
	if now := c.count(); now != before+1 {
		t.Errorf("%d came, want 1\n%v", now-before, r)
	}
}
