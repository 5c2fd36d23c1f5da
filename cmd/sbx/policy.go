package main

import (
	"encoding/json"
	"io"

	"sbx/policies"
	"sbx/policy"
)

// policyCmd is "sbx policy ...": looking at policies without running anything.
type policyCmd struct {
	List    policyListCmd    `cmd:"" help:"List the policies that can be named, and where each comes from."`
	Show    policyShowCmd    `cmd:"" help:"Print a policy's file."`
	Resolve policyResolveCmd `cmd:"" help:"Print a policy with all that it extends, in canonical form, with its digest."`
	Check   policyCheckCmd   `cmd:"" help:"Check policies for errors and for what is seldom meant."`
	Test    policyTestCmd    `cmd:"" help:"Try what [expect] says in a sandbox of the policy."`
	Diff    policyDiffCmd    `cmd:"" help:"Say what policy B allows that policy A does not, and the reverse."`
	Score   policyScoreCmd   `cmd:"" help:"Say how much a policy leaves open, from 0 to 10, and what would close it."`
	Import  policyImportCmd  `cmd:"" help:"Make a policy of a seccomp profile, a unit, or what firejail or bwrap read."`
	Export  policyExportCmd  `cmd:"" help:"Write a policy for a container runtime, Kubernetes, systemd or bubblewrap."`
	New     policyNewCmd     `cmd:"" help:"Write a policy to start from, with comments."`
	Help    policyHelpCmd    `cmd:"" help:"Say what the keys of a policy mean."`
	Schema  policySchemaCmd  `cmd:"" help:"Print the JSON Schema of policy files, for editors."`
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

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
