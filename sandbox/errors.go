package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
)

// An error of this package may have two more methods: Hint() string, which
// tells how to fix it, or "" where that is not known; and ExitStatus() int, the
// status that a launcher ends with.

// NeedError is a protection or right that cannot be had.
type NeedError struct{ What, Fix string }

func (e *NeedError) Error() string { return e.What }

// Hint is the fix.
func (e *NeedError) Hint() string { return e.Fix }

// MissingError is a path that the policy or a flag names and that is not
// there.
type MissingError struct{ Path string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("show %s: no such file or directory", text.Quote(e.Path))
}

// Unwrap makes it an os.ErrNotExist.
func (e *MissingError) Unwrap() error { return unix.ENOENT }

// Hint is how to write a path that may be missing.
func (e *MissingError) Hint() string {
	return "put a ? in front of a path that may be missing: " + text.Quote("?"+e.Path)
}
