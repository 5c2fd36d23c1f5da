package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/internal/text"
	"sbx/policies"
	"sbx/policy"
)

const (
	// defaultPolicy is the policy of a launch that names none.
	defaultPolicy = "default"
	// trustedName is the file of what a user trusts. It stands beside the user's policies,
	// which no sandbox lets a program write.
	trustedName = "trusted"
)

// trustCmd is "sbx trust".
type trustCmd struct {
	File   string `arg:"" complete:"path" help:"A policy's file, as ./.sbx.toml."`
	Remove bool   `help:"Trust it no more."`
}

// Help says what that means.
func (c *trustCmd) Help() string {
	return `A policy in a repository may only narrow the policy it is used with. One that is
trusted may say anything, until it or what it extends changes.`
}

// Run adds or removes it.
func (c *trustCmd) Run() error { return c.run(os.Stdout) }

func (c *trustCmd) run(w io.Writer) error {
	name, err := filepath.Abs(c.File)
	if err != nil {
		return err
	}
	var lines []string
	have, err := trusted()
	if err != nil {
		return err
	}
	for _, line := range have {
		if _, of, _ := strings.Cut(line, " "); of != text.Quote(name) {
			lines = append(lines, line)
		}
	}
	said := "no longer trusted: "
	if !c.Remove {
		p, err := findOwn(name)
		if err != nil {
			return err
		}
		lines = append(lines, trustLine(name, p))
		said = "trusted until it changes: "
	}
	if err := writeTrusted(lines); err != nil {
		return fmt.Errorf("keep what is trusted: %w", err)
	}
	_, err = fmt.Fprintln(w, said+text.Quote(name))
	return err
}

// findOwn reads the policy of that file, as a launch would find it: one of the caller's
// own by its name, since what it extends depends on that.
func findOwn(file string) (*policy.Policy, error) {
	if policies.IsOwn(file) {
		p, err := policies.Find(strings.TrimSuffix(path.Base(file), ".toml"))
		if err == nil && len(p.Sources()) > 0 && p.Sources()[0].Path == file {
			return p, nil
		}
	}
	return policies.Find(file)
}

// trustLine is how a policy of that path is noted: by its digest, which covers what it
// extends.
func trustLine(name string, p *policy.Policy) string { return p.Digest() + " " + text.Quote(name) }

// trustedDir is where the file stands.
func trustedDir() (string, error) {
	dir, err := policies.UserDir()
	if err != nil {
		return "", err
	}
	return path.Dir(dir), nil
}

// trusted are the lines of the file. One that others could have written is an error.
func trusted() ([]string, error) {
	dir, err := trustedDir()
	if err != nil {
		return nil, err
	}
	name := dir + "/" + trustedName
	fd, err := sys.OpenRegular(unix.AT_FDCWD, name, unix.O_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what is trusted: %s: %w", text.Quote(name), err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close() //nolint:errcheck // it was only read
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0 {
		return nil, &usageError{"read what is trusted: " + text.Quote(name) + " is not the caller's alone",
			"look at it, then: chmod 600 " + text.Quote(name)}
	}
	data, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, err
	}
	return strings.Split(string(bytes.TrimSuffix(data, []byte("\n"))), "\n"), nil
}

// writeTrusted replaces the file.
func writeTrusted(lines []string) error {
	dir, err := trustedDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	return replaceFile(at, trustedName, 0o600, []byte(strings.Join(append(lines, ""), "\n")), true)
}

// findPolicy is the policy of the launch: that of --policy, or with --project-policy the
// project's. One that comes from a repository only narrows, or it is trusted. Each is read
// once, so what was compared is what runs.
func (l *launch) findPolicy(w *where) (*policy.Policy, error) {
	p, err := policies.Find(l.Policy)
	if err != nil {
		return nil, err
	}
	if !l.tries {
		if err := w.holdToNarrowing(p); err != nil {
			return nil, err
		}
	}
	if !l.ProjectPolicy {
		return p, nil
	}
	name := findProjectFile(w.cwd, w.home)
	if name == "" {
		return p, nil
	}
	own, err := policies.Find(name)
	if err != nil {
		return nil, err
	}
	if err := narrowsOrTrusted(l.Policy, p, own, text.Quote(name)); err != nil {
		return nil, err
	}
	l.Policy = name
	return own, nil
}

// holdToNarrowing refuses a policy that lies in a repository, or extends one that does,
// unless it only narrows the default policy or is trusted.
func (w *where) holdToNarrowing(p *policy.Policy) error {
	for i, s := range p.Sources() {
		top, err := policies.Repository(s, w.home, w.account)
		if err != nil {
			return err
		}
		if top == "" {
			continue
		}
		what := text.Quote(p.Sources()[0].Path)
		if i > 0 {
			what += ", which takes in " + text.Quote(s.Path)
		}
		base, err := policies.Find(defaultPolicy)
		if err != nil {
			return err
		}
		return narrowsOrTrusted(defaultPolicy, base, p, what+" in the repository "+text.Quote(top))
	}
	return nil
}

// narrowsOrTrusted refuses a policy that allows what the base does not, unless it is
// trusted. what says in the error which one it is.
func narrowsOrTrusted(name string, base, p *policy.Policy, what string) error {
	lines, bad := trusted()
	file := p.Sources()[0].Path
	if bad == nil && slices.Contains(lines, trustLine(file, p)) {
		return nil
	}
	d, err := policy.Compare(base, p)
	if err != nil {
		return err
	}
	wider := append(d.Wider, d.Other...)
	if len(wider) == 0 {
		return nil
	}
	if bad != nil {
		return bad
	}
	return &usageError{fmt.Sprintf("use %s: it allows what policy %s does not: %s", what, text.Quote(name),
		strings.Join(firstFew(wider), "; ")),
		fmt.Sprintf("look at it (sbx policy diff %s %s); sbx trust %[2]s lets it say so until it changes",
			text.Quote(name), text.Quote(file))}
}

// firstFew are the first lines, and how many more there are.
func firstFew(list []string) []string {
	const most = 5
	if len(list) <= most {
		return list
	}
	return append(list[:most:most], fmt.Sprintf("and %d more", len(list)-most))
}

// findProjectFile looks in the directory, and in those above it up to the top of its
// repository, but not in the home or above it.
func findProjectFile(dir, home string) string {
	if dir == home {
		return ""
	}
	found := ""
	for at := dir; at != "/" && at != home; at = path.Dir(at) {
		if name := path.Join(at, policies.ProjectFile); found == "" && thereOnHost(name) {
			found = name
		}
		if thereOnHost(path.Join(at, ".git")) {
			return found
		}
	}
	// No repository: only what stands in the directory itself.
	if found != path.Join(dir, policies.ProjectFile) {
		return ""
	}
	return found
}
