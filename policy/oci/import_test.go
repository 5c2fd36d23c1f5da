package oci

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	moby "github.com/moby/profiles/seccomp"

	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/compile"
)

// check holds the policy made of a profile against the reference, for every
// call of every architecture; calls with arguments that matter are tried with
// many.
func check(t testing.TB, data []byte, target Target, p *seccomp.Policy, tries int) {
	t.Helper()
	profile, err := decode(data)
	if err != nil {
		t.Fatalf("accepted, but not by Docker: %v", err)
	}
	ref := newReference(profile, target)
	abis, err := p.ABIs(target.Arch)
	if err != nil {
		t.Fatal(err)
	}
	if len(abis) != len(ref.arches) {
		t.Fatalf("architectures %v, want %v", abis, ref.arches)
	}
	ruled := map[string]bool{"clone": true, "clone3": true, "unshare": true, "ioctl": true}
	for _, rule := range ref.rules {
		for _, n := range rule.Names {
			ruled[n] = ruled[n] || len(rule.Args) > 0
		}
	}
	vals, random := ref.interesting(), rand.New(rand.NewPCG(1, 2))
	for _, a := range abis {
		answers, err := p.Answers(a)
		if err != nil {
			t.Fatal(err)
		}
		for s := range seccomp.Syscalls() {
			nr, ok := s.Number(a)
			if !ok || slices.Contains(otherwiseAnswered(a), s.Name()) {
				continue
			}
			n := 2
			if ruled[s.Name()] {
				n = tries
			}
			for i := range n {
				var args [6]uint64
				for k := range args {
					args[k] = vals[random.IntN(len(vals))]
				}
				if i < len(vals) {
					args[0] = vals[i]
				}
				if !a.Wide() {
					for k := range args {
						args[k] &= 1<<32 - 1
					}
				}
				want := ref.answer(s, a, canonical(s, a, args))
				if a != target.Arch && ref.patched && !listed(ref, s.Name()) {
					// Whether unlisted calls get ENOSYS depends on the last listed
					// number, and that on the architecture; a policy speaks of
					// names, and says the machine's own. They are not made anyway.
					got := answers.Decide(nr, args).Action
					if got != ref.deflt && got != (seccomp.Action{Kind: seccomp.Errno, Errno: 38}) {
						t.Fatalf("%s on %s: %v, want %v", s.Name(), a, got, want)
					}
					continue
				}
				got := answers.Decide(nr, args)
				if want == conflict {
					ref.strictest(t, s, got.Action, canonical(s, a, args))
					continue
				}
				if got.Action != want {
					t.Fatalf("%s%#x on %s: %v by %s, want %v\n%s", s.Name(), args, a, got.Action, got.Why, want, p.Key())
				}
			}
		}
	}
}

func listed(r *reference, name string) bool {
	return len(r.byName[name]) > 0
}

// otherwiseAnswered are the calls that policies answer more strictly than any
// runtime, because what they do lies in memory.
func otherwiseAnswered(a seccomp.Arch) []string {
	if a == seccomp.I386 {
		return []string{"socketcall", "ipc", "mmap", "select"}
	}
	return nil
}

var targets = []Target{
	{Arch: seccomp.AMD64, Kernel: seccomp.Release{Major: 6, Minor: 18}},
	{Arch: seccomp.AMD64, Kernel: seccomp.Release{Major: 4, Minor: 7}},
	{Arch: seccomp.ARM64, Kernel: seccomp.Release{Major: 6, Minor: 1}},
	{Arch: seccomp.AMD64, Kernel: seccomp.Release{Major: 6, Minor: 1}, Capabilities: []string{"sys_admin"}},
	{Arch: seccomp.AMD64, Kernel: seccomp.Release{Major: 6, Minor: 1},
		Capabilities: []string{"sys_ptrace", "syslog", "sys_chroot", "bpf"}},
	{Arch: seccomp.ARM64, Kernel: seccomp.Release{Major: 6, Minor: 1},
		Capabilities: []string{"sys_admin", "sys_time", "perfmon"}},
}

// TestMoby imports Docker's default profile for several machines and containers.
func TestMoby(t *testing.T) {
	data, err := json.Marshal(moby.DefaultProfile())
	if err != nil {
		t.Fatal(err)
	}
	profile, err := Parse("default.json", data)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		p, notes, err := profile.Policy(target)
		if err != nil {
			t.Fatal(err)
		}
		if len(notes) > 0 {
			t.Errorf("%v", notes)
		}
		check(t, data, target, p, 1000)
		if _, err := compile.Compile(p, target.Arch, nil); err != nil {
			t.Error(err)
		}
		for _, r := range p.Rules {
			if err := r.Check(); err != nil {
				t.Errorf("a policy file could not say rule %v: %v", r, err)
			}
		}
	}
}

