package main

import (
	"io"
	"os"

	"sbx/policy"
)

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
