package main

import (
	"fmt"
	"io"
	"os"

	"sbx/policies"
	"sbx/policy"
)

// policyDiffCmd is "sbx policy diff".
type policyDiffCmd struct {
	A    string `arg:"" complete:"policy" help:"Name, or path with a slash."`
	B    string `arg:"" complete:"policy" help:"Name, or path with a slash."`
	JSON bool   `help:"Print JSON."`
}

// Run prints how B differs from A on standard output.
func (c *policyDiffCmd) Run() error { return c.run(os.Stdout) }

func (c *policyDiffCmd) run(w io.Writer) error {
	a, err := policies.Find(c.A)
	if err != nil {
		return err
	}
	b, err := policies.Find(c.B)
	if err != nil {
		return err
	}
	d, err := policy.Compare(a, b)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(w, struct {
			A        string   `json:"a"`
			B        string   `json:"b"`
			Verdict  string   `json:"verdict"`
			Wider    []string `json:"additionally_allows"`
			Narrower []string `json:"no_longer_allows"`
			Other    []string `json:"not_comparable"`
			Notes    []string `json:"other"`
		}{a.Name, b.Name, d.Verdict(), orEmpty(d.Wider), orEmpty(d.Narrower), orEmpty(d.Other), orEmpty(d.Notes)})
	}
	return printDifference(w, a, b, d)
}

// printDifference prints how b differs from a.
func printDifference(w io.Writer, a, b *policy.Policy, d *policy.Difference) error {
	for _, part := range []struct {
		head  string
		lines []string
	}{
		{b.Name + " additionally allows", d.Wider},
		{b.Name + " no longer allows", d.Narrower},
		{"not comparable", d.Other},
		{"different, but allows nothing", d.Notes},
	} {
		if len(part.lines) == 0 {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s:\n", part.head); err != nil {
			return err
		}
		for _, line := range part.lines {
			if _, err := fmt.Fprintf(w, "  %s\n", line); err != nil {
				return err
			}
		}
	}
	verdict := map[string]string{
		"equal":    "%s allows what %s does\n",
		"wider":    "%s is wider than %s\n",
		"narrower": "%s is narrower than %s\n",
		"neither":  "%s is neither wider nor narrower than %s\n",
	}[d.Verdict()]
	_, err := fmt.Fprintf(w, verdict, b.Name, a.Name)
	return err
}

// orEmpty makes JSON's empty list of none.
func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
