package oci

import (
	"strings"
	"testing"

	"sbx/policy/seccomp"
)

// TestAccepted: what runtimes take and make nothing of is taken here, too.
func TestAccepted(t *testing.T) {
	for _, text := range []string{
		`{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read", "clone3"], "action": "SCMP_ACT_ALLOW"}]}`,
		`{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["clone3"], "action": "SCMP_ACT_ALLOW"}, {"names": ` +
			`["clone3"], "action": "SCMP_ACT_ALLOW"}]}`,
		`{"comment": "made by hand", "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": ` +
			`"SCMP_ACT_ALLOW"}]}`,
		`{"listenerPath": "", "listenerMetadata": "", "defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}`,
		`{"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1, "syscalls": [{"names": ["ptrace"], "action": ` +
			`"SCMP_ACT_ERRNO"}]}`,
		`{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "errnoRet": ` +
			`0}, {"names": ["bpf"], "action": "SCMP_ACT_KILL", "errnoRet": 5}]}`,
		"\xef\xbb\xbf" + `{"defaultAction": "SCMP_ACT_ERRNO"}`,
	} {
		if !strings.HasPrefix(text, "{") {
			text = text[3:] // the reference reads none
			if _, err := Parse("p", []byte("\xef\xbb\xbf"+text)); err != nil {
				t.Errorf("with a byte order mark: %v", err)
			}
		}
		p := imported(t, text)
		for i, e := range p.Allow {
			for _, f := range p.Allow[:i] {
				if e == f {
					t.Errorf("%s: %q is allowed twice", text, e)
				}
			}
		}
	}
}

// TestOverlap: of rules that hold together and differ the strictest counts, in
// either order, and a note says so.
func TestOverlap(t *testing.T) {
	const netlink = `{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": [{"index": 0, "value": ` +
		`40, "op": "SCMP_CMP_EQ"}]}`
	const others = `{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 2, "value": 9, "op": ` +
		`"SCMP_CMP_NE"}]},
		{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 16, "op": "SCMP_CMP_NE"}]}`
	for _, rules := range []string{netlink + "," + others, others + "," + netlink} {
		profile, err := Parse("p",
			[]byte(`{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": [`+rules+`]}`))
		if err != nil {
			t.Fatal(err)
		}
		p, notes, err := profile.Policy(targets[0])
		if err != nil || len(notes) == 0 || !strings.Contains(notes[0], "the stricter counts") {
			t.Fatal(notes, err)
		}
		for args, want := range map[[6]uint64]seccomp.Action{
			{40, 1, 0}: {Kind: seccomp.Errno, Errno: 1}, {2, 1, 0}: {Kind: seccomp.Allow},
			{16, 3, 9}: {Kind: seccomp.Errno, Errno: 38},
			{40, 1, 9}: {Kind: seccomp.Errno, Errno: 1},
		} {
			if c, err := p.Decide(seccomp.AMD64, seccomp.AMD64.Audit(), 41, args); err != nil || c.Action != want {
				t.Errorf("socket%v: %v, want %v (%v)", args, c.Action, want, err)
			}
		}
	}
}

// TestLossy: an unknown call is skipped where it would be allowed, by its name
// and place, and nowhere else.
func TestLossy(t *testing.T) {
	const text = `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
		{"names": ["read", "warp_drive"], "action": "SCMP_ACT_ALLOW"},
		{"names": ["hyperspace"], "action": "SCMP_ACT_ALLOW"}]}`
	if _, err := Parse("p.json", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), "p.json:2:") {
		t.Errorf("%v", err)
	}
	profile, err := ParseLossy("p.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if s := profile.Skipped(); len(s) != 2 || !strings.HasPrefix(s[0], "p.json:2:") ||
		!strings.Contains(s[0], "warp_drive") || !strings.Contains(s[1], "hyperspace") {
		t.Errorf("skipped %q", s)
	}
	p, _, err := profile.Policy(targets[0])
	if err != nil {
		t.Fatal(err)
	}
	if c, err := p.Decide(seccomp.AMD64, seccomp.AMD64.Audit(), 0, [6]uint64{}); err != nil ||
		c.Action.Kind != seccomp.Allow {
		t.Errorf("read: %v %v", c.Action, err)
	}
	for _, action := range []string{"SCMP_ACT_ERRNO", "SCMP_ACT_KILL"} {
		deny := `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["warp_drive"], "action": "` + action + `"}]}`
		if _, err := ParseLossy("p.json", []byte(deny)); err == nil {
			t.Errorf("%s for an unknown call was skipped", action)
		}
	}
}
