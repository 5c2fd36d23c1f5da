package policy

import (
	"fmt"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// Error says where in a policy file something is wrong, and what.
type Error struct {
	// File is the policy's file or name; Line and Col count from 1, Col in
	// characters. Line 0: no single place is meant.
	File      string
	Line, Col int
	// Msg names the offending text. Fix, if not empty, is how to fix it.
	Msg, Fix string

	err error // what Unwrap gives
}

// Unwrap is the cause, or nil.
func (e *Error) Unwrap() error { return e.err }

// Error is file:line:col: and the message, without the hint.
func (e *Error) Error() string {
	switch {
	case e.Line > 0:
		return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg)
	case e.File != "":
		return e.File + ": " + e.Msg
	}
	return e.Msg
}

// Hint is the fix.
func (e *Error) Hint() string { return e.Fix }

// fault is what a check of one value finds wrong; Parse adds the place.
type fault struct{ msg, hint string }

func faultf(format string, args ...any) *fault {
	return &fault{msg: fmt.Sprintf(format, args...)}
}

// like adds "did you mean" with the candidate nearest to got, if one is near.
func (f *fault) like(got string, candidates []string) *fault {
	if n := nearest(got, candidates); n != "" {
		f.hint = fmt.Sprintf("did you mean %q?", n)
	} else if len(candidates) > 0 && len(candidates) <= 12 {
		f.hint = "one of " + strings.Join(candidates, ", ")
	}
	return f
}

// or sets the hint.
func (f *fault) or(format string, args ...any) *fault {
	f.hint = fmt.Sprintf(format, args...)
	return f
}

// nearest is the candidate that the fewest edits turn got into, or "" if none
// is near enough to be what was meant. Case is no difference.
func nearest(got string, candidates []string) string {
	for _, g := range []string{got, strings.ToLower(got), strings.ToUpper(got)} {
		if n := seccomp.Nearest(g, slices.Values(candidates)); n != "" {
			return n
		}
	}
	return ""
}

// Suggest is the hint "did you mean ...?" with the candidate nearest to got;
// if none is near, it lists a few candidates, and of many it says nothing.
func Suggest(got string, candidates []string) string {
	return (&fault{}).like(got, candidates).hint
}
