package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// The exit statuses of shells and env(1) for a program that could not be started.
const (
	notExecutable = 126
	notFound      = 127
)

// Failure is the exit status and the message for a target that was not started.
func (e Exec) Failure(err error) (status int, message string) {
	name := text.Quote(e.Args[0])
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return notFound, fmt.Sprintf("run %s: not found in the sandbox", name)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return notExecutable, fmt.Sprintf("run %s: permission denied", name)
	}
	return notExecutable, fmt.Sprintf("run %s: %v", name, err)
}

// Hint looks at the target's file on the host to explain why it did not start
// inside.
func (e Exec) Hint(err error) string {
	errno := step.Errno(err)
	for _, p := range e.Paths {
		st, err := os.Stat(p)
		if err != nil {
			continue
		}
		switch {
		case errno == unix.ENOEXEC && firstBytes(p, 4) == "\x7fELF":
			return "it is a program for another kind of machine, or damaged; see file(1)"
		case errno == unix.ENOEXEC:
			return "a script needs a first line such as #!/bin/sh"
		case errno == unix.E2BIG:
			return "arguments and environment together are larger than the kernel takes; see execve(2)"
		case st.IsDir():
			return text.Quote(p) + " is a directory"
		case st.Mode()&0o111 == 0:
			return "make it executable: chmod +x " + text.Quote(p)
		case errno == unix.ENOENT:
			if line := interpreter(p); line != "" {
				return fmt.Sprintf("its interpreter %s is not in the sandbox; show it with --read", text.Quote(line))
			}
			return fmt.Sprintf("the policy does not show %s; show it with --read %s", text.Quote(p), text.Quote(filepath.Dir(p)))
		}
		return ""
	}
	return ""
}

// interpreter is the program that a script's first line names.
func interpreter(path string) string {
	line, ok := strings.CutPrefix(firstBytes(path, 256), "#!")
	if !ok {
		return ""
	}
	line, _, _ = strings.Cut(line, "\n")
	if f := strings.Fields(line); len(f) > 0 {
		return f[0]
	}
	return ""
}

// firstBytes is the beginning of a file, or "" where it cannot be read.
func firstBytes(path string, n int) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, n)
	n, _ = f.Read(head)
	return string(head[:n])
}
