package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"sbx/policies"
)

// policyListCmd is "sbx policy list".
type policyListCmd struct {
	JSON bool `help:"Print JSON."`
}

// Run lists the policies on standard output.
func (c *policyListCmd) Run() error { return c.run(os.Stdout) }

func (c *policyListCmd) run(w io.Writer) error {
	all, err := policies.List()
	if err != nil {
		return err
	}
	type entry struct {
		Name     string          `json:"name"`
		Source   policies.Source `json:"source"`
		Path     string          `json:"path,omitempty"`
		Summary  string          `json:"summary"`
		Shadowed bool            `json:"shadowed"`
		Error    string          `json:"error,omitempty"`
	}
	if c.JSON {
		out := []entry{}
		for _, e := range all {
			j := entry{Name: e.Name, Source: e.Source, Path: e.Path, Summary: e.Summary, Shadowed: e.Shadowed}
			if e.Err != nil {
				j.Error = e.Err.Error()
			}
			out = append(out, j)
		}
		return printJSON(w, out)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, e := range all {
		from, text := string(e.Source), e.Summary
		if e.Path != "" {
			from = e.Path
		}
		if e.Shadowed {
			from += " (not used: the policy above has its name)"
		}
		if e.Err != nil {
			text = "error: " + e.Err.Error()
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", e.Name, text, from) // Flush reports it
	}
	return t.Flush()
}
