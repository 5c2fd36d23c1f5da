package step

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Hinter is a Step that knows how to fix some of its failures.
type Hinter interface {
	Step
	// Hint is the fix in one line, or "" where the step knows none. err is the
	// errno of the call that failed, a *MismatchError, or an error of the
	// launcher's part in the step.
	Hint(err error) string
}

// MismatchError is a step whose call succeeded with a wrong result, or a check that found
// something other than planned.
type MismatchError struct{ Got uint64 }

func (e *MismatchError) Error() string {
	return fmt.Sprintf("read-back failed: the kernel reports %#x", e.Got)
}

// Mismatched says whether err is a *MismatchError.
func Mismatched(err error) bool {
	var m *MismatchError
	return errors.As(err, &m)
}

// Errno is the errno in err, or 0 where there is none.
func Errno(err error) unix.Errno {
	var errno unix.Errno
	errors.As(err, &errno)
	return errno
}