// TestHighHalf: what stands above an int changes no answer. With runc's 64-bit
// comparisons socket(1<<32|AF_VSOCK) passes as a family that is not refused.
func TestHighHalf(t *testing.T) {
	p := imported(t, `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
		{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}]}]}`)
	for _, family := range []uint64{40, 1<<32 | 40, 1<<63 | 40, 0xffffffff<<32 | 40} {
		if c, err := p.Decide(seccomp.AMD64, seccomp.AMD64.Audit(), 41, [6]uint64{family, 1}); err != nil ||
			c.Action.Kind != seccomp.Errno {
			t.Errorf("socket(%#x): %v, %v", family, c.Action, err)
		}
	}
	if c, err := p.Decide(seccomp.AMD64, seccomp.AMD64.Audit(), 41, [6]uint64{1, 1}); err != nil ||
		c.Action.Kind != seccomp.Allow {
		t.Errorf("socket(AF_UNIX): %v, %v", c.Action, err)
	}
}

// TestPodman: errnos by name, beside their number or alone.
func TestPodman(t *testing.T) {
	profile, err := Parse("p", []byte(`{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS", `+
		`"defaultErrnoRet": 38, "syscalls": [
		{"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errno": "EPERM", "errnoRet": 1}, {"names": ["bpf"], "action": `+
		`"SCMP_ACT_ERRNO", "errno": "EACCES"},
		{"names": ["ptrace"], "action": "SCMP_ACT_ERRNO", "errno": ""}]}`))
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := profile.Policy(targets[0])
	if err != nil {
		t.Fatal(err)
	}
	for nr, want := range map[uint32]uint16{165: 1, 321: 13, 101: 1, 0: 38} {
		if c, err := p.Decide(seccomp.AMD64, seccomp.AMD64.Audit(), nr, [6]uint64{}); err != nil || c.Action.Errno != want {
			t.Errorf("call %d: %v, want errno %d", nr, c.Action, want)
		}
	}
}

