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
// and why; then, if we know the mend, one line "sbx: hint:". Never more,
// never anything that a file name or a program could use to drive a terminal.

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
	hint := hintFor(err)
	code, message := outcome(err)
	fmt.Fprintf(os.Stderr, "sbx: error: %s\n", text.OneLine(message))
	if hint != "" {
		fmt.Fprintf(os.Stderr, "sbx: hint: %s\n", text.OneLine(hint))
	}
	return code
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
