package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
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
const bwrapVersion = "0.12.0"

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
	hurry()
	b := &bwrapRunner{}
	code, err := b.run(args)
	if err != nil {
		message, hint := err.Error(), sandbox.Hint(err)
		var failed *sandbox.StepError
		switch code, _ := outcome(err); {
		case code == 126 || code == 127:
			message = "execvp " + b.target + ": " + said(err).Error()
		case errors.Is(err, sandbox.NotShown) && b.dir != "":
			message, hint = "Can't chdir to "+text.Quote(b.dir)+": "+said(unix.ENOENT).Error(), ""
		case errors.As(err, &failed) && failed.Step.Kind() == "chdir" && b.dir != "":
			message, hint = "Can't chdir to "+text.Quote(b.dir)+": "+said(err).Error(), ""
		}
		b.print(3, message)
		say("hint", hint)
		return 1
	}
	return code
}

// bwrapRunner runs a line, of which the program is known as far as it was read.
type bwrapRunner struct {
	target string
	dir    string // of --chdir
	levels bool   // messages have their level in front
}

// print prints a message as bubblewrap does, with its level as of sd-daemon(3).
func (b *bwrapRunner) print(level int, message string) {
	prefix := ""
	if b.levels {
		prefix = fmt.Sprintf("<%d>", level)
	}
	fmt.Fprintf(os.Stderr, "%sbwrap: %s\n", prefix, text.OneLine(message))
}

func (b *bwrapRunner) run(args []string) (code int, err error) {
	cwd, err := os.Getwd()
	if err != nil {
		return 0, fmt.Errorf("find the current directory: %w", err)
	}
	o := bwrapOptions(cwd)
	o.Mode = func(name string) (fs.FileMode, bool) {
		st, err := os.Stat(name)
		if err != nil {
			return 0, false
		}
		return st.Mode(), true
	}
	if o.Nest, err = nestByEnv(); err != nil {
		return 0, err
	}
	line, err := bwrap.Parse(args, o)
	if err != nil {
		return 0, err
	}
	if line.Help {
		return 0, bwrap.PrintHelp(os.Stdout, bwrapName())
	}
	if line.Version {
		_, err := fmt.Printf("bubblewrap %s\n", bwrapVersion)
		return 0, err
	}
	b.target, b.dir, b.levels = line.Command[0], line.Dir, line.LevelPrefix
	for _, w := range line.Warnings {
		b.print(4, w)
	}
	for _, fd := range slices.Concat(line.Info, line.Status, line.Block, line.UsersBlock) {
		if !callers(fd) {
			return 0, fmt.Errorf("use descriptor %d: %w", fd, said(unix.EBADF))
		}
	}
	for _, name := range line.Needed {
		if err := unix.Access(name, unix.F_OK); err != nil {
			//lint:ignore ST1005 these are bubblewrap's words, which programs look for
			return 0, fmt.Errorf("Can't find source path %s: %w", text.Quote(name), said(err))
		}
	}
	if !line.DryRun {
		if err := makeAll(line.Make); err != nil {
			return 0, err
		}
	}
	c, plan, err := planBwrap(line, cwd)
	if err != nil {
		return 0, err
	}
	if line.DryRun {
		c.Release()
		_, err := fmt.Print(plan)
		return 0, err
	}
	if err := lockAll(line, plan); err != nil {
		return 0, err
	}
	runtime.LockOSThread()
	if line.DieWithParent {
		// It belongs to this thread, which stays.
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
			return 0, fmt.Errorf("end with the process that started sbx: %w", err)
		}
	}
	if err := underWay(); err != nil {
		return 0, err
	}
	if err := guardBinary(plan); err != nil {
		return 0, err
	}
	told, err := newBwrapTeller(line)
	if err != nil {
		return 0, err
	}
	exit, err := c.Attach(plan, sandbox.Attachment{Born: told.born, Ready: told.ready, Rested: collect})
	if err == nil {
		told.ended(exit.Code())
	}
	return exit.Code(), errors.Join(err, told.err)
}

