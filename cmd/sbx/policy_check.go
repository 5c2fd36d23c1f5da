package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"sbx/internal/text"
	"sbx/policies"
	"sbx/policy"
)

// errFindings makes the exit status 1 when a check has something to say; what
// it is has been printed.
var errFindings = errors.New("the check found something")

// policyCheckCmd is "sbx policy check".
type policyCheckCmd struct {
	Policies []string `arg:"" complete:"policy" help:"Names, or paths with a slash."`
	JSON     bool     `help:"Print JSON."`
}

// Run prints what it finds on standard output, one finding a line. What of [expect]
// the policy by itself decides (system calls, variables, capabilities) is tried.
func (c *policyCheckCmd) Run() error { return c.run(os.Stdout) }

// finding is one line of the check's answer.
type finding struct {
	Policy string `json:"policy"`
	Line   int    `json:"line,omitempty"`
	Col    int    `json:"column,omitempty"`
	Rule   string `json:"rule"`
	Msg    string `json:"message"`
	Hint   string `json:"hint,omitempty"`
}

// checkResult is what the check prints as JSON.
type checkResult struct {
	Findings []finding `json:"findings"`
	// Untried counts the lines of [expect], by policy, that only a run can try.
	Untried map[string]int `json:"untried"`
}

func (c *policyCheckCmd) run(w io.Writer) error {
	all := checkResult{Findings: []finding{}, Untried: map[string]int{}}
	for _, name := range c.Policies {
		list, untried, err := checkOne(name)
		if err != nil {
			return err
		}
		all.Findings = append(all.Findings, list...)
		if untried > 0 {
			all.Untried[name] = untried
		}
		if c.JSON {
			continue
		}
		if err := printFindings(w, name, list, untried); err != nil {
			return err
		}
	}
	if c.JSON {
		if err := printJSON(w, all); err != nil {
			return err
		}
	}
	if len(all.Findings) > 0 {
		return errFindings
	}
	return nil
}

// printFindings prints what was found in one policy, a finding a line, and how
// many of its expectations nobody has tried.
func printFindings(w io.Writer, name string, list []finding, untried int) error {
	for _, f := range list {
		at := f.Policy
		if f.Line > 0 {
			at = fmt.Sprintf("%s:%d:%d", at, f.Line, f.Col)
		}
		if _, err := fmt.Fprintf(w, "%s: %s (%s)\n", at, f.Msg, f.Rule); err != nil {
			return err
		}
		if f.Hint != "" {
			if _, err := fmt.Fprintf(w, "\t%s\n", f.Hint); err != nil {
				return err
			}
		}
	}
	if untried == 0 {
		return nil
	}
	lines := "lines"
	if untried == 1 {
		lines = "line"
	}
	_, err := fmt.Fprintf(w, "%s: %d %s of [expect] can only be tried by a run\n", text.Quote(name), untried, lines)
	return err
}

// checkOne gives the findings of one policy, and how many of its expectations
// only a run can try. If there are errors in the policy, they are the only
// findings; an error is given back if there is no policy to check.
func checkOne(name string) (found []finding, untried int, err error) {
	l, err := policies.Load(name)
	if err != nil {
		return nil, 0, err
	}
	list, untried, err := l.Lint()
	bad, more := policy.All(err)
	if err != nil && len(bad) == 0 {
		return nil, 0, err
	}
	for _, e := range bad {
		found = append(found, finding{e.File, e.Line, e.Col, "error", e.Msg, e.Fix})
	}
	if more {
		found = append(found, finding{l.Path, 0, 0, "error",
			fmt.Sprintf("these are the first %d errors; there may be more", len(bad)), ""})
	}
	for _, f := range list {
		found = append(found, finding{f.Where.Policy, f.Where.Line, f.Where.Col, f.Rule, f.Msg, f.Fix})
	}
	return found, untried, nil
}
