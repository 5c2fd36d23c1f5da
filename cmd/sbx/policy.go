package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"sbx/policies"
	"sbx/policy"
	"sbx/policy/seccomp"
)

// policyCmd is "sbx policy ...": looking at policies without running anything.
type policyCmd struct {
	List    policyListCmd    `cmd:"" help:"List the policies that can be named, and where each comes from."`
	Show    policyShowCmd    `cmd:"" help:"Print a policy's file."`
	Resolve policyResolveCmd `cmd:"" help:"Print a policy with all that it extends, in canonical form, with its digest."`
	Check   policyCheckCmd   `cmd:"" help:"Check policies for errors and for what is seldom meant."`
	Diff    policyDiffCmd    `cmd:"" help:"Say what policy B allows that policy A does not, and the reverse."`
	Import  policyImportCmd  `cmd:"" help:"Make a policy of a container runtime's seccomp profile or a systemd unit."`
	Export  policyExportCmd  `cmd:"" help:"Write a policy for a container runtime, Kubernetes, systemd or bubblewrap."`
	Schema  policySchemaCmd  `cmd:"" help:"Print the JSON Schema of policy files, for editors."`
}

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
		fmt.Fprintf(t, "%s\t%s\t%s\n", e.Name, text, from) //nolint:errcheck // Flush reports it
	}
	return t.Flush()
}

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

// parsed is a policy resolved from its text. policies.Find would not do: only
// what was parsed just now knows where it was written.
func parsed(name string) (*policy.Policy, error) {
	l, err := policies.Load(name)
	if err != nil {
		return nil, err
	}
	return l.Resolve()
}

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

// policySchemaCmd is "sbx policy schema".
type policySchemaCmd struct{}

// Run prints the JSON Schema on standard output.
func (c *policySchemaCmd) Run() error { return c.run(os.Stdout) }

func (c *policySchemaCmd) run(w io.Writer) error {
	schema, err := policy.Schema()
	if err != nil {
		return err
	}
	_, err = w.Write(schema)
	return err
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
