package main

import (
	"io"
	"os"

	"sbx/policies"
)

// policyShowCmd is "sbx policy show".
type policyShowCmd struct {
	Policy string `arg:"" complete:"policy" help:"Name, or path with a slash."`
	JSON   bool   `help:"Print JSON."`
}

// Run prints the policy's file on standard output.
func (c *policyShowCmd) Run() error { return c.run(os.Stdout) }

func (c *policyShowCmd) run(w io.Writer) error {
	l, err := policies.Load(c.Policy)
	if err != nil {
		return err
	}
	// A file that does not parse could say anything to the terminal.
	if _, err := l.Parse(); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(w, struct {
			Name   string          `json:"name"`
			Source policies.Source `json:"source"`
			Path   string          `json:"path"`
			Text   string          `json:"text"`
		}{l.Base, l.Source, l.Path, string(l.Data)})
	}
	_, err = w.Write(l.Data)
	return err
}
