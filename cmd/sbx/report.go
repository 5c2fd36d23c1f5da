package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox"
)

// How sbx speaks: one line "sbx: error:", with what was being done, to what,
// and why; then, if we know the fix, one line "sbx: hint:". Never more, but that
// all errors of a policy are told at once, and never anything that a file name or
// a program could use to drive a terminal.

// exitSandbox is the exit status of an error that has none of its own; see the
// help text.
const exitSandbox = 125

// usageError is a command line that makes no sense.
type usageError struct{ what, hint string }

func (e *usageError) Error() string { return e.what }

// Hint is how the command line would make sense.
func (e *usageError) Hint() string { return e.hint }

// outcome is the exit status that an error means, and the error in words.
func outcome(err error) (code int, message string) {
	code = exitSandbox
	var e interface{ ExitStatus() int }
	if errors.As(err, &e) {
		code = e.ExitStatus()
	}
	// Errors that were joined stand below each other.
	return code, strings.ReplaceAll(err.Error(), "\n", "; ")
}

// report prints the error and returns the exit status that it means.
func report(err error) int {
	code, message := outcome(err)
	list, more := policy.All(err)
	if len(list) < 2 {
		say("error", message)
		say("hint", sandbox.Hint(err))
		return code
	}
	for i, e := range list {
		say("error", e.Error())
		if i == len(list)-1 || list[i+1].Fix != e.Fix { // one hint for several
			say("hint", e.Fix)
		}
	}
	if more {
		say("hint", fmt.Sprintf("these are the first %d errors; there may be more", len(list)))
	}
	return code
}

// say prints one line, if there is anything to say.
func say(kind, message string) {
	if message != "" {
		fmt.Fprintf(os.Stderr, "sbx: %s: %s\n", kind, text.OneLine(message))
	}
}

// sayNew tells of the guarded names that came to be, in at most ten lines.
func sayNew(list []string) {
	const most = 8
	if len(list) == 0 {
		return
	}
	const newPaths = "%d new since the start that other programs run or obey; look before you use this directory:"
	say("note", fmt.Sprintf(newPaths, len(list)))
	for _, name := range list[:min(len(list), most)] {
		say("note", "  "+text.Quote(name))
	}
	if more := len(list) - most; more > 0 {
		say("note", fmt.Sprintf("  and %d more, which --report lists", more))
	}
}

// saySecrets tells a user how many files are hidden.
func saySecrets(plan *sandbox.Plan) {
	n := plan.Secrets()
	if n == 0 || !isTerminal(2) {
		return
	}
	what := "1 file that looks like a secret is"
	if n > 1 {
		what = strconv.Itoa(n) + " files that look like secrets are"
	}
	fmt.Fprintf(os.Stderr, "sbx: note: %s hidden (sbx --dry-run lists them; --show PATH shows one)\n", what)
}
