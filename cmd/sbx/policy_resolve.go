package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"sbx/policy/seccomp"
)

// policyResolveCmd is "sbx policy resolve".
type policyResolveCmd struct {
	Policy string `arg:"" complete:"policy" help:"Name, or path with a slash."`
	JSON   bool   `help:"Print JSON."`
	Plain  bool   `help:"Print no comments: what the digest is the SHA-256 of."`
}

// Run prints the resolved policy on standard output.
func (c *policyResolveCmd) Run() error { return c.run(os.Stdout) }

func (c *policyResolveCmd) run(w io.Writer) error {
	p, err := parsed(c.Policy)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(w, struct {
			Name   string         `json:"name"`
			Digest string         `json:"digest"`
			Policy map[string]any `json:"policy"`
		}{p.Name, p.Digest(), p.Data()})
	}
	if c.Plain {
		_, err = w.Write(p.Print())
		return err
	}
	text := p.PrintWith(func(key, entry string, rule *seccomp.Rule) string {
		o, ok := p.Origin(key, entry)
		if rule != nil {
			o, ok = p.RuleOrigin(*rule)
		}
		if !ok {
			return ""
		}
		o.Policy = strings.TrimPrefix(o.Policy, "embedded:")
		return o.String()
	})
	_, err = fmt.Fprintf(w, "# policy %s, resolved\n# %s\n%s", p.Name, p.Digest(), text)
	return err
}
