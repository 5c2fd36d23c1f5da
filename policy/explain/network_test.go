package explain

import (
	"slices"
	"strings"
	"testing"

	"sbx/policy/seccomp"
)

func TestAttempts(t *testing.T) {
	for _, name := range rareCalls() {
		if _, err := seccomp.LookupSyscall(name); err != nil {
			t.Error(err)
		}
	}
	if len(Rare(seccomp.AMD64)) != len(rareCalls()) || slices.Contains(Observed(seccomp.AMD64),
		Rare(seccomp.AMD64)[0]) {
		t.Error(Rare(seccomp.AMD64))
	}
	for _, c := range []struct {
		policy  string
		keep    string
		a       Attempt
		answer  string // "" where nothing is said
		why     string
		allow   string
		against bool
		hosts   []string
	}{
		{"default", "", Attempt{Call: "connect", Address: "10.1.2.3:80"}, "ENETUNREACH",
			"policy default has no network", "--net host", false, nil},
		{"default", "", Attempt{Call: "connect", Address: "[2001:db8::1]:443"}, "ENETUNREACH",
			"policy default has", "--net host", false, nil},
		{"default", "", Attempt{Call: "connect", Address: "10.0.0.1:53"}, "ENETUNREACH",
			"to look up a name; ", "--net host", false, nil},
		{"default", "", Attempt{Call: "connect", Address: "127.0.0.1:5432", Idle: true}, "ECONNREFUSED",
			"nothing listens there", "--net host", false, nil},
		{"default", "", Attempt{Call: "connect", Address: "[::ffff:127.0.0.1]:5432", Idle: true}, "ECONNREFUSED",
			"nothing listens there", "--net host", false, nil},
		{"default", "", Attempt{Call: "connect", Address: "127.0.0.1:5432"}, "", "", "", false, nil},
		{"default", "", Attempt{Call: "connect", Address: "0.0.0.0:80"}, "", "", "", false, nil},
		{"default", "", Attempt{Call: "connect", Address: "an address of family 40"}, "", "", "", false, nil},
		{"default", "net_admin", Attempt{Call: "connect", Address: "10.1.2.3:80"}, "", "", "", false, nil},
		{"fetch", "", Attempt{Call: "connect", Address: "10.1.2.3:80"}, "", "", "", false, nil},
		{"default", "", Attempt{Call: "bind", Address: "0.0.0.0:80"}, "EACCES", "it takes CAP_NET_BIND_SERVICE",
			`capabilities = ["net_bind_service"] in [process]`, false, nil},
		{"default", "", Attempt{Call: "bind", Address: "0.0.0.0:8080"}, "", "", "", false, nil},
		{"default", "", Attempt{Call: "bind", Address: "0.0.0.0:0"}, "", "", "", false, nil},
		{"default", "?net_bind_service", Attempt{Call: "bind", Address: "0.0.0.0:80"}, "", "", "", false, nil},
		{"fetch", "", Attempt{Call: "bind", Address: "0.0.0.0:80"}, "", "", "", false, nil}, // from 80 on by the host
		{"fetch", "", Attempt{Call: "bind", Address: "0.0.0.0:79"}, "EACCES", "it takes CAP_NET_BIND_SERVICE",
			`capabilities = ["net_bind_service"] in [process]`, false, nil},
		{"default", "", Attempt{Call: "setgroups", Needs: "setgid"}, "EPERM", "it takes CAP_SETGID",
			`capabilities = ["setgid"] in [process]`, true, nil},
		{"default", "", Attempt{Call: "setresuid", Needs: "setuid"}, "EPERM", "it takes CAP_SETUID",
			`capabilities = ["setuid"] in [process]`, true, nil},
		{"default", "", Attempt{Call: "fchownat", Needs: "chown"}, "EPERM", "it takes CAP_CHOWN",
			`capabilities = ["chown"] in [process]`, true, nil},
		{"default", "?chown", Attempt{Call: "fchownat", Needs: "chown"}, "", "", "", false, nil},
		{"default", "", Attempt{Call: "setuid"}, "", "", "", false, nil},
		{"default", "", Attempt{Call: "connect", Address: "a.example:7"}, "ECONNREFUSED",
			"policy default does not name it in network.hosts", "--host a.example:7", false,
			[]string{"a.example:80"}},
		{"default", "", Attempt{Call: "connect", Address: "[2001:db8::1]:7"}, "ECONNREFUSED",
			"policy default does not name it", "--host [2001:db8::1]:7", false, []string{"a.example:80"}},
		{"default", "", Attempt{Call: "connect", Address: "a.example:80"}, "", "", "", false,
			[]string{"a.example:80"}},
		{"default", "", Attempt{Call: "connect", Address: "1.2.3.4:80"}, "", "", "", false, []string{"a.example:80"}},
		{"default", "", Attempt{Call: "connect", Address: "198.18.0.1:53"}, "", "", "", false,
			[]string{"a.example:80"}},
		{"default", "", Attempt{Call: "connect", Address: "127.0.0.1:5432", Idle: true}, "ECONNREFUSED",
			"nothing listens there", "--net host", false, []string{"a.example:80"}},
	} {
		j := find(t, c.policy)
		if c.hosts != nil {
			j.Policy.Network.Hosts = c.hosts
		}
		j.FirstPort, j.Root = 80, true
		if c.keep != "" {
			j.Policy.Process.Capabilities = []string{c.keep}
		}
		c.a.Count = 3
		r, err := j.Report(Record{Attempts: []Attempt{c.a}})
		if err != nil {
			t.Fatal(err)
		}
		if c.answer == "" {
			if len(r.Denials) != 0 {
				t.Errorf("%+v: %+v", c.a, r.Denials)
			}
			continue
		}
		if len(r.Denials) != 1 {
			t.Errorf("%+v: not told", c.a)
			continue
		}
		d := r.Denials[0]
		if d.Answer != c.answer || !strings.HasPrefix(d.Why, c.why) || d.Allow != c.allow || d.Count != 3 ||
			(d.Against != "") != c.against || d.Flag != strings.HasPrefix(c.allow, "--") {
			t.Errorf("%+v: %+v", c.a, d)
		}
		const head = "1 attempt failed for want of a network or a capability"
		if lines := r.Lines(false); len(lines) != 3 || !strings.HasSuffix(lines[0], head) {
			t.Errorf("%q", lines)
		}
	}
}

