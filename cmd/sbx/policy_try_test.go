package main

import (
	"testing"

	"golang.org/x/sys/unix"

	"sbx/ns"
	"sbx/policies"
	"sbx/policy"
	"sbx/policy/seccomp/bpf"
	"sbx/sandbox"
)

// TestShippedExpect: each shipped policy says of itself what it means, in ten lines or more.
func TestShippedExpect(t *testing.T) {
	for _, name := range policies.Names() {
		l, err := policies.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := l.Parse()
		if err != nil {
			t.Fatal(err)
		}
		if n := len(p.Expect.Allow) + len(p.Expect.Deny); n < 10 {
			t.Errorf("%s has %d lines of its own", name, n)
		}
	}
}

// TestJudge: what an outcome means depends on the line and on the sandbox.
func TestJudge(t *testing.T) {
	host, own := &sandbox.Plan{Policy: &policy.Policy{}}, &sandbox.Plan{Policy: &policy.Policy{}, New: ns.Net}
	refuse := []bpf.Instruction{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)}}
	allow := []bpf.Instruction{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}}
	for _, c := range []struct {
		line    string // of allow, or with "!" in front of deny
		plan    *sandbox.Plan
		outcome sandbox.Outcome
		missing bool
		want    string
	}{
		{"read /x", host, sandbox.Outcome{Works: true}, false, holds},
		{"!read /x", host, sandbox.Outcome{Works: true}, false, fails},
		{"read /x", host, sandbox.Outcome{Errno: unix.EACCES}, false, fails},
		{"read /x", host, sandbox.Outcome{Errno: unix.ENOENT}, true, untried},
		{"read /x", host, sandbox.Outcome{Errno: unix.ENOENT}, false, fails},
		{"!read /x", host, sandbox.Outcome{Errno: unix.ENOENT}, true, untried},
		{"!read /x", host, sandbox.Outcome{Errno: unix.EACCES}, true, holds},
		{"!read /x", host, sandbox.Outcome{Signal: unix.SIGSYS}, false, holds},
		{"!read /x", host, sandbox.Outcome{Signal: unix.SIGSEGV}, false, fails},
		{"read /x", host, sandbox.Outcome{Signal: unix.SIGSYS}, false, fails},
		{"connect 1.2.3.4:5", host, sandbox.Outcome{Errno: unix.ECONNREFUSED}, false, holds},
		{"!connect 1.2.3.4:5", host, sandbox.Outcome{Errno: unix.ETIMEDOUT}, false, fails},
		{"!connect 1.2.3.4:5", host, sandbox.Outcome{Errno: unix.EACCES}, false, holds},
		{"!connect 1.2.3.4:5", host, sandbox.Outcome{Errno: unix.ENETUNREACH}, false, untried},
		{"!connect 1.2.3.4:5", own, sandbox.Outcome{Errno: unix.ENETUNREACH}, false, holds},
		{"!connect 1.2.3.4:5", own, sandbox.Outcome{Errno: unix.ECONNREFUSED}, false, holds},
		{"connect 1.2.3.4:5", own, sandbox.Outcome{Errno: unix.ECONNREFUSED}, false, fails},
		{"connect /x", host, sandbox.Outcome{Errno: unix.ECONNREFUSED}, false, fails},
		{"resolve x", host, sandbox.Outcome{Errno: unix.ETIMEDOUT}, false, untried},
		{"!resolve x", own, sandbox.Outcome{Errno: unix.ENETUNREACH}, false, holds},
		{"!env X", host, sandbox.Outcome{}, false, holds},
		{"env X", host, sandbox.Outcome{Untried: "why"}, false, untried},
		{"!syscall getpid", host, sandbox.Outcome{Errno: unix.EINVAL}, false, fails},
		{"!syscall getpid", host, sandbox.Outcome{Errno: unix.EPERM}, false, holds},
		{"!syscall getpid", host, sandbox.Outcome{Works: true}, false, fails},
		{"syscall getpid", host, sandbox.Outcome{Errno: unix.EINVAL}, false, holds},
		{"syscall getpid", host, sandbox.Outcome{Errno: unix.EPERM}, false, holds}, // by the kernel
		{"syscall getpid", host, sandbox.Outcome{Errno: unix.ENOSYS}, false, untried},
		{"syscall getpid", own, sandbox.Outcome{Errno: unix.EPERM}, false, fails}, // by the filter
		{"!syscall getpid", own, sandbox.Outcome{Works: true}, false, fails},      // whatever the filter says
		{"syscall getpid", own, sandbox.Outcome{Signal: unix.SIGSYS}, false, fails},
		{"!limit memory", host, sandbox.Outcome{Untried: "no limit of a process"}, false, holds},
		{"limit open_files 100", host, sandbox.Outcome{Works: true, Value: 100}, false, holds},
		{"limit open_files 100", host, sandbox.Outcome{Works: true, Value: 101}, false, fails},
		{"limit cpu_time 1m", host, sandbox.Outcome{Works: true, Value: 61}, false, fails},
	} {
		p := &policy.Policy{}
		if line := c.line; line[0] == '!' {
			p.Expect.Deny = []string{line[1:]}
		} else {
			p.Expect.Allow = []string{line}
		}
		list := p.Expectations()
		x := &trialRun{plan: c.plan, list: list, attempts: []sandbox.Attempt{{Verb: list[0].Verb, Object: list[0].Object}},
			outcomes: []sandbox.Outcome{c.outcome}, missing: []bool{c.missing}, nowhere: []bool{c.missing},
			filters: [][]bpf.Instruction{allow}}
		if c.plan == own {
			x.filters = append(x.filters, refuse)
		}
		if got := x.judge(0); got.result != c.want {
			t.Errorf("%s, %+v, missing %v: %+v, want %s", c.line, c.outcome, c.missing, got, c.want)
		}
	}
	if got := (&trialRun{list: (&policy.Policy{Expect: policy.Expect{Deny: []string{"env X"}}}).Expectations(),
		attempts: make([]sandbox.Attempt, 1)}).judge(0); got.result != untried {
		t.Errorf("without an outcome: %+v", got)
	}
}
