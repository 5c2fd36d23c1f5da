package main

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/alecthomas/kong"
)

const commandHelp = `Ask about policies and filters. To run a program: sbx [flags] -- PROGRAM [ARGUMENT ...]`

// commands is the grammar of everything that is not a launch.
type commands struct {
	Policy  policyCmd  `cmd:"" help:"List, show, check and compare policies."`
	Seccomp seccompCmd `cmd:"" help:"Look up system calls; print and try filters."`
	List    listCmd    `cmd:"" help:"List the running sandboxes."`
	Inspect inspectCmd `cmd:"" help:"Say what restricts a process, and what it could still do."`
	Trust   trustCmd   `cmd:"" help:"Let a policy in a repository allow more than the policy that it is used with."`
	Doctor  doctorCmd  `cmd:"" help:"Try what sandboxes need of the kernel here, and say how to get what is missing."`
	Review  reviewCmd  `cmd:"" help:"Look at what programs would change that ran with --review; keep or discard it."`
	Shim    shimCmd    `cmd:"" help:"Links by which npm, pip and others run under the policies of their names."`

	Bwrap bwrapCmd `cmd:"" passthrough:"" help:"Run what a command line of bubblewrap's says."`

	Completion completionCmd `cmd:"" help:"Print the script by which a shell completes sbx's command lines."`
	Help       helpCmd       `cmd:"" help:"Print the help of sbx or a command, or the manual page."`
}

// isCommand tells whether the first word names a command, without asking kong.
func isCommand(word string) bool {
	switch word {
	case "policy", "seccomp", "doctor", "trust", "list", "inspect", "review", "shim", bwrapWord, "completion", "help":
		return true
	}
	return false
}

// runCommand runs the command that args name, and returns the exit status.
func runCommand(args []string) int {
	ctx, err := parseCommand(args)
	if err == nil && ctx != nil {
		err = ctx.Run()
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errFindings), errors.Is(err, errNotKept):
		return 1
	case errors.Is(err, errLosses):
		return 3
	}
	return report(err)
}

// parseCommand reads the words of a command. After --help, which it prints,
// there is no context.
func parseCommand(args []string) (*kong.Context, error) {
	helped := false
	parser, err := newParser(kong.Exit(func(int) { helped = true }))
	if err != nil {
		return nil, err
	}
	ctx, err := parser.Parse(args)
	if helped {
		return nil, nil
	}
	if err != nil {
		hint := "sbx --help lists what there is"
		if isCommand(args[0]) {
			hint = "sbx " + args[0] + " --help lists what there is"
		}
		return nil, misread(err.Error(), hint)
	}
	return ctx, nil
}

// newParser is kong's parser for the commands.
func newParser(options ...kong.Option) (*kong.Kong, error) {
	return kong.New(&commands{}, append(options, kong.Name("sbx"), kong.Description(commandHelp),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.KindMapper(reflect.String, kong.MapperFunc(asIs)))...)
}

// asIs takes a word byte for byte. kong's own way leads through JSON, which
// turns what is no UTF-8, as names of files may be, into something else.
func asIs(ctx *kong.DecodeContext, target reflect.Value) error {
	t, err := ctx.Scan.PopValue("string")
	if err != nil {
		return err
	}
	target.SetString(fmt.Sprint(t.Value))
	return nil
}