// TestNoCapability: a user is offered nothing that only root can have.
func TestNoCapability(t *testing.T) {
	bind := Attempt{Call: "bind", Address: "0.0.0.0:80", Count: 1}
	r, err := find(t, "default").Report(Record{Attempts: []Attempt{bind}})
	if err != nil || len(r.Denials) != 1 || r.Denials[0].Allow != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	const want = "    it takes CAP_NET_BIND_SERVICE, which the policy does not keep; only sbx run by root can " +
		"leave " +
		"a program a capability; a port from 1024 on takes none"
	if lines := r.Lines(false); lines[2] != want {
		t.Errorf("%q", lines)
	}
}

// TestUsersCredentials: a user's sandbox has no other users, so the kernel does not know whom
// the program would become.
func TestUsersCredentials(t *testing.T) {
	for call, want := range map[string]string{"setuid": "EINVAL", "setgroups": "EPERM"} {
		r, err := find(t, "default").Report(Record{Attempts: []Attempt{{Call: call, Needs: "setuid", Count: 1}}})
		if err != nil || len(r.Denials) != 1 || r.Denials[0].Answer != want || r.Denials[0].Allow != "" {
			t.Errorf("%s: %+v, %v", call, r, err)
		}
	}
}

// TestClocks: a clock has its own name, not that of another constant with the same number.
func TestClocks(t *testing.T) {
	for v, want := range []string{"CLOCK_REALTIME", "CLOCK_MONOTONIC"} {
		if got := constant("CLOCK_", uint64(v), seccomp.AMD64); got != want {
			t.Errorf("%d: %s", v, got)
		}
	}
}
