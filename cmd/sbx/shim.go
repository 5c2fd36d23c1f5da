package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policies"
	"sbx/policy"
	"sbx/sandbox"
)

// shimCmd is "sbx shim".
type shimCmd struct {
	Install shimInstallCmd `cmd:"" help:"Make links to sbx, by which programs run under the policies of their names."`
	List    shimListCmd    `cmd:"" help:"List such links, in PATH and the directory of sbx's own."`
	Remove  shimRemoveCmd  `cmd:"" help:"Remove such links; without a name, all in the directory."`
}

type shimInstallCmd struct {
	Names []string `arg:"" name:"name" complete:"policy" help:"Programs, each with the name of a policy: npm, pip."`
	Dir   string   `placeholder:"DIR" complete:"path" help:"Where (~/.local/share/sbx/shims, or by XDG_DATA_HOME)."`
}

// Help says what it is good for.
func (c *shimInstallCmd) Help() string {
	return `By a link "npm" to sbx, in a directory that stands first in PATH, whoever types npm
runs the next npm in PATH under policy npm. See docs/shim.md.`
}

// Run makes the links, or none if one of them cannot be made.
func (c *shimInstallCmd) Run() error { return c.run(os.Stdout) }

func (c *shimInstallCmd) run(w io.Writer) error {
	dir, err := shimDir(c.Dir)
	if err != nil {
		return err
	}
	for _, name := range c.Names {
		if err := checkShim(dir, name); err != nil {
			return fmt.Errorf("install %s: %w", text.Quote(name), err)
		}
	}
	choose, err := chooser()
	if err != nil {
		return err
	}
	if why := choose.Dir(existing(dir), os.Getenv("PATH")+":"+dir); why != "" {
		return &usageError{fmt.Sprintf("install links in %s: %s", text.Quote(dir), why),
			"use a directory of your own outside of projects, as without --dir"}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory of links: %w", err)
	}
	to, err := ownPath()
	if err != nil {
		return err
	}
	if why := choose.Dir(path.Dir(to), os.Getenv("PATH")); why != "" {
		say("note", "the links lead to "+text.Quote(to)+": "+why+"; install sbx elsewhere")
	}
	for _, name := range c.Names {
		link := path.Join(dir, name)
		if have, err := os.Readlink(link); err == nil && have != to {
			if err := os.Remove(link); err != nil { // it was sbx's, and leads elsewhere
				return err
			}
		}
		if err := os.Symlink(to, link); err != nil && !(errors.Is(err, os.ErrExist) && ownLink(link)) {
			return fmt.Errorf("install %s: %w", text.Quote(name), err)
		}
		if _, err := fmt.Fprintf(w, "%s -> %s\n", text.Quote(link), text.Quote(to)); err != nil {
			return err
		}
	}
	return adviseOnPath(w, dir, c.Names, choose)
}

// existing is the directory, or the nearest one above it that is there.
func existing(dir string) string {
	var st unix.Stat_t
	for dir != "/" && unix.Lstat(dir, &st) == unix.ENOENT {
		dir = path.Dir(dir)
	}
	return dir
}

// checkShim says why there can be no link of that name.
func checkShim(dir, name string) error {
	if name == bwrapWord || strings.HasPrefix(name, "sbx") || !policy.ValidName(name) {
		return &usageError{"it is no name of a program and a policy", "sbx policy list prints those of policies"}
	}
	if _, err := policies.Find(name); err != nil {
		return &linkError{err, roleHint(name)}
	}
	link := path.Join(dir, name)
	if _, err := os.Lstat(link); err == nil && !ownLink(link) {
		return &usageError{text.Quote(link) + " is there already, is no link to sbx, and stays as it is",
			"remove it, or name another directory by --dir"}
	}
	return nil
}

// chooser looks for programs from where the caller stands, whatever the policy.
func chooser() (sandbox.Chooser, error) {
	l := newLaunch()
	w, err := l.where()
	if err != nil {
		return sandbox.Chooser{}, err
	}
	project, _ := l.projectDir(&w)
	return sandbox.Chooser{UID: os.Geteuid(), GID: os.Getegid(), Home: w.home, Account: w.account,
		Project: project}, nil
}

// adviseOnPath says what PATH lacks for the links to be found first.
func adviseOnPath(w io.Writer, dir string, names []string, choose sandbox.Chooser) error {
	search := os.Getenv("PATH")
	if !slices.ContainsFunc(strings.Split(search, ":"), func(s string) bool { return path.Clean(s) == dir }) {
		_, err := fmt.Fprintf(w, "PATH does not have the directory yet; in ~/.profile or the like:\n"+
			"  export PATH=%s:\"$PATH\"\n", shellQuote(dir))
		return err
	}
	for _, name := range names {
		list := choose.Programs(name, search)
		switch {
		case len(list) > 0 && !list[0].Own:
			say("note", text.Quote(list[0].Path)+" stands before the link in PATH, and runs without sbx")
		case !slices.ContainsFunc(list, func(p sandbox.Program) bool { return !p.Own }):
			say("note", "PATH has no "+text.Quote(name)+" that the link could run")
		}
	}
	return nil
}

