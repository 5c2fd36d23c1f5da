package main

import (
	"errors"

	"github.com/alecthomas/kong"
)

const commandHelp = `Ask about policies and filters. To run a program: sbx [flags] -- PROGRAM [ARGUMENT ...]`

// commands is the grammar of everything that is not a launch.
type commands struct {
	Policy  policyCmd  `cmd:"" help:"List, show, check and compare policies."`
	Seccomp seccompCmd `cmd:"" help:"Look up system calls; print and try filters."`
}

func runCommand(args []string) int {
	var cli commands
	var ctx *kong.Context
	code, done := parse(&cli, "sbx", commandHelp, args, func(c *kong.Context) { ctx = c })
	if done {
		return code
	}
	err := ctx.Run()
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errFindings):
		return 1
	case errors.Is(err, errLosses):
		return 3
	}
	return report(err)
}
