// Package bwrap reads the command line of bubblewrap(1) as a policy. What
// bubblewrap leaves open, and no option asks for, stays closed: the filter of
// system calls of role open applies, and Unix sockets, capabilities and user
// namespaces are there as far as the line names them.
package bwrap

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"sbx/internal/text"
	"sbx/policy"
)

// maxArgs is the most arguments of a line, those that --args reads included: what
// bubblewrap itself takes.
const maxArgs = 9000

// Line is a command line of bubblewrap's.
type Line struct {
	// Policy is what it says of the sandbox. It extends nothing that was not shipped.
	Policy *policy.Policy
	// Command is the program and its arguments.
	Command []string
	// Dir is the directory to start in; empty: the caller's, if it is there inside.
	Dir string
	// Lost says what a policy does not do as bubblewrap does.
	Lost []string
	// Filters are descriptors with further seccomp programs, in load order.
	Filters []int
	// Unset lists variables that do not cross; Set are those that are set, in order,
	// as NAME=VALUE. Clear says that nothing else crosses but PWD.
	Unset, Set []string
	Clear      bool
	// Info are descriptors that are told of the sandbox as JSON: at the start, and
	// Status also at the end. Sync stays open, and Block is waited for. UsersBlock, too, by
	// a process in the new user namespace, whose ids somebody else maps meanwhile.
	Info, Status, Sync, Block, UsersBlock []int
	// Locks are files inside that are locked while the sandbox is there.
	Locks []string
	// Needed are paths of the host that have to be there, also where others cover them.
	Needed []string
	// Argv0 is what the program is called instead of its own name, or nil.
	Argv0 *string
	// Make is what is made on the host first, in what the line lets be written.
	Make []Made
	// Warnings are what bubblewrap says of a line, and goes on. LevelPrefix puts the level
	// of sd-daemon(3) before each message.
	Warnings    []string
	LevelPrefix bool
	// Details are what the policy does not say of paths inside, by the path.
	Details map[string]Detail
	// First says that the program is process 1 of its pid namespace.
	First bool
	// DieWithParent says that the sandbox ends with the process that started it.
	DieWithParent bool
	// DryRun, Help and Version print the plan, the help or the version.
	DryRun, Help, Version bool
}

// Options are what a line needs from whoever reads it.
type Options struct {
	// Dir is the directory that relative paths of the host begin in.
	Dir string
	// Read reads all that a descriptor has, and closes it. Nil: such options are errors.
	Read func(fd int) ([]byte, error)
	// Devices are what the host has below /dev, beyond what each sandbox has.
	Devices []string
	// Root says that root starts the sandbox.
	Root bool
	// Nest lets programs make sandboxes inside, as bubblewrap does unless a line says
	// --disable-userns. Root's cannot.
	Nest bool
	// UID and GID are the caller's.
	UID, GID int
	// Mode is the kind of what is at a path of the host, if anything is; nil: nothing is
	// known of it.
	Mode func(name string) (mode fs.FileMode, there bool)
}

// Error is an error in bubblewrap's words, which programs look for.
type Error string

func (e Error) Error() string { return string(e) }

func words(format string, args ...any) error { return Error(fmt.Sprintf(format, args...)) }

// Made is something that is made in a directory of the host before the start, as
// bubblewrap does in what a line lets be written.
type Made struct {
	// Path is what it is called inside. Dir is the directory of the host that has it, at
	// Rel.
	Path, Dir, Rel string
	// What it is: a directory, a link to Target, a mount point for what Source is, or the
	// mode of what is there.
	What   MadeKind
	Target string
	Source string
	// Mode is that of a directory, or the new one. HasMode says that the line gives it.
	Mode    uint32
	HasMode bool
	// ReadOnly says that nothing can be made there: it has to be there.
	ReadOnly bool
}

// Detail is what a policy does not say of a path inside.
type Detail struct {
	// Under are further layers of an overlay, the upper ones first. ReadOnly says that it,
	// or a tmpfs, is read-only in the end.
	Under    []string
	ReadOnly bool
	// Queues says that a tmpfs is none: the message queues of the IPC namespace are there.
	Queues bool
	// Device says that a file is a device of the host's, or a directory with some, that can be
	// used.
	Device bool
	// Own says that a file has the mode Mode, and Writable that its content can be changed.
	Own, Writable bool
	Mode          uint32
}

// MadeKind says what Made makes.
type MadeKind uint8

// What Made makes.
const (
	MakeDir MadeKind = iota
	MakeLink
	MakeMountPoint
	MakeMode
)

