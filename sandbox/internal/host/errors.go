package host

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
)

// NeedError is a protection or right that cannot be had.
type NeedError struct {
	// What was being done, and why it cannot be.
	What string
	// Fix is what to do about it, if that is known.
	Fix string
}

func (e *NeedError) Error() string { return e.What }

// Hint is what to do about it.
func (e *NeedError) Hint() string { return e.Fix }

// MissingError is a path that the policy or a flag names and that is not there.
type MissingError struct{ Path string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("show %s: no such file or directory", text.Quote(e.Path))
}

// Unwrap makes it an ENOENT.
func (e *MissingError) Unwrap() error { return unix.ENOENT }

// Hint names the mark that makes the path optional.
func (e *MissingError) Hint() string {
	return "put a ? in front of a path that may be missing: " + text.Quote("?"+e.Path)
}
