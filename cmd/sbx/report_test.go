package main

import (
	"errors"
	"fmt"
	"testing"

	"sbx/policy"
	"sbx/sandbox"
)

// status is an error with an exit status.
type status int

func (s status) Error() string { return "x" }

func (s status) ExitStatus() int { return int(s) }

// TestOutcome holds the exit status that an error carries, also within others,
// and that joined errors are told apart.
func TestOutcome(t *testing.T) {
	for _, c := range []struct {
		err     error
		code    int
		message string
	}{
		{&usageError{"a", "b"}, 125, "a"},
		{status(127), 127, "x"},
		{fmt.Errorf("a: %w", errors.Join(status(126), errors.New("y"))), 126, "a: x; y"},
	} {
		if code, message := outcome(c.err); code != c.code || message != c.message {
			t.Errorf("%v: %d %q, want %d %q", c.err, code, message, c.code, c.message)
		}
	}
}

// TestHints: usage errors and those of policies have a hint like any other.
func TestHints(t *testing.T) {
	for _, err := range []error{
		&usageError{"x", "the fix"}, fmt.Errorf("x: %w", &policy.Error{Msg: "x", Fix: "the fix"}),
	} {
		if got := sandbox.Hint(err); got != "the fix" {
			t.Errorf("%v: hint %q", err, got)
		}
	}
}
