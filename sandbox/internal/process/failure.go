package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/sys"
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
// inside. It goes each path as the sandbox does, and names the first that is not
// there.
func (e Exec) Hint(err error) string {
	errno := step.Errno(err)
	broken := ""
	for _, p := range e.Paths {
		f := e.walk(p)
		switch {
		case f.hidden:
			return fmt.Sprintf("the policy hides %s", text.Quote(f.hop))
		case f.absent:
			if _, err := os.Lstat(e.absolute(p)); err == nil && broken == "" && errno == unix.ENOENT {
				broken = fmt.Sprintf("%s is a symbolic link to %s, where nothing is", text.Quote(p), text.Quote(f.hop))
			}
			continue
		case f.hop != "":
			if runnable(f.hop) {
				return e.notInside(p, f.hop)
			}
			if special(f.hop) && broken == "" {
				broken = text.Quote(p) + notRegular
			}
			continue
		}
		if hint := e.why(p, f, errno); hint != "" {
			return hint
		}
	}
	if broken != "" || errno != unix.ENOENT {
		return broken
	}
	return e.elsewhere()
}

// walk goes the path in the sandbox, or where the host's mounts are there, on the host.
func (e Exec) walk(name string) found {
	if e.Inside != nil {
		return walk(e.Inside, name, e.Dir)
	}
	name = e.absolute(name)
	if _, err := os.Stat(name); err != nil {
		return found{hop: name, absent: true}
	}
	return found{path: name, host: name}
}

func (e Exec) absolute(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(e.Dir, name)
}

// notInside is the hint for a program that leads to what is not inside.
func (e Exec) notInside(name, hop string) string {
	show := text.Quote(showFor(hop))
	if filepath.Clean(e.absolute(name)) == hop || strings.HasSuffix(hop, "/"+strings.TrimPrefix(name, "./")) {
		return fmt.Sprintf("the policy does not show %s; show it with --read %s", text.Quote(hop), show)
	}
	return fmt.Sprintf("%s leads by a symbolic link to %s, which the policy does not show; show it with --read %s",
		text.Quote(name), text.Quote(hop), show)
}

// runnable says whether the host has a regular file there that can be executed.
func runnable(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}

const notRegular = " is no regular file, and only those can be run"

// special says whether the host has a FIFO, a socket or a device there.
func special(name string) bool {
	st, err := os.Stat(name)
	return err == nil && !st.Mode().IsRegular() && !st.IsDir()
}

// why explains why a file that is inside did not start.
func (e Exec) why(name string, f found, errno unix.Errno) string {
	st, err := os.Stat(f.host)
	if err != nil {
		return "" // the sandbox's own
	}
	switch {
	case errno == unix.ENOEXEC && firstBytes(f.host, 4) == "\x7fELF":
		return "it is a program for another kind of machine, or damaged; see file(1)"
	case errno == unix.ENOEXEC:
		return "a script needs a first line such as #!/bin/sh"
	case errno == unix.E2BIG:
		return "arguments and environment together are larger than the kernel takes; see execve(2)"
	case st.IsDir():
		return text.Quote(name) + " is a directory"
	case !st.Mode().IsRegular():
		return text.Quote(name) + notRegular
	case st.Mode()&0o111 == 0:
		return "make it executable: chmod +x " + text.Quote(name)
	case f.noExec:
		return "the policy lets nothing be executed at " + text.Quote(f.path) + ": exec = false in its files.path"
	case errno == unix.ENOENT || errno == unix.EACCES:
		if hint := e.missingInterpreter(name, f.host, 0); hint != "" || errno == unix.EACCES {
			return hint
		}
		return e.notInside(name, f.path)
	}
	return ""
}

// missingInterpreter is about the program that the kernel starts for a script or a
// dynamic program, and for that one again.
func (e Exec) missingInterpreter(name, host string, depth int) string {
	const most = 4 // BINPRM_MAX_RECURSION and one
	called, kind := interpreter(host), "interpreter"
	if called == "" {
		called, kind = elfLoader(host), "dynamic loader"
	}
	if called == "" || depth > most {
		return ""
	}
	if bare, crlf := strings.CutSuffix(called, "\r"); crlf {
		return carriageReturn(name, bare)
	}
	f := e.walk(called)
	what := fmt.Sprintf("%s is inside, but its %s %q", text.Quote(name), kind, called)
	switch {
	case f.hidden:
		return what + " is hidden by the policy"
	case f.absent:
		return what + " is not there, on the host neither"
	case f.hop != "" && f.hop != called:
		return fmt.Sprintf("%s leads to %s, which is not in the sandbox; show it with --read %s", what, text.Quote(f.hop),
			text.Quote(showFor(f.hop)))
	case f.hop != "":
		return what + " is not in the sandbox; show it with --read " + text.Quote(showFor(f.hop))
	case !runnable(f.host):
		return what + " cannot be executed"
	}
	return e.missingInterpreter(called, f.host, depth+1)
}

// elsewhere is where else a program of that name is.
func (e Exec) elsewhere() string {
	name := e.Args[0]
	if name == "" || strings.Contains(name, "/") {
		return ""
	}
	if runnable(filepath.Join(e.Dir, name)) {
		return "a program in the current directory is named by its path: ./" + text.Quote(name)
	}
	for _, dir := range [...]string{"/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"} {
		if p := filepath.Join(dir, name); runnable(p) {
			return fmt.Sprintf("PATH does not have %s; name the program by its path: %s", dir, text.Quote(p))
		}
	}
	return ""
}

// PassedOver is a program that the caller's shell would run by that name and the sandbox
// does not, because it is not there; "" if it is the same. run is what runs instead.
func (e Exec) PassedOver() (program, run string) {
	if e.Inside == nil || len(e.Paths) < 2 {
		return "", ""
	}
	for _, p := range e.Paths {
		if unix.Faccessat(unix.AT_FDCWD, p, unix.X_OK, 0) != nil {
			continue // most are nowhere
		}
		f := e.walk(p)
		switch {
		case f.hop == "" && program != "":
			return program, p
		case f.hop == "":
			return "", ""
		case program == "" && runnable(p) && !itself(p):
			program = p
		}
	}
	return "", ""
}

// Interpreter is what the kernel starts for a script, or for a program with a dynamic
// loader; "" for all others.
func Interpreter(path string) string {
	if name := interpreter(path); name != "" {
		return name
	}
	return elfLoader(path)
}

// itself says whether the path leads to the program that this process runs: by a link of
// another name, which is there to start sandboxes.
func itself(name string) bool {
	own, err := os.Stat("/proc/self/exe")
	if err != nil {
		return false
	}
	st, err := os.Stat(name)
	return err == nil && os.SameFile(own, st)
}

// interpreter is the program that a script's first line names, with the carriage return
// behind it that the kernel takes for a part of the name.
func interpreter(path string) string {
	line := firstLine(path)
	if end := strings.IndexAny(line, " \t"); end >= 0 {
		line = line[:end]
	}
	return line
}

// firstLine is what follows "#!" in a script's first line; "" if there is none.
func firstLine(path string) string {
	line, ok := strings.CutPrefix(firstBytes(path, 256), "#!")
	if !ok {
		return ""
	}
	line, _, _ = strings.Cut(line, "\n")
	return strings.Trim(line, " \t")
}

// firstBytes is the beginning of a regular file; of anything else, and of one
// that cannot be read, nothing.
func firstBytes(path string, n int) string {
	fd, err := sys.OpenRegular(unix.AT_FDCWD, path, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	head := make([]byte, n)
	n, err = unix.Read(fd, head)
	if err != nil {
		return ""
	}
	return string(head[:n])
}
