package main

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/sandbox"
)

// outerError is an error of a launch inside another sandbox, whose filter or limits are
// to blame.
type outerError struct {
	error
	hint string
}

// Unwrap gives the error itself.
func (e *outerError) Unwrap() error { return e.error }

// Hint says whose filter it is, and what to do about it.
func (e *outerError) Hint() string { return e.hint }

// blameOuter names the outer sandbox in an error of a launch, where there is one and
// the error is what such a sandbox answers.
func blameOuter(err error) error {
	var errno unix.Errno
	if code, _ := outcome(err); code != exitSandbox || !errors.As(err, &errno) {
		return err
	}
	switch errno {
	case unix.ENOSYS, unix.EPERM, unix.ENOSPC:
	default:
		return err
	}
	status, read := sys.ReadFile("/proc/self/status")
	if read != nil || !strings.Contains(status, "\nSeccomp:\t2") {
		return err
	}
	if comm, read := sys.ReadFile("/proc/1/comm"); read == nil && strings.HasPrefix(comm, "sbx") {
		return &outerError{err, "this is in a sandbox of sbx already, which denies it: run sbx outside, or say nest = true " +
			"in the [process] of the outer policy" + secondWay(err)}
	}
	if errno == unix.ENOSYS || sandbox.Hint(err) == "" {
		return &outerError{err, "a seccomp filter is in force already, of an outer sandbox, and denies it " +
			"(docker: --security-opt seccomp=unconfined; systemd: SystemCallFilter=, RestrictNamespaces=, RestrictSUIDSGID=, " +
			"or DynamicUser=, which implies that)" + secondWay(err)}
	}
	return err
}

// secondWay is the end of an error's own hint, if that is the flag for a launch without
// namespaces.
func secondWay(err error) string {
	hint := sandbox.Hint(err)
	if i := strings.Index(hint, "; or run without namespaces"); i >= 0 {
		return hint[i:]
	}
	return ""
}
