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

// TestUnixSockets: no way leads to a Unix socket of the host in a directory
// that is shown, read-only or writable, before or after the start; not by the
// halves of pairs either. The run says which restriction holds.
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
		own := r.answers()["own"]
		if byLandlock := landlockABI(t) >= 9; flags[1] != "filter" && byLandlock != (own == "ok") {
			t.Errorf("%q: a socket of its own: %s", flags, own)
		}
	}
	// One that is made only when the program runs.
	late := filepath.Join(b.dir, "late")
	project := t.TempDir()
	done := make(chan result)
	go func() {
		done <- run(t, call{dir: project, args: []string{binary("sbx"), "--policy", "project", "--write", b.dir, "--read",
			binary("probe"), "--",
			binary("probe"), "unix", late, late + "-dgram", b.abstract + "-late", filepath.Join(project, "go")}})
	}()
	b.listen(t, late, late+"-dgram", "@"+b.abstract+"-late")
	if err := os.WriteFile(filepath.Join(project, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.closed(t, <-done, before)

	r = sbx(t, "--dry-run", "--", "true")
	says := "load seccomp filter \"no Unix sockets but pairs\""
	if landlockABI(t) >= 9 {
		says = "no Unix sockets outside it"
	}
	if !strings.Contains(r.stdout, says) {
		t.Errorf("the plan does not say which restriction holds: %v", r)
	}
}
