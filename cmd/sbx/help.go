package main

import (
	"os"
	"slices"
	"strings"

	"sbx/policy/bwrap"
)

// helpCmd is "sbx help": the help of a launch or a command, or the manual page.
type helpCmd struct {
	Words []string `arg:"" optional:"" name:"command" help:"A command; or man, man policy, man seccomp: a manual page."`
}

// Run prints it on standard output.
func (c *helpCmd) Run() error {
	switch {
	case len(c.Words) == 0:
		return printHelp(os.Stdout)
	case c.Words[0] == "man" && len(c.Words) <= 2:
		return printManual(os.Stdout, strings.Join(c.Words[1:], ""))
	case c.Words[0] == bwrapWord && len(c.Words) == 1:
		return bwrap.PrintHelp(os.Stdout, "sbx bwrap")
	}
	_, err := parseCommand(append(slices.Clone(c.Words), "--help"))
	return err
}