func imported(t *testing.T, text string) *seccomp.Policy {
	t.Helper()
	profile, err := Parse("profile.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := profile.Policy(targets[0])
	if err != nil {
		t.Fatal(err)
	}
	check(t, []byte(text), targets[0], p, 1000)
	return p
}

// TestWays tries runc's ways one by one; imported holds each against the
// reference.
func TestWays(t *testing.T) {
	for _, text := range []string{
		`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["kill", "clone3", "setns"], "action": ` +
			`"SCMP_ACT_KILL"}]}`,
		`{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"names": ["clone"], "action": "SCMP_ACT_ALLOW"}]}`,
		`{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"names": ["clone"], "action": "SCMP_ACT_KILL", "args": ` +
			`[{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}]}`,
		`{"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [{"names": ["read", "exit_group", "clone", "ioctl"], ` +
			`"action": "SCMP_ACT_ALLOW"}]}`,
		`{"defaultAction": "SCMP_ACT_TRAP", "syscalls": []}`,
		`{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}`,
		`{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": [{"names": ["read", "openat2"], ` +
			`"action": "SCMP_ACT_ALLOW"}]}`,
		// The first without args counts, and then none with args.
		`{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
			{"names": ["kill"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
			{"names": ["kill"], "action": "SCMP_ACT_ALLOW"}, {"names": ["kill"], "action": "SCMP_ACT_KILL"}]}`,
		// A rule with the default action is none, whatever else is said.
		`{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
			{"names": ["kill"], "action": "SCMP_ACT_ERRNO"},
			{"names": ["kill"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 9, "op": "SCMP_CMP_NE"}]}]}`,
		// One argument twice: either will do.
		`{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["kill", "clone"], "action": "SCMP_ACT_ALLOW", "args": [
			{"index": 0, "value": 5, "op": "SCMP_CMP_GE"}, {"index": 0, "value": 3, "op": "SCMP_CMP_LT"}, {"index": 1, ` +
			`"value": 7, "op": "SCMP_CMP_EQ"}]}]}`,
		// Several actions for one call, apart from one another.
		`{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
			{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22, "args": [{"index": 0, "value": 16, "op": ` +
			`"SCMP_CMP_EQ"}, {"index": 2, "value": 9, "op": "SCMP_CMP_EQ"}]},
			{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 2, "value": 9, "op": "SCMP_CMP_NE"}]},
			{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 16, "op": "SCMP_CMP_NE"}]}]}`,
		// Young calls with conditions, below and above the last number.
		`{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
			{"names": ["openat2", "clone3", "mseal"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 3, "op": ` +
			`"SCMP_CMP_GT"}, {"index": 1, "value": 255, "valueTwo": 16, "op": "SCMP_CMP_MASKED_EQ"}]}]}`,
		// Calls that lifting the built-in rules would grant.
		`{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
			{"names": ["unshare"], "action": "SCMP_ACT_ALLOW"},
			{"names": ["clone", "setns", "ioctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "args": [{"index": 1, ` +
			`"value": 3, "op": "SCMP_CMP_GT"}]}]}`,
		// Values that no int has, and bits that no mode has.
		`{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
			{"names": ["socket", "chmod"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 4294967297, "op": ` +
			`"SCMP_CMP_LT"}]},
			{"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 4294967297, "op": ` +
			`"SCMP_CMP_EQ"}]},
			{"names": ["fchmodat"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 2, "value": 18446744073709551615, ` +
			`"valueTwo": 420, "op": "SCMP_CMP_MASKED_EQ"}]},
			{"names": ["fcntl"], "action": "SCMP_ACT_TRAP", "args": [{"index": 1, "value": 0, "op": "SCMP_CMP_GE"}]}]}`,
		`{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", ` +
			`"SCMP_ARCH_S390"],
			"flags": ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"],
			"syscalls": [{"names": ["chown", "setuid", "clone", "mmap2", "cachectl"], "action": "SCMP_ACT_ALLOW", "args": ` +
			`[{"index": 0, "value": 65536, "op": "SCMP_CMP_LE"}]}]}`,
	} {
		imported(t, text)
	}
}

// TestRefused lists what is not understood or not said clearly enough.
func TestRefused(t *testing.T) {
	rule := func(s string) string { return `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [` + s + `]}` }
	arg := func(s string) string {
		return rule(`{"names": ["kill"], "action": "SCMP_ACT_ALLOW", "args": [` + s + `]}`)
	}
	for text, want := range map[string]string{
		``:                                    "ends too early",
		`[]`:                                  "not an object",
		`{"defaultAction": "X"`:               "ends too early",
		`{"syscalls": []}`:                    "no defaultAction",
		`{"defaultaction": "SCMP_ACT_ALLOW"}`: "unknown key",
		`{"defaultAction": "SCMP_ACT_ALLOW", "defaultAction": "SCMP_ACT_KILL"}`:              "there already",
		`{"defaultAction": "SCMP_ACT_ALLOW"} {}`:                                             "something follows",
		`{"defaultAction": "SCMP_ACT_TRACE"}`:                                                "tracer",
		`{"defaultAction": "SCMP_ACT_NOTIFY"}`:                                               "listener",
		`{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/x"}`:                      "listener",
		`{"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}`:                       "listener",
		`{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_NEW_LISTENER"]}`: "unknown flag",
		`{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 0}`:                          "the call was made",
		`{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}`:                       "from 0 to 4095",
		`{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_PDP11"]}`:          "unknown architecture",
		`{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": ` +
			`"SCMP_ARCH_X86_64"}]}`: "both architectures and archMap",
		rule(`{"names": ["raed"], "action": "SCMP_ACT_ALLOW"}`):                  `did you mean "read"`,
		rule(`{"names": [], "action": "SCMP_ACT_ALLOW"}`):                        "no system call",
		rule(`{"names": ["read"]}`):                                              "without action",
		rule(`{"names": ["read"], "name": "write", "action": "SCMP_ACT_ALLOW"}`): "both name and names",
		`{"comment": 1, "defaultAction": "SCMP_ACT_ALLOW"}`:                      "not a string",
		rule(`{"names": ["getpid"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": ` +
			`"SCMP_CMP_EQ"}]}`): "no argument 0",
		rule(`{"names": ["read"], "action": "SCMP_ACT_ALLOW", "priority": 1}`):                      "unknown key",
		rule(`{"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_ROOT"]}}`): "unknown capability",
		rule(`{"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["x86_64"]}}`): "unknown architecture",
		rule(`{"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "5"}}`):     "not a release",
		rule(`{"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"maxKernel": "5.1"}}`):   "unknown key",
		arg(`{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}`):                                        "from 0 to 5",
		arg(`{"index": 2, "value": 1, "op": "SCMP_CMP_EQ"}`):                                        "no argument 2",
		arg(`{"value": 1, "op": "SCMP_CMP_EQ"}`):                                                    "without index",
		arg(`{"index": 1, "value": 1}`):                                                             "without op",
		arg(`{"index": 1, "value": -1, "op": "SCMP_CMP_EQ"}`):                                       "whole number",
		arg(`{"index": 1, "value": 1.0, "op": "SCMP_CMP_EQ"}`):                                      "whole number",
		arg(`{"index": 1, "value": 1e3, "op": "SCMP_CMP_EQ"}`):                                      "whole number",
		arg(`{"index": 1, "value": 18446744073709551616, "op": "SCMP_CMP_EQ"}`):                     "whole number",
		arg(`{"index": 1, "value": 1, "op": "SCMP_CMP_IN"}`):                                        "unknown operator",
		arg(`{"index": 1, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_EQ"}`):                         "valueTwo is for",
		rule(`{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "errno": "EACCES"}`):   "two errnos",
		rule(`{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errno": "EPREM"}`):                   "unknown errno",
		strings.Repeat("[", 100000):                                                                 "nested deeper",
	} {
		profile, err := Parse("profile.json", []byte(text))
		if err == nil {
			_, _, err = profile.Policy(targets[0])
		}
		e, ok := err.(*policy.Error) // Parse's own
		if err == nil || !ok || !strings.Contains(e.Msg+" "+e.Fix, want) {
			t.Errorf("%.120s\ngot  %v\nwant %s", text, err, want)
		}
	}
}