// nestByEnv says whether programs may make sandboxes inside. It is said by the environment, since
// another program makes the line.
func nestByEnv() (bool, error) {
	const name = "SBX_BWRAP_NEST"
	switch s := os.Getenv(name); s {
	case "", "0":
		return false, nil
	case "1":
		return true, nil
	default:
		return false, fmt.Errorf("read %s: %s is neither 0 nor 1", name, text.Quote(s))
	}
}

// bwrapName is what the help calls this program.
func bwrapName() string {
	if path.Base(os.Args[0]) == bwrapWord {
		return os.Args[0]
	}
	return "sbx bwrap"
}

// bwrapOptions are what a line of bubblewrap's is read with.
func bwrapOptions(cwd string) bwrap.Options {
	o := bwrap.Options{Dir: cwd, Read: readDescriptor, Root: os.Geteuid() == 0, UID: os.Getuid(), GID: os.Getgid()}
	if entries, err := os.ReadDir("/dev"); err == nil { // without one there is none to show
		o.Devices = bwrap.DevicesOf(entries)
	}
	return o
}

// isShown says whether a directory is there inside, in what the policy shows of the host at that
// path, which may be another directory of the host.
func isShown(p *policy.Policy, dir string) bool {
	e := p.Files.At(dir)
	if !e.Kind.FromHost() {
		return false
	}
	source := e.Source()
	if fd, ok := strings.CutPrefix(source, "fd:"); ok {
		source = "/proc/self/fd/" + fd
	}
	st, err := os.Stat(path.Join(source, strings.TrimPrefix(dir, e.Name)))
	return err == nil && st.IsDir()
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
	programs, err := readPrograms(line.Filters)
	if err != nil {
		return nil, nil, err
	}
	filters = append(filters, programs...)
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
	l.keepNumbered(line.Command[1:])
	t := sandbox.Target{Path: line.Command[0], Args: line.Command, Env: env, Home: home, PID: os.Getpid(),
		Dir: cwd, Elsewhere: home, KeepFDs: l.KeepFD, MappedOutside: len(line.UsersBlock) > 0}
	t.Announce = len(line.Info)+len(line.Status) > 0
	t.Hold = t.Announce || len(line.Block) > 0
	for _, fd := range line.Info {
		if fd > 2 && !slices.Contains(l.KeepFD, fd) && !slices.Contains(line.Status, fd) {
			t.HoldWithout = append(t.HoldWithout, fd)
		}
	}
	if !isShown(p, home) {
		t.Elsewhere = "/"
	}
	if p.Files.Shows(cwd) && !isShown(p, cwd) {
		t.Dir = t.Elsewhere
	}
	// Lines come from programs, which cannot follow a hint.
	t.First, t.MakesOwn = line.First, true
	t.Details = make(map[string]sandbox.Detail, len(line.Details))
	for name, d := range line.Details {
		t.Details[name] = sandbox.Detail(d)
	}
	switch {
	case line.Argv0 != nil:
		t.Args = append([]string{*line.Argv0}, line.Command[1:]...)
	case line.Command[0] == "/proc/self/exe":
		// It is sbx, which takes bubblewrap's options by that name alone.
		t.Args = append([]string{bwrapWord}, line.Command[1:]...)
	}
	if line.Dir != "" {
		t.Dir, t.Elsewhere = line.Dir, ""
	}
	c := &sandbox.Cmd{Policy: p, Filters: filters, Attached: &t}
	plan, err := prepared(c, !line.DryRun)
	if err != nil {
		return nil, nil, err
	}
	plan.Notes = append(plan.Notes, notes...)
	for _, name := range plan.Unmade() {
		plan.Notes = append(plan.Notes, text.Quote(name)+" would be made first, and is read-only inside")
	}
	return c, plan, nil
}
