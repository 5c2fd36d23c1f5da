package main

import (
	"errors"
	"fmt"
	"io"
	"os"

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

// Run prints what it finds on standard output, one finding a line.
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

func (c *policyCheckCmd) run(w io.Writer) error {
	found := []finding{}
	for _, name := range c.Policies {
		list, err := checkOne(name)
		if err != nil {
			return err
		}
		found = append(found, list...)
	}
	if c.JSON {
		if err := printJSON(w, found); err != nil {
			return err
		}
	} else {
		for _, f := range found {
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
	}
	if len(found) > 0 {
		return errFindings
	}
	return nil
}

// checkOne gives the findings of one policy. If there are errors in the policy,
// they are the only findings; an error is given back if there is no policy to check.
func checkOne(name string) ([]finding, error) {
	l, err := policies.Load(name)
	if err != nil {
		return nil, err
	}
	list, err := l.Lint()
	bad, more := policy.All(err)
	if err != nil && len(bad) == 0 {
		return nil, err
	}
	var found []finding
	for _, e := range bad {
		found = append(found, finding{e.File, e.Line, e.Col, "error", e.Msg, e.Fix})
	}
	if more {
		found = append(found, finding{l.Path, 0, 0, "error", fmt.Sprintf("these are the first %d errors; there may be more", len(bad)), ""})
	}
	for _, f := range list {
		found = append(found, finding{f.Where.Policy, f.Where.Line, f.Where.Col, f.Rule, f.Msg, ""})
	}
	return found, nil
}
