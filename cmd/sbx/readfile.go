package main

import (
	"os"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
)

// openInput opens a file that a command is to read: a regular one, or a pipe or
// terminal, such as /dev/stdin or what a shell gives for <(...).
func openInput(name string) (*os.File, error) {
	fd, err := sys.Open(unix.AT_FDCWD, name, unix.O_RDONLY, unix.S_IFREG, unix.S_IFIFO, unix.S_IFCHR)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// readInput reads a regular file whole.
func readInput(name string) (string, error) {
	data, err := sys.ReadRegular(name)
	if err != nil {
		return "", &os.PathError{Op: "read", Path: name, Err: err}
	}
	return data, nil
}
