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
}

// runCommand runs the command that args name, and returns the exit status.
func runCommand(args []string) int {
	code, done := 0, false
	parser, err := newParser(kong.Exit(func(c int) { code, done = c, true }))
	if err != nil {
		return report(err)
	}
	ctx, err := parser.Parse(args)
	if done { // --help
		return code
	}
	if err != nil {
		return report(misread(err.Error(), "sbx "+args[0]+" --help lists what there is"))
	}
	switch err = ctx.Run(); {
	case err == nil:
		return 0
	case errors.Is(err, errFindings):
		return 1
	case errors.Is(err, errLosses):
		return 3
	}
	return report(err)
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
