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

	"sbx/internal/startlimits" // which begins before the Go runtime
	"sbx/internal/text"
	"sbx/sandbox"
)

// version and commit are set by the linker; see the Makefile.
var version, commit = "development", "unknown"

func main() {
	if err := startlimits.Restore(); err != nil {
		os.Exit(report(err))
	}
	if sandbox.Janitor(os.Args) {
		os.Exit(runJanitor())
	}
	if sandbox.IsTrial(os.Args) {
		os.Exit(runTrial())
	}
	if name, ok := renamed(os.Args); ok {
		os.Exit(runRenamed(name, os.Args[1:]))
	}
	os.Exit(run(os.Args[1:]))
}

// runJanitor is what sbx does in the place of a launcher that was killed.
func runJanitor() int {
	err := sandbox.RunJanitor(os.Args, func(note string) {
		fmt.Fprintf(os.Stderr, "sbx: note: %s\n", text.OneLine(note))
	})
	if err != nil {
		return report(err)
	}
	return 0
}

// runTrial is what sbx does inside, in the place of a program; see sbx policy test.
func runTrial() int {
	if err := sandbox.RunTrial(); err != nil {
		return report(err)
	}
	return 0
}

// run is main with its exit status. The first word chooses one of two grammars:
// that of launchFlags, which costs a launch next to nothing, or kong's for the
// commands.
func run(args []string) int {
	if len(args) > 0 && args[0] == bwrapWord {
		return runBwrap(args[1:])
	}
	if len(args) > 0 && isCommand(args[0]) {
		return runCommand(args)
	}
	explained := len(args) > 0 && args[0] == explainWord // "sbx explain" is --explain
	if explained {
		args = args[1:]
	}
	if explained && len(args) > 0 && args[0] == "--last" {
		if err := explainLast(os.Stdout, args[1:]); err != nil {
			return report(err)
		}
		return 0
	}
	var learns *learning
	if len(args) > 0 && args[0] == learnWord {
		var err error
		if learns, args, err = readLearning(args[1:]); err != nil {
			return report(err)
		}
		if learns.help {
			if err := printLearnHelp(os.Stdout); err != nil {
				return report(err)
			}
			return 0
		}
	}
	l, target, err := readLaunch(args)
	if err == nil && learns != nil {
		err = l.learns(learns)
	}
	if err != nil {
		return report(err)
	}
	code := 0
	l.Explain = l.Explain || explained
	switch {
	case l.Help:
		err = printHelp(os.Stdout)
	case l.Version:
		_, err = fmt.Printf("sbx %s, commit %s\n", version, commit)
	default:
		hurry()
		if code, err = l.run(target); err != nil {
			err = blameOuter(err)
		}
	}
	if err != nil {
		code = report(err)
		l.adviseOn(err)
	}
	return code
}
