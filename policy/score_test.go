package policy

import (
	"testing"

	"sbx/policy/seccomp"
)

func scoreOf(t *testing.T, p *Policy) float64 {
	t.Helper()
	s, open, err := p.Score(seccomp.AMD64)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, o := range open {
		sum += o.Points
		if o.Points <= 0 || o.Points > o.Of+1e-9 || o.Key == "" || o.What == "" {
			t.Errorf("%+v", o)
		}
	}
	if s < 0 || s > 10.000001 || sum-s > 1e-6 || s-sum > 1e-6 {
		t.Errorf("the score is %v, the sum of its lines %v", s, sum)
	}
	return s
}

// TestScoreMonotonic: of two random policies the wider one never has the lower score.
func TestScoreMonotonic(t *testing.T) {
	var before []*Policy
	compared := 0
	random(t, 40, func(a author, text string, p *Policy) {
		for _, q := range before {
			d := compare(t, q, p)
			x, y := scoreOf(t, q), scoreOf(t, p)
			switch d.Verdict() {
			case "wider":
				compared++
				if y < x-1e-9 {
					t.Errorf("the wider policy has %.3f, the other %.3f:\n%+v\n%s", y, x, d, text)
				}
			case "narrower":
				compared++
				if x < y-1e-9 {
					t.Errorf("the narrower policy has %.3f, the other %.3f:\n%+v\n%s", y, x, d, text)
				}
			case "equal":
				compared++
				if x-y > 1e-9 || y-x > 1e-9 {
					t.Errorf("equal policies have %.3f and %.3f\n%s", x, y, text)
				}
			}
		}
		if before = append(before, p); len(before) > 3 {
			before = before[1:]
		}
		// A policy with one restriction more, or one grant more, is comparable.
		for _, change := range []func(*Policy){
			func(q *Policy) { q.Files.Write = append(q.Files.Write[:len(q.Files.Write):len(q.Files.Write)], "/etc") },
			func(q *Policy) { q.Files.Read = append(q.Files.Read[:len(q.Files.Read):len(q.Files.Read)], "/var/lib") },
			func(q *Policy) { q.Namespaces.Net = "host" }, func(q *Policy) { q.Namespaces.PID = "host" },
			func(q *Policy) { q.Process.Capabilities = []string{"sys_admin", "chown"} },
			func(q *Policy) { q.Process.Env = []string{"*"} }, func(q *Policy) { q.Limits = Limits{} },
			func(q *Policy) { q.Seccomp.Deny = nil }, func(q *Policy) { q.Limits.Memory = "1M" },
			func(q *Policy) { q.Seccomp.Deny = []string{"@mount", "bpf", "socket"} },
			func(q *Policy) { q.Network.Connect = []string{"443"} }, func(q *Policy) { q.Network.Bind = []string{} },
		} {
			q := *p
			change(&q)
			d := compare(t, p, &q)
			x, y := scoreOf(t, p), scoreOf(t, &q)
			v := d.Verdict()
			if y < x-1e-9 && (v == "wider" || v == "equal") || y > x+1e-9 && (v == "narrower" || v == "equal") {
				t.Errorf("%s: %.4f, before %.4f:\n%+v\n%s", v, y, x, d, text)
			} else if v != "neither" {
				compared++
			}
		}
	})
	if compared < 100 {
		t.Errorf("only %d pairs could be compared", compared)
	}
}
