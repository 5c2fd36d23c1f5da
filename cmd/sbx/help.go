package main

import (
	"os"
	"slices"
)

// helpCmd is "sbx help": the help of a launch or a command, or the manual page.
type helpCmd struct {
	Words []string `arg:"" optional:"" name:"command" help:"A command, or man for the manual page in man(7)'s format."`
}

// Run prints it on standard output.
func (c *helpCmd) Run() error {
	switch {
	case len(c.Words) == 0:
		return printHelp(os.Stdout)
	case slices.Equal(c.Words, []string{"man"}):
		return printManual(os.Stdout)
	}
	_, err := parseCommand(append(slices.Clone(c.Words), "--help"))
	return err
}
