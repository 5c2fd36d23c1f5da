// Package startlimits ends sbx with a message where a limit that it was started with is too
// low for the Go runtime, and has the runtime read no files at its start. It is for sbx itself,
// which calls Restore when it has started.
package startlimits

import (
	"fmt"
	"syscall"
)

// Restore lets the process open as many files as the hard limit allows. Until then it may open
// few, and what it starts by package syscall may too.
func Restore() error {
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
	if err == nil {
		l.Cur = l.Max
		err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l) // which package syscall remembers
	}
	if err != nil {
		return fmt.Errorf("raise the limit on open files: %w", err)
	}
	return nil
}
