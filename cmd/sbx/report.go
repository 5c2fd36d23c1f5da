package main

import (
	"errors"
	"fmt"
	"os"

	"sbx/internal/text"

	"sbx/policy"
	"sbx/sandbox"
	"sbx/sandbox/process"
)

// How sbx speaks: one line "sbx: error:", with what was being done, to what,
// and why; then, if we know the mend, one line "sbx: hint:". Never more, but that
// all errors of a policy are told at once, and never anything that a file name or
// a program could use to drive a terminal.

// Exit statuses of sbx itself; see the help text.
const (
	exitSandbox       = 125
	exitNotExecutable = 126
	exitNotFound      = 127
)

// usageError is a command line that makes no sense.
type usageError struct{ what, hint string }

func (e *usageError) Error() string { return e.what }

// outcome is the exit status that an error means, and the error in words.
func outcome(err error) (code int, message string) {
	var se *sandbox.StepError
	if errors.As(err, &se) {
		if x, ok := se.Step.(process.Exec); ok {
			return execFailed(x, se.Err)
		}
	}
	return exitSandbox, err.Error()
}

// report prints the error and returns the exit status that it means.
func report(err error) int {
	code, message := outcome(err)
	list, more := policy.All(err)
	if len(list) < 2 {
		say("error", message)
		say("hint", hintFor(err))
		return code
	}
	for i, e := range list {
		say("error", e.Error())
		if i == len(list)-1 || list[i+1].Hint != e.Hint { // one hint for several
			say("hint", e.Hint)
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

// hintFor is the mend of an error, or "".
func hintFor(err error) string {
	var (
		usage *usageError
		need  *sandbox.NeedError
		miss  *sandbox.MissingError
		perr  *policy.Error
		se    *sandbox.StepError
	)
	switch {
	case errors.As(err, &usage):
		return usage.hint
	case errors.As(err, &need):
		return need.Hint
	case errors.As(err, &miss):
		return "put a ? in front of a path that may be missing: " + text.Quote("?"+miss.Path)
	case errors.As(err, &perr):
		return perr.Hint
	case errors.As(err, &se):
		return stepHint(se)
	}
	return errnoHint(err, nil)
}
