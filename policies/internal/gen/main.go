// Gen writes resolved_gen.go and schema.json from the policies beside it: run
// "go generate ./policies".
package main

import (
	"fmt"
	"os"

	"sbx/policies/internal/literal"
	"sbx/policy"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	policies, err := literal.Policies(os.DirFS("."))
	if err != nil {
		return err
	}
	code, err := literal.Go(policies)
	if err != nil {
		return err
	}
	if err := os.WriteFile("resolved_gen.go", code, 0o644); err != nil {
		return err
	}
	schema, err := policy.Schema()
	if err != nil {
		return err
	}
	return os.WriteFile("schema.json", schema, 0o644)
}
