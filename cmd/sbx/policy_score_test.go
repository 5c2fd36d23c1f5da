package main

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"sbx/policies"
	"sbx/policy"
	"sbx/policy/seccomp"
)

// TestScore: the roles are in the order that their names promise, and a threshold counts.
func TestScore(t *testing.T) {
	var before float64
	for _, name := range []string{"pure", "default", "project", "web", "open"} {
		p, err := policies.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		score, open, err := p.Score(seccomp.Native())
		if err != nil || score <= before || score >= 10 || len(open) == 0 {
			t.Errorf("%s has %v, the one before %v: %v", name, score, before, err)
		}
		before = score
	}
	for _, c := range []struct {
		threshold string
		want      error
	}{{"", nil}, {"9", nil}, {"0.1", errFindings}} {
		var b strings.Builder
		cmd := policyScoreCmd{Policies: []string{"pure", "open"}, Threshold: c.threshold}
		if err := cmd.run(&b); !errors.Is(err, c.want) || c.want == nil && err != nil ||
			!strings.Contains(b.String(), "open: exposure ") || !strings.Contains(b.String(), "[namespaces.net]") {
			t.Errorf("threshold %q: %v\n%s", c.threshold, err, b.String())
		}
	}
	cmd := policyScoreCmd{Policies: []string{"pure"}, Threshold: "x"}
	if err := cmd.run(&strings.Builder{}); err == nil || errors.Is(err, errFindings) {
		t.Errorf("threshold x: %v", err)
	}
}

// TestScoreNothingElse: a policy that says everything open has 10.
func TestScoreNothingElse(t *testing.T) {
	yes := true
	p := &policy.Policy{}
	p.Namespaces = policy.Namespaces{All: "host", Net: "host"}
	p.Files.Write, p.Files.Sockets, p.Files.SetID = []string{"/", "${HOME}", "${CWD}"}, []string{"/"}, &yes
	p.Files.Devices = []string{"/dev/a", "/dev/b", "/dev/c", "/dev/d", "/dev/e"}
	p.Process.Env, p.Process.Landlock, p.Process.Nest, p.Process.Ambient = []string{"*"}, "off", &yes, &yes
	p.Process.Capabilities = policy.CapabilityNames()
	p.Seccomp = seccomp.Policy{Default: seccomp.Action{Kind: seccomp.Allow}, Architectures: []string{"386", "x32"}}
	score, _, err := p.Score(seccomp.AMD64)
	if err != nil || score < 9.5 {
		t.Errorf("%v, %v", score, err)
	}
}

// TestScoreDocument: docs/score.md has the areas and their weights.
func TestScoreDocument(t *testing.T) {
	data, err := os.ReadFile("../../docs/score.md")
	if err != nil {
		t.Fatal(err)
	}
	p := &policy.Policy{Seccomp: seccomp.Policy{Default: seccomp.Action{Kind: seccomp.Allow}}}
	weights, err := p.ScoreWeights(seccomp.AMD64)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range weights {
		row := regexp.MustCompile(`(?m)^\| ` + w.Area + ` \| ` + regexp.QuoteMeta(w.Text) + ` \|`)
		if !row.Match(data) {
			t.Errorf("docs/score.md has no row \"| %s | %s |\"", w.Area, w.Text)
		}
	}
}
