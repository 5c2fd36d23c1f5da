package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/internal/text"
	"sbx/internal/timerslack"
	"sbx/policies"
	"sbx/policy"
	"sbx/policy/bwrap"
	"sbx/policy/seccomp"
	"sbx/sandbox"
)

// bwrapWord is the command, and the name of a link to sbx, that take bubblewrap's
// command line.
const bwrapWord = "bwrap"

// bwrapVersion is the version of bubblewrap whose options there are.
const bwrapVersion = "0.11.0"

// bwrapCmd is "sbx bwrap". Its words are read by runBwrap, before kong sees them; what
// kong knows of it is for the help.
type bwrapCmd struct {
	Words []string `arg:"" optional:"" name:"argument" help:"As of bwrap(1): options, then the program and its arguments."`
}

// Run runs them.
func (c *bwrapCmd) Run() error {
	os.Exit(runBwrap(c.Words))
	return nil
}

// runBwrap runs what a command line of bubblewrap's says, and returns the exit status:
// the program's, or 1 with a line as bubblewrap prints it.
func runBwrap(args []string) int {
	code, target, err := bwrapRun(args)
	if err != nil {
		message := err.Error()
		var errno unix.Errno
		if code, _ := outcome(err); (code == 126 || code == 127) && errors.As(err, &errno) {
			message = "execvp " + target + ": " + strings.ToUpper(errno.Error()[:1]) + errno.Error()[1:]
		}
		fmt.Fprintf(os.Stderr, "bwrap: %s\n", text.OneLine(message))
		say("hint", sandbox.Hint(err))
		return 1
	}
	return code
}

func bwrapRun(args []string) (code int, target string, err error) {
	cwd, err := os.Getwd()
	if err != nil {
		return 0, "", fmt.Errorf("find the current directory: %w", err)
	}
	line, err := bwrap.Parse(args, bwrapOptions(cwd))
	if err != nil {
		return 0, target, err
	}
	if line.Help {
		return 0, target, bwrap.PrintHelp(os.Stdout)
	}
	if line.Version {
		_, err := fmt.Printf("bubblewrap %s\n", bwrapVersion)
		return 0, target, err
	}
	target = line.Command[0]
	for _, name := range line.Needed {
		if err := unix.Access(name, unix.F_OK); err != nil {
			// Bubblewrap's words, which programs look for.
			return 0, target, &os.PathError{Op: "Can't find source path", Path: text.Quote(name), Err: err}
		}
	}
	c, plan, err := planBwrap(line, cwd)
	if err != nil {
		return 0, target, err
	}
	if line.DryRun {
		c.Release()
		_, err := fmt.Print(plan)
		return 0, target, err
	}
	if err := lockAll(line, plan); err != nil {
		return 0, target, err
	}
	runtime.LockOSThread()
	if err := timerslack.Restore(); err != nil {
		return 0, target, err
	}
	if err := sandbox.GuardBinary(plan); err != nil {
		return 0, target, err
	}
	for _, fd := range line.Block {
		if err := awaitByte(fd); err != nil {
			return 0, target, err
		}
	}
	exit, err := c.Attach(plan, sandbox.Attachment{})
	return exit.Code(), target, err
}

// bwrapOptions are what a line of bubblewrap's is read with.
func bwrapOptions(cwd string) bwrap.Options {
	o := bwrap.Options{Dir: cwd, Read: readDescriptor, Root: os.Geteuid() == 0}
	entries, err := os.ReadDir("/dev")
	if err != nil {
		return o // there is none to show
	}
	for _, e := range entries {
		switch e.Name() {
		case "null", "zero", "full", "random", "urandom", "tty", "pts", "ptmx", "shm", "mqueue", "fd", "stdin", "stdout",
			"stderr", "core", "console", "log", "hugepages":
			continue
		}
		if e.Type()&fs.ModeSymlink == 0 && e.Type()&fs.ModeSocket == 0 {
			o.Devices = append(o.Devices, "?/dev/"+e.Name())
		}
	}
	return o
}

