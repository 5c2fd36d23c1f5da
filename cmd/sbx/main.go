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
	"reflect"
	"slices"
	"strings"

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

// plainLaunch reads plain launches, long flags each followed by its value,
// without kong, whose model of the flags takes longer to build than the whole
// plan. It leaves everything else, errors above all, to kong; a test holds it
// to what kong makes of the same words.
func plainLaunch(own []string) (launch, bool) {
	l := launch{Policy: "default"}
	if len(own)%2 != 0 {
		return l, false
	}
	for i := 0; i < len(own); i += 2 {
		value := own[i+1]
		if value == "" || value[0] == '-' {
			return l, false
		}
		switch own[i] {
		case "--policy":
			l.Policy = value
		case "--read":
			l.Read = append(l.Read, value)
		case "--write":
			l.Write = append(l.Write, value)
		case "--hide":
			l.Hide = append(l.Hide, value)
		case "--env":
			l.Env = append(l.Env, value)
		case "--dir":
			l.Dir = value
		case "--net":
			if value != "host" && value != "none" {
				return l, false
			}
			l.Net = value
		default:
			return l, false
		}
	}
	return l, true
}

// parse reads args into cli. It says whether that is all there is to do,
// after an error or --help, and the exit status then.
//
// found, unless nil, is given what was parsed.
func parse(cli any, name, help string, args []string, found func(*kong.Context)) (code int, done bool) {
	parser, err := kong.New(cli, kong.Name(name), kong.Description(help), kong.Exit(func(c int) { code, done = c, true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.KindMapper(reflect.String, kong.MapperFunc(asIs)))
	if err != nil {
		return report(err), true
	}
	ctx, err := parser.Parse(args)
	if done {
		return code, true
	}
	if err != nil {
		hint := name + " " + strings.Join(args[:min(1, len(args))], "") + " --help lists what there is"
		if found == nil {
			hint = usageHint(args)
		}
		return report(&usageError{"read the command line: " + err.Error(), hint}), true
	}
	if found != nil {
		found(ctx)
	}
	return code, done
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

// usageHint guesses the commonest slip: a program without "--" before it.
func usageHint(args []string) string {
	for i, a := range args {
		if a != "" && a[0] != '-' && (i == 0 || args[i-1] == "" || args[i-1][0] != '-') {
			return "the target follows --, as in: sbx -- " + a
		}
	}
	return "sbx --help lists the flags"
}
