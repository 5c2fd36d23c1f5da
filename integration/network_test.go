package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// bait is what a host offers: TCP, MPTCP and UDP on the loopback, Unix sockets
// by path and by abstract name. It counts who comes.
type bait struct {
	addr, path, abstract string
	tcp, udp, unix       counter
}

func layBait(t *testing.T, name ...string) *bait {
	t.Helper()
	b := &bait{path: filepath.Join(t.TempDir(), "bait"),
		abstract: fmt.Sprintf("sbx-bait-%d%s", os.Getpid(), strings.Join(name, ""))}
	b.addr = b.tcp.streams(t, "tcp", "127.0.0.1:0")
	for _, name := range []string{b.path, "@" + b.abstract} {
		b.unix.streams(t, "unix", name)
	}
	b.udp.datagrams(t, "udp", b.addr)
	return b
}

// came is who came until now.
func (b *bait) came() (tcp, udp, unix int64) { return b.tcp.count(), b.udp.count(), b.unix.count() }

// TestNetworkOff: with live listeners on the host, nothing gets there from a
// policy without network: TCP, MPTCP, TCP Fast Open, UDP, Unix sockets by
// path and abstract; and no other family is a way out.
func TestNetworkOff(t *testing.T) {
	b := layBait(t)
	// The bait is good: without sbx everything gets through.
	r := run(t, call{args: []string{binary("probe"), "sock", b.addr, b.path, b.abstract}, dir: t.TempDir()})
	r.want(t, 0, "tcp connect: ok", "mptcp connect: ok", "udp send: ok", "unix path: ok", "unix abstract: ok")
	tcp, udp, unixes := b.came()
	if tcp < 2 || udp < 1 || unixes < 2 {
		t.Fatalf("the bait is not taken: %d %d %d", tcp, udp, unixes)
	}
	for _, flags := range [][]string{
		{"--policy", "default"}, {"--policy", "project"}, {"--policy", "build"}, {"--policy", "shell"},
		{"--policy", "filter"}, {"--policy", "pure"},
		{"--policy", "fetch", "--net", "none"}, {"--policy", "web", "--net", "none"},
		// The socket's file shown read-only is still a door, unless closed.
		{"--policy", "default", "--read", filepath.Dir(b.path)},
	} {
		r := sbxProbe(t, flags, "sock", b.addr, b.path, b.abstract)
		r.want(t, 0)
		answers := r.answers()
		for _, what := range []string{"tcp connect", "mptcp connect", "tcp fastopen", "sctp", "raw", "packet",
			"netlink netfilter",
			"vsock", "vsock 64-bit", "alg", "alg 64-bit", "bluetooth", "can", "tipc", "unix abstract"} {
			if answers[what] == "ok" || answers[what] == "" {
				t.Errorf("%q: %s: %q", flags, what, answers[what])
			}
		}
		if len(flags) == 2 && answers["unix path"] == "ok" {
			t.Errorf("%q: a Unix socket of the host's is reachable", flags)
		}
		if list := answers["interfaces"]; list != "lo" && list != "EPERM" && list != "EAFNOSUPPORT" && list != "EACCES" &&
			!strings.HasPrefix(list, "route ip+net") {
			t.Errorf("%q: interfaces %q", flags, list)
		}
	}
	tcpNow, udpNow, unixNow := b.came()
	if tcpNow != tcp || udpNow != udp {
		t.Errorf("somebody got out: TCP %d, UDP %d", tcpNow-tcp, udpNow-udp)
	}
	if unixNow > unixes+1 {
		t.Errorf("somebody got out by Unix sockets: %d", unixNow-unixes)
	}
}

// TestNetworkOn: with the host's network, TCP and UDP work as outside, and
// the ways that lead past it are shut all the same.
func TestNetworkOn(t *testing.T) {
	b := layBait(t)
	r := sbxProbe(t, []string{"--policy", "fetch"}, "sock", b.addr, b.path, b.abstract)
	r.want(t, 0, "tcp connect: ok", "udp send: ok")
	answers := r.answers()
	for _, what := range []string{"raw", "packet", "vsock", "vsock 64-bit", "alg", "alg 64-bit", "netlink netfilter",
		"unix path"} {
		if answers[what] == "ok" || answers[what] == "" {
			t.Errorf("%s: %q", what, answers[what])
		}
	}
	if landlockABI(t) >= 6 && answers["unix abstract"] == "ok" {
		t.Error("abstract sockets of the host's are reachable, though Landlock could scope them")
	}
}

// landlockABI is the kernel's, 0 for none.
func landlockABI(t *testing.T) int {
	t.Helper()
	r, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(r)
}