// Parse reads the arguments that follow the program's name.
func Parse(args []string, o Options) (*Line, error) {
	r := &reader{options: o, line: &Line{}, namespaces: map[string]bool{}, given: map[string]bool{}, uid: -1, gid: -1,
		root: tree{"/": {kind: private}}, binds: map[string]*node{}}
	if err := r.read(args, true); err != nil {
		return nil, err
	}
	if r.line.Help || r.line.Version {
		return r.line, nil
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return r.line, nil
}

// reader is the state of a line that is being read.
type reader struct {
	options Options
	line    *Line
	root    tree
	// binds are the binds of the host's files, those too that a later mount covers.
	binds      map[string]*node
	total      int
	namespaces map[string]bool // what is unshared
	join       []joined
	caps       capabilities
	uid, gid   int
	hostname   string
	label      string
	session    bool
	noUsers    bool
	mode, size string // for the next operation
	sources    []string
	given      map[string]bool // options of which the last one counts
	stacked    bool            // --add-seccomp-fd was there
}

// read reads arguments. top says that they are the line's own, where the command follows.
func (r *reader) read(args []string, top bool) error {
	if r.total += len(args); r.total > maxArgs {
		return words("Exceeded maximum number of arguments %d", maxArgs)
	}
	known := options()
	for len(args) > 0 {
		word := args[0]
		if word == "--" || !strings.HasPrefix(word, "-") {
			if word == "--" {
				args = args[1:]
			}
			if top {
				r.line.Command = args
			} else if len(args) > 0 {
				return fmt.Errorf("read the options of --args: %s is none", text.Quote(args[0]))
			}
			return nil
		}
		i := slices.IndexFunc(known, func(o option) bool { return o.name == word })
		if i < 0 {
			return words("Unknown option %s", text.Quote(word))
		}
		opt := &known[i]
		if len(args) <= opt.values {
			return words("%s takes %s", word, counted(opt.values))
		}
		given := args[1 : 1+opt.values]
		args = args[1+opt.values:]
		switch {
		case word == "--args" && !top:
			return words("--args not supported in arguments file")
		case opt.last && r.given[word]:
			r.line.Warnings = append(r.line.Warnings, "Only the last "+word+" option will take effect")
		}
		r.given[word] = true
		if opt.take != nil { // else sbx does so in any case
			err := opt.take(r, given)
			if bare := Error(""); errors.As(err, &bare) {
				return bare
			}
			if err != nil {
				return fmt.Errorf("%s: %w", strings.Join(append([]string{word}, quoted(given)...), " "), err)
			}
		}
		if err := r.used(word); err != nil {
			return err
		}
		if r.line.Help || r.line.Version {
			return nil
		}
	}
	return nil
}

// used says what an option has left of the ones before it that are about the next one.
func (r *reader) used(word string) error {
	modifies := word == "--perms" || word == "--size"
	switch {
	case !modifies && r.mode != "":
		return words("--perms must be followed by an option that creates a file")
	case !modifies && r.size != "":
		return words("--size must be followed by --tmpfs")
	case word != "--overlay-src" && len(r.sources) > 0:
		return words(sourceAlone)
	}
	return nil
}

const sourceAlone = "--overlay-src must be followed by another --overlay-src or one of --overlay, --tmp-overlay, " +
	"or --ro-overlay"

func quoted(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = text.Quote(s)
	}
	return out
}

func counted(n int) string {
	return [...]string{"no arguments", "an argument", "two arguments", "three arguments"}[n]
}

// descriptor reads the number of a descriptor.
func descriptor(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || strconv.Itoa(n) != s {
		return 0, words("Invalid fd: %s", text.Quote(s))
	}
	return n, nil
}

// number reads an id of that kind.
func number(kind, s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, words("Invalid %s: %s", kind, text.Quote(s))
	}
	return int(n), nil
}

// host is a path of the host as a policy names it.
func (r *reader) host(s string) (string, error) {
	if s == "" {
		return "", errors.New("the path is empty")
	}
	if strings.Contains(s, "${") {
		return "", fmt.Errorf("this cannot be had: a policy takes what is in %s for a variable", text.Quote(s))
	}
	if !path.IsAbs(s) {
		s = path.Join(r.options.Dir, s)
	}
	return path.Clean(s), nil
}

// inside is a path inside as a policy names it: bubblewrap reads relative ones from
// the root.
func inside(s string) string { return path.Clean("/" + s) }

func (r *reader) lose(format string, args ...any) {
	r.line.Lost = append(r.line.Lost, fmt.Sprintf(format, args...))
}

func (l *Line) makes() bool {
	return slices.ContainsFunc(l.Make, func(m Made) bool { return !m.ReadOnly })
}

// Losses are what a policy by itself leaves out: what Lost says, and what is no part of
// a sandbox but of a run.
func (l *Line) Losses() []string {
	list := slices.Clone(l.Lost)
	for _, x := range []struct {
		what string
		has  bool
	}{
		{"--seccomp, --add-seccomp-fd: a policy names system calls, and has no programs", len(l.Filters) > 0},
		{"--unsetenv: the variables cross unless process.env names the others", len(l.Unset) > 0 && !l.Clear},
		{"--chdir: sbx -C says it", l.Dir != ""},
		{"--info-fd, --json-status-fd, --sync-fd, --block-fd: they are of a run",
			len(l.Info)+len(l.Status)+len(l.Sync)+len(l.Block) > 0},
		{"--userns-block-fd: the policy maps the caller's own ids", len(l.UsersBlock) > 0},
		{"--lock-file: it is of a run", len(l.Locks) > 0},
		{"--argv0: a program is called by its own name", l.Argv0 != nil},
		{"--dir, --symlink, --chmod and mount points in what the host shows: they are made by a run", l.makes()},
	} {
		if x.has {
			list = append(list, x.what)
		}
	}
	return list
}
