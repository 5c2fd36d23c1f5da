package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ownPolicyFile writes a policy file with these lines in it, and gives its
// path.
func ownPolicyFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "own.toml")
	if err := os.WriteFile(name, []byte("version = 1\n"+text+"\n[expect]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// TestPorts: with live listeners on the host, a policy that names ports leaves
// a way to those, by plain TCP, and to no other port by any protocol.
func TestPorts(t *testing.T) {
	if landlockABI(t) < 4 {
		r := sbx(t, "--policy", ownPolicyFile(t, "extends = [\"fetch\"]\n[network]\nconnect = [443]"), "--", "true")
		if r.status != 125 || !strings.Contains(r.stderr, "Landlock ABI 4") {
			t.Errorf("ports cannot be restricted here, and sbx does not say so: %v", r)
		}
		return
	}
	named, other := layBait(t, "named"), layBait(t, "other")
	port := func(b *bait) string { return b.addr[strings.LastIndex(b.addr, ":")+1:] }
	free, freeOther := fmt.Sprint(freePort(t)), fmt.Sprint(freePort(t))
	ask := []string{"ports", port(named), port(other), free, freeOther}
	r := run(t, call{args: append([]string{binary("probe")}, ask...), dir: t.TempDir()})
	r.want(t, 0)
	for _, what := range []string{"tcp", "tcp6", "mptcp", "udp", "sendto fastopen", "sendmsg fastopen",
		"sendmmsg fastopen", "connect fastopen"} {
		if got := r.answers()["other "+what]; got != "ok" {
			t.Errorf("the bait is not taken: %s: %s", what, got)
		}
	}
	r.want(t, 0, "other bind: ok", "other bind6: ok", "listen unbound: ok")
	tcp, udp, _ := other.came()
	namedTCP, namedUDP, _ := named.came()

	for _, network := range []string{
		"connect = [" + port(named) + "]\nbind = [" + free + "]",
		"connect = [" + port(named) + "]\nbind = []",
		"connect = [" + port(named) + "]",
		"connect = []\nbind = [" + free + ", 0]",
	} {
		policy := ownPolicyFile(t, "extends = [\"fetch\"]\n[network]\n"+network)
		r := sbxProbe(t, []string{"--policy", policy}, ask...)
		r.want(t, 0)
		answers := r.answers()
		connect, bindNone := !strings.Contains(network, "connect = []"), strings.Contains(network, "bind = []")
		want := map[string]string{"named tcp": "EACCES", "named tcp6": "EACCES", "other tcp": "EACCES",
			"other tcp6": "EACCES",
			"named bind": "ok", "named bind6": "ok", "other bind": "EACCES", "other bind6": "EACCES", "bind any": "EACCES",
			"listen unbound": "ok"}
		if connect {
			want["named tcp"], want["named tcp6"] = "ok", "ok"
		}
		if bindNone {
			want["named bind"], want["named bind6"], want["listen unbound"] = "EACCES", "EACCES", "EACCES"
		}
		if strings.Contains(network, ", 0]") {
			want["bind any"] = "ok"
		}
		if !strings.Contains(network, "bind") {
			want["other bind"], want["other bind6"], want["bind any"] = "ok", "ok", "ok"
		}
		for _, name := range []string{"named ", "other "} {
			for _, how := range []string{"mptcp", "sctp", "udp", "raw"} {
				want[name+how] = "EPROTONOSUPPORT"
			}
			for _, how := range []string{"sendto", "sendmsg", "sendmmsg", "connect"} {
				want[name+how+" fastopen"] = "ENOTSUP" // EOPNOTSUPP, the same number
			}
			want[name+"smc"] = "EAFNOSUPPORT"
		}
		for what, said := range want {
			if answers[what] != said {
				t.Errorf("%s: %s: %q, want %q", strings.ReplaceAll(network, "\n", "; "), what, answers[what], said)
			}
		}
	}
	if tcpNow, udpNow, _ := other.came(); tcpNow != tcp || udpNow != udp {
		t.Errorf("somebody came to the port that is not named: TCP %d, UDP %d", tcpNow-tcp, udpNow-udp)
	}
	if tcpNow, udpNow, _ := named.came(); tcpNow != namedTCP+6 || udpNow != namedUDP {
		t.Errorf("to the port that is named came TCP %d, want 6, and UDP %d, want 0", tcpNow-namedTCP, udpNow-namedUDP)
	}
	// The plan has it all.
	r = sbx(t, "--policy", ownPolicyFile(t, "extends = [\"fetch\"]\n[network]\nconnect = [443]\nbind = [0]"),
		"--dry-run", "--", "true")
	for _, line := range []string{"no TCP port to bind, none to connect to", "add a Landlock rule to bind TCP port 0",
		"add a Landlock rule to connect to TCP port 443"} {
		if !strings.Contains(r.stdout, line) {
			t.Errorf("the plan has no %q\n%v", line, r)
		}
	}
}
