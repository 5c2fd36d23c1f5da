// At its start the Go runtime would read cgroup files and all mounts to size
// itself for long work, ask for that again and again, and name its memory:
// none of it is worth a system call to a program that is about to wait.

//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
//go:debug decoratemappings=0

// Sbx runs a program in a sandbox that a named policy describes:
//
//	sbx --policy web -- nginx -g 'daemon off;'
package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/alecthomas/kong"
)

// version and commit are set by the linker; see the Makefile.
var version, commit = "development", "unknown"

func main() { os.Exit(run(os.Args[1:])) }

// run is main with its exit status. Everything behind "--" is the target's.
// The first word chooses one of two grammars, since every flag that kong
// knows costs each launch some microseconds.
func run(args []string) int {
	if len(args) > 0 {
		switch args[0] {
		case "policy", "seccomp":
			return runCommand(args)
		}
	}
	own, target := args, []string(nil)
	split := slices.Index(args, "--")
	if split >= 0 {
		own, target = args[:split], args[split+1:]
	}
	cli, plain := plainLaunch(own)
	if !plain {
		if code, done := parse(&cli, "sbx", launchHelp, own, nil); done {
			return code
		}
	}
	if cli.Version {
		fmt.Printf("sbx %s, commit %s\n", version, commit)
		return 0
	}
	if split < 0 || len(target) == 0 {
		return report(&usageError{"find the target: there is nothing behind --", "sbx [flags] -- PROGRAM [ARGUMENT ...]"})
	}
	code, err := cli.run(target)
	if err != nil {
		return report(err)
	}
	return code
}

// plainLaunch reads the commonest launches without kong, whose model of the
// flags takes longer to build than the whole plan: no flag, or a policy's
// name. A test holds it to what kong makes of the same words.
func plainLaunch(own []string) (launch, bool) {
	switch {
	case len(own) == 0:
		return launch{Policy: "default"}, true
	case len(own) == 2 && (own[0] == "--policy" || own[0] == "-p") && own[1] != "" && own[1][0] != '-':
		return launch{Policy: own[1]}, true
	}
	return launch{}, false
}

// parse reads args into cli. It says whether that is all there is to do,
// after an error or --help, and the exit status then.
//
// found, unless nil, is given what was parsed.
func parse(cli any, name, help string, args []string, found func(*kong.Context)) (code int, done bool) {
	parser, err := kong.New(cli, kong.Name(name), kong.Description(help), kong.Exit(func(c int) { code, done = c, true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		return report(err), true
	}
	ctx, err := parser.Parse(args)
	if done {
		return code, true
	}
	if err != nil {
		return report(&usageError{"read the command line: " + err.Error(), usageHint(args)}), true
	}
	if found != nil {
		found(ctx)
	}
	return code, done
}

// usageHint guesses the commonest slip: a program without "--" before it.
func usageHint(args []string) string {
	for i, a := range args {
		if a != "" && a[0] != '-' && (i == 0 || args[i-1] == "" || args[i-1][0] != '-') {
			return "the target follows --, as in: sbx -- " + a
		}
	}
	return "sbx --help lists the flags"
}
