package policy

import (
	"cmp"
	"errors"
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

// MaxErrors is how many errors are told of one policy at once.
const MaxErrors = 20

// Errors are several errors of one policy: of each file in the order in which
// they stand there.
type Errors struct {
	// List has at least two, and at most MaxErrors.
	List []*Error
	// More: it was not looked for further ones.
	More bool
}

// Error is the first error and how many follow it: there is one line only.
func (e *Errors) Error() string {
	n := fmt.Sprint(len(e.List) - 1)
	if e.More {
		n = "at least " + n
	}
	return fmt.Sprintf("%v (and %s more)", e.List[0], n)
}

// Unwrap gives the errors one by one.
func (e *Errors) Unwrap() []error {
	out := make([]error, len(e.List))
	for i, one := range e.List {
		out[i] = one
	}
	return out
}

// All gives the errors of policies that err is, one by one, and whether there may
// be more of them; none if it is something else.
func All(err error) (list []*Error, more bool) {
	var several *Errors
	var one *Error
	if errors.As(err, &several) {
		return several.List, several.More
	}
	if errors.As(err, &one) {
		return []*Error{one}, false
	}
	return nil, false
}

// errorList collects errors, up to MaxErrors.
type errorList struct{ list []*Error }

// add takes in an error, or several; the same one twice counts once.
func (l *errorList) add(err error) {
	list, _ := All(err)
	if list == nil && err != nil {
		list = []*Error{{Msg: err.Error(), err: err}}
	}
	for _, e := range list {
		same := func(have *Error) bool { return have.Error() == e.Error() }
		if !l.full() && !slices.ContainsFunc(l.list, same) {
			l.list = append(l.list, e)
		}
	}
}

// full says that it is time to stop looking.
func (l *errorList) full() bool { return len(l.list) >= MaxErrors }

// err is nil, the one error, or an *Errors.
func (l *errorList) err() error {
	if len(l.list) == 0 {
		return nil
	}
	if len(l.list) == 1 {
		return l.list[0]
	}
	file := func(e *Error) int {
		return slices.IndexFunc(l.list, func(first *Error) bool { return first.File == e.File })
	}
	out := slices.Clone(l.list)
	slices.SortStableFunc(out, func(a, b *Error) int { return cmp.Or(file(a)-file(b), a.Line-b.Line, a.Col-b.Col) })
	return &Errors{out, l.full()}
}

// fault is what a check of one value finds wrong; Parse adds the place.
type fault struct{ msg, hint string }

func faultf(format string, args ...any) *fault {
	return &fault{msg: fmt.Sprintf(format, args...)}
}

// like adds "did you mean" with the candidate nearest to got, if one is near.
func (f *fault) like(got string, candidates []string) *fault {
	if n := nearest(got, candidates); n != "" {
		f.hint = fmt.Sprintf("did you mean %q?", n)
	} else if len(candidates) > 0 && len(candidates) <= 13 {
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
