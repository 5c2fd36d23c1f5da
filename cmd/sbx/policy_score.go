package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"sbx/internal/text"
	"sbx/policies"
	"sbx/policy"
	"sbx/policy/seccomp"
)

// policyScoreCmd is "sbx policy score".
type policyScoreCmd struct {
	Policies  []string `arg:"" complete:"policy" help:"Names, or paths with a slash."`
	Threshold string   `placeholder:"SCORE" help:"Exit with status 1 if a policy has a higher score than that."`
	JSON      bool     `help:"Print JSON."`
}

// Help says what the score is.
func (c *policyScoreCmd) Help() string {
	return `The exposure is between 0, nothing is left open, and 10, as without a sandbox. Each
line says what remains open and the key that would close it: docs/score.md.`
}

// scored is one policy's score.
type scored struct {
	Policy string        `json:"policy"`
	Score  float64       `json:"score"`
	Open   []policy.Open `json:"open"`
}

// Run prints what is open on standard output.
func (c *policyScoreCmd) Run() error { return c.run(os.Stdout) }

func (c *policyScoreCmd) run(w io.Writer) error {
	most := 10.0
	if c.Threshold != "" {
		var err error
		if most, err = strconv.ParseFloat(c.Threshold, 64); err != nil || most < 0 || most > 10 {
			return &usageError{"--threshold: " + strconv.Quote(c.Threshold) + " is no score from 0 to 10", "--threshold 3.5"}
		}
	}
	list := []scored{}
	above := false
	for _, name := range c.Policies {
		p, err := policies.Find(name)
		if err != nil {
			return err
		}
		score, open, err := p.Score(seccomp.Native())
		if err != nil {
			return err
		}
		list = append(list, scored{name, score, open})
		above = above || c.Threshold != "" && score > most
	}
	var err error
	if c.JSON {
		err = printJSON(w, struct {
			Policies []scored `json:"policies"`
		}{list})
	} else {
		err = printScores(w, list)
	}
	if err == nil && above {
		err = errFindings
	}
	return err
}

func printScores(w io.Writer, list []scored) error {
	var b strings.Builder
	for _, s := range list {
		for _, o := range s.Open {
			fmt.Fprintf(&b, "%5.2f of %4.2f  %-11s  %s  [%s]\n", o.Points, o.Of, o.Area, text.OneLine(o.What), o.Key)
		}
		fmt.Fprintf(&b, "%s: exposure %.1f of 10\n", text.Quote(s.Policy), s.Score)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