type shimListCmd struct {
	Dir string `placeholder:"DIR" complete:"path" help:"Only those in this directory."`
}

// Run prints a line for each link: where it is, and what it runs.
func (c *shimListCmd) Run() error { return c.run(os.Stdout) }

func (c *shimListCmd) run(w io.Writer) error {
	var dirs []string
	if c.Dir == "" {
		dirs = append(strings.Split(os.Getenv("PATH"), ":"), defaultShims()...)
	} else {
		dir, err := shimDir(c.Dir)
		if err != nil {
			return err
		}
		dirs = []string{dir}
	}
	choose, err := chooser()
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, dir := range dirs {
		if !path.IsAbs(dir) || slices.Contains(dirs[:i], dir) {
			continue
		}
		links, err := linksIn(dir)
		if err != nil && c.Dir != "" {
			return err
		}
		for _, name := range links {
			fmt.Fprintf(t, "%s\t%s\n", text.Quote(path.Join(dir, name)), runsWhat(name, dir, choose)) // Flush reports it
		}
	}
	return t.Flush()
}

// runsWhat says what a link runs that somebody types.
func runsWhat(name, dir string, choose sandbox.Chooser) string {
	if _, err := policies.Find(name); err != nil {
		return "there is no policy of that name"
	}
	list := choose.Programs(name, os.Getenv("PATH"))
	if len(list) > 0 && !list[0].Own {
		return text.Quote(list[0].Path) + " stands before it in PATH"
	}
	if !slices.ContainsFunc(list, func(p sandbox.Program) bool { return path.Clean(p.Dir) == path.Clean(dir) }) {
		return "not in PATH"
	}
	for _, p := range list {
		if !p.Own && p.Why == "" {
			return text.Quote(p.Path)
		}
	}
	return "PATH has no program that it could run"
}

type shimRemoveCmd struct {
	Names []string `arg:"" optional:"" name:"name" complete:"policy" help:"The links; without any, all that are there."`
	Dir   string   `placeholder:"DIR" complete:"path" help:"Where they are (~/.local/share/sbx/shims)."`
}

// Run removes the links, and nothing that is none.
func (c *shimRemoveCmd) Run() error { return c.run(os.Stdout) }

func (c *shimRemoveCmd) run(w io.Writer) error {
	dir, err := shimDir(c.Dir)
	if err != nil {
		return err
	}
	names := c.Names
	if len(names) == 0 {
		if names, err = linksIn(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	for _, name := range names {
		link := path.Join(dir, name)
		if strings.Contains(name, "/") || !ownLink(link) {
			return &usageError{"remove " + text.Quote(link) + ": it is no link to sbx", "sbx shim list prints those that are"}
		}
		if err := os.Remove(link); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w, "removed "+text.Quote(link)); err != nil {
			return err
		}
	}
	return nil
}

// shimDir is the directory of links that a flag names, or else sbx's own.
func shimDir(named string) (string, error) {
	if named != "" {
		return filepath.Abs(named)
	}
	if data := os.Getenv("XDG_DATA_HOME"); path.IsAbs(data) {
		return path.Join(data, shimsBelow), nil
	}
	home := os.Getenv("HOME")
	if !path.IsAbs(home) {
		return "", &usageError{"find the directory of links: neither XDG_DATA_HOME nor HOME is an absolute path",
			"name one by --dir"}
	}
	return path.Join(home, ".local/share", shimsBelow), nil
}

// linksIn are the names in a directory that are links to sbx and run a program each.
func linksIn(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if name := e.Name(); e.Type() == os.ModeSymlink && name != bwrapWord && !strings.HasPrefix(name, "sbx") &&
			ownLink(path.Join(dir, name)) {
			names = append(names, name)
		}
	}
	return names, nil
}

// ownLink says whether the path is a symbolic link to sbx: to this one, or to a path that
// ends in its name, also where that is gone.
func ownLink(link string) bool {
	to, err := os.Readlink(link)
	if err != nil {
		return false
	}
	if path.Base(to) == "sbx" {
		return true
	}
	return isOwn(link)
}

// isOwn says whether the path leads to the file that this process runs.
func isOwn(name string) bool {
	var own, st unix.Stat_t
	return unix.Stat("/proc/self/exe", &own) == nil && unix.Stat(name, &st) == nil &&
		own.Dev == st.Dev && own.Ino == st.Ino
}

// runsSbx says whether the process is this sbx. Of a user's launcher, which is not
// dumpable, the kernel does not say; of other programs it does.
func runsSbx(pid int) bool {
	exe := "/proc/" + strconv.Itoa(pid) + "/exe"
	return isOwn(exe) || errors.Is(unix.Access(exe, unix.F_OK), unix.EACCES)
}

// ownPath is the path of sbx that a link is to lead to: as PATH has it, which stays where
// versions change, or else where the program is.
func ownPath() (string, error) {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return "", fmt.Errorf("find sbx itself: %w", err)
	}
	for dir := range strings.SplitSeq(os.Getenv("PATH"), ":") {
		if name := path.Join(dir, "sbx"); path.IsAbs(dir) && isOwn(name) {
			return name, nil
		}
	}
	return exe, nil
}