// planBwrap makes the plan of a line.
func planBwrap(line *bwrap.Line, cwd string) (*sandbox.Cmd, *sandbox.Plan, error) {
	p, err := policies.Sum(line.Policy)
	if err != nil {
		return nil, nil, err
	}
	filters, err := programsFor(p, p.LaunchCalls(), seccomp.Native())
	if err != nil {
		return nil, nil, err
	}
	for _, fd := range line.Filters {
		program, err := readProgram(fd)
		if err != nil {
			return nil, nil, err
		}
		filters = append(filters, program)
	}
	env := slices.DeleteFunc(os.Environ(), func(s string) bool {
		name, _, _ := strings.Cut(s, "=")
		return slices.Contains(line.Unset, name)
	})
	home := path.Clean("/" + os.Getenv("HOME"))
	if p, err = p.Expand(policy.Vars{Home: home, CWD: cwd, UID: os.Geteuid()}); err != nil {
		return nil, nil, err
	}
	l := newLaunch()
	notes := l.keepNamed(line.Command[1:])
	t := sandbox.Target{Path: line.Command[0], Args: line.Command, Env: env, Home: home, PID: os.Getpid(),
		Dir: cwd, Elsewhere: home, KeepFDs: l.KeepFD}
	if !p.Files.Shows(home) {
		t.Elsewhere = "/"
	}
	if line.Dir != "" {
		t.Dir, t.Elsewhere = line.Dir, ""
	}
	c := &sandbox.Cmd{Policy: p, Filters: filters, Attached: &t}
	plan, err := c.Prepare()
	if err != nil {
		return nil, nil, err
	}
	plan.Notes = append(plan.Notes, notes...)
	return c, plan, nil
}

// readProgram reads a compiled filter as seccomp_export_bpf(3) writes it.
func readProgram(fd int) (seccomp.Program, error) {
	const most, instruction = 4096, 8 // BPF_MAXINSNS, and the size of one
	data, err := readDescriptor(fd)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the filter of descriptor %d: %w", fd, err)
	case len(data) == 0 || len(data)%instruction != 0 || len(data) > most*instruction:
		return nil, fmt.Errorf("read the filter of descriptor %d: %d bytes are no program", fd, len(data))
	}
	return seccomp.Program(data), nil
}

// lockAll takes a lock on each file that is to be locked while the sandbox is there.
func lockAll(line *bwrap.Line, plan *sandbox.Plan) error {
	for _, name := range line.Locks {
		n := plan.Tree.At(name)
		if !n.Kind.FromHost() {
			return fmt.Errorf("lock %s: it is no file of the host's", text.Quote(name))
		}
		fd, err := sys.OpenRegular(unix.AT_FDCWD, n.HostPath(name), 0)
		if err == nil {
			err = unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &unix.Flock_t{Type: unix.F_RDLCK})
		}
		if err != nil {
			return fmt.Errorf("lock %s: %w", text.Quote(name), err)
		}
	}
	return nil
}

// awaitByte waits until there is something to read, or the end.
func awaitByte(fd int) error {
	var b [1]byte
	for {
		_, err := unix.Read(fd, b[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for descriptor %d: %w", fd, err)
		}
		unix.Close(fd) // a pipe that was read
		return nil
	}
}

// readDescriptor reads all that a descriptor of the caller's has, and closes it.
func readDescriptor(fd int) ([]byte, error) {
	const most = 16 << 20
	f := os.NewFile(uintptr(fd), "descriptor")
	if f == nil {
		return nil, unix.EBADF
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	f.Close() // read to its end
	if err == nil && len(data) > most {
		err = fmt.Errorf("it has more than %d bytes", most)
	}
	if err != nil || fd > 2 {
		return data, err
	}
	// The number of a standard stream is never free for what is opened next.
	null, err := sys.Open(unix.AT_FDCWD, os.DevNull, unix.O_RDWR, unix.S_IFCHR)
	if err != nil {
		return nil, err
	}
	err = unix.Dup3(null, fd, 0)
	if err == nil {
		err = unix.Close(null)
	}
	return data, err
}
