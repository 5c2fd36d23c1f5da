package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
)

// learnWord begins a run that is learnt from.
const (
	learnWord = "learn"
	learnHelp = "Run a program and write a policy of what it was seen to do."
)

// learnAbout says what it does.
const learnAbout = "The program runs in a sandbox in which it can do nearly all that it likes, and changes " +
	"nothing on " +
	"the host but where --policy or --write lets it. The flags of a launch say what else it has: --policy is then " +
	"what " +
	"the policy extends, --net host the network. Read what comes out before you use it."

// learnFlag is a flag of "sbx learn" alone.
type learnFlag struct {
	name  string
	short byte
	value string
	help  string
	offer offer
	set   func(*learning, string)
}

// learnFlags are all of them, in the order of the help.
var learnFlags = [...]learnFlag{
	{"output", 'o', "FILE",
		"Write the policy to FILE, which must not be there yet. Without this flag, or with -, it goes to " +
			"standard output when all has ended.", offerPath, func(g *learning, s string) { g.output = s }},
	{"merge", 0, "FILE", "Unite with the policy that was learnt before. Repeats.",
		offerPath, func(g *learning, s string) { g.merge = append(g.merge, s) }},
	{"against", 0, "POLICY", "Print only how what was seen differs from POLICY.",
		offerPolicy, func(g *learning, s string) { g.against = s }},
	{"tight", 0, "", "Allow no system call, and no argument that a rule can tell, that was not seen.",
		offerNothing, func(g *learning, _ string) { g.tight = true }},
	{"force", 0, "", "Let -o replace FILE.", offerNothing, func(g *learning, _ string) { g.force = true }},
}

// readLearning reads the flags of "sbx learn" out of the words behind that. Those that are
// left are a launch's. A value never begins with a dash, so each word that does is a flag.
func readLearning(args []string) (g *learning, left []string, err error) {
	g = &learning{}
	given := map[string]bool{}
	for at := 0; at < len(args); at++ {
		word := args[at]
		if word == "--" {
			return g, append(left, args[at:]...), nil
		}
		if word == "--help" || word == "-h" {
			g.help = true
			return g, nil, nil
		}
		f, value, attached := learnFlagOf(word)
		if f == nil {
			g.based = g.based || givesPolicy(word)
			left = append(left, word)
			continue
		}
		switch {
		case f.value == "" && attached:
			return nil, nil, misread("--"+f.name+" takes no value", "--"+f.name)
		case f.value != "" && !attached:
			if at++; at == len(args) || strings.HasPrefix(args[at], "-") && args[at] != "-" {
				return nil, nil, misread("--"+f.name+": the value is missing", "--"+f.name+" "+f.value)
			}
			value = args[at]
		}
		if f.value != "" && value == "" {
			return nil, nil, misread("--"+f.name+": the value is empty", "--"+f.name+" "+f.value)
		}
		if given[f.name] && f.name != "merge" {
			return nil, nil, misread("--"+f.name+" is given twice", "give it once")
		}
		given[f.name] = true
		f.set(g, value)
	}
	return g, left, nil
}

// givesPolicy says that the word is the flag --policy of a launch, or has its letter behind
// those of flags without a value.
func givesPolicy(word string) bool {
	if strings.HasPrefix(word, "--") {
		return word == "--policy" || strings.HasPrefix(word, "--policy=")
	}
	return word != "" && word[0] == '-' && strings.HasPrefix(strings.TrimLeft(word[1:], "nvh"), "p")
}

// learnFlagOf is the flag that the word is, with the value that stands in it; nil for
// another one.
func learnFlagOf(word string) (f *learnFlag, value string, attached bool) {
	name, value, attached := strings.Cut(strings.TrimPrefix(word, "--"), "=")
	for i := range learnFlags {
		f := &learnFlags[i]
		switch {
		case strings.HasPrefix(word, "--") && name == f.name:
			return f, value, attached
		case f.short != 0 && strings.HasPrefix(word, "-"+string(rune(f.short))):
			return f, word[2:], len(word) > 2
		}
	}
	return nil, "", false
}

// printLearnHelp writes the help of "sbx learn".
func printLearnHelp(w io.Writer) error {
	var b strings.Builder
	b.WriteString("Usage: sbx learn [flags] -- PROGRAM [ARGUMENT ...]\n\n" + learnHelp + "\n\n")
	wrap(&b, learnAbout, 0)
	b.WriteString("\nFlags, besides those of a launch (sbx --help):\n")
	for i := range learnFlags {
		f := &learnFlags[i]
		usage := "  --" + f.name
		if f.short != 0 {
			usage = "  -" + string(rune(f.short)) + ", --" + f.name
		}
		if f.value != "" {
			usage += " " + f.value
		}
		const column = 24
		fmt.Fprintf(&b, "%-*s", column, usage)
		wrap(&b, f.help, column)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// learnOutput is where the policy goes.
type learnOutput struct {
	name  string
	dir   int // its directory, or -1 for standard output
	base  string
	force bool
	out   *os.File // standard output, which the launcher closes
}

// openLearnOutput finds the directory before anything runs. No link on the way to it is
// followed: a program in an earlier sandbox may have put it there.
func openLearnOutput(name string, force bool) (*learnOutput, error) {
	o := &learnOutput{name: name, dir: -1, force: force}
	fd, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil && (name == "" || name == "-") {
		return nil, fmt.Errorf("write the policy to standard output: %w", err)
	}
	if err == nil {
		o.out = os.NewFile(uintptr(fd), "standard output")
	}
	if name == "" || name == "-" {
		return o, nil
	}
	dir, base := filepath.Split(name)
	o.base = base
	what := "write the policy to " + text.Quote(name)
	if base == "" || base == "." || base == ".." {
		return nil, &usageError{what + ": it is a directory", "name a file"}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	o.dir, err = unix.Openat2(unix.AT_FDCWD, dir, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	if errors.Is(err, unix.ELOOP) {
		return nil, &usageError{what + ": there is a symbolic link on the way", "name the directory without links"}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	var st unix.Stat_t
	switch err := unix.Fstatat(o.dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); {
	case errors.Is(err, unix.ENOENT):
	case err != nil:
		return nil, fmt.Errorf("%s: %w", what, err)
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, &usageError{what + ": something that is no regular file is there", "name another file"}
	case !force:
		return nil, &usageError{what + ": it is there already, and stays as it is", "another name, or --force"}
	}
	return o, nil
}

// write writes the policy as a whole or not at all. Where that fails it goes to standard
// output, so that the run was not for nothing.
func (o *learnOutput) write(data []byte) error {
	if o.dir < 0 {
		_, err := o.out.Write(data)
		if err != nil {
			return fmt.Errorf("write the policy to standard output: %w", err)
		}
		return nil
	}
	// Whatever the umask says: a policy that others can write is refused.
	const mode = 0o644
	err := replaceFile(o.dir, o.base, mode, data, o.force)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("write the policy to %s: %w", text.Quote(o.name), err)
	if o.out != nil {
		if _, also := o.out.Write(data); also == nil {
			err = fmt.Errorf("%w; it is on standard output instead", err)
		}
	}
	return err
}

func (o *learnOutput) close() {
	if o.dir >= 0 {
		unix.Close(o.dir)
	}
	if o.out != nil {
		o.out.Close() //nolint:errcheck // what was written to it was checked
	}
}
