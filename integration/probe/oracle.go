package main

import (
	"os"

	"sbx/integration/probe/oracle"
)

// askFilters answers what oracle/README.md says.
func askFilters([]string) error { return oracle.Run(os.Stdin, os.Stdout) }
