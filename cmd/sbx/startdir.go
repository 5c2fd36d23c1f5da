package main

import (
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox"
)

// elsewhere is where to start if the caller's directory is not there inside: in
// the private home, or else in the root. With -C it is an error.
func (l *launch) elsewhere(p *policy.Policy, home string) string {
	switch {
	case l.Dir != "":
		return ""
	case slices.Contains(p.Files.Tmpfs, home):
		return home
	}
	return "/"
}

// sayElsewhere says that the policy does not show the caller's directory: at a
// terminal if the target starts in another, and wherever an argument names a file
// that is not inside. why is why the directory is no project, if somebody could
// mean it as one.
func sayElsewhere(plan *sandbox.Plan, w *where, why string, args []string) {
	file := notInside(plan, w.caller, args)
	if file == "" && (plan.Dir == w.cwd && w.cwd != w.home || !isTerminal(2)) {
		return
	}
	start := "the root"
	switch plan.Dir {
	case w.home:
		start = "a private home"
	case w.cwd:
		start = "what is shown of it"
	}
	fix := "--read . shows it"
	switch {
	case why == closedDir:
		fix = why
	case why != "":
		fix = why + "; -C . shows it"
	case file != "":
		fix = "--read " + text.Quote(file) + " shows that file and starts here"
	case w.cwd == w.home:
		fix = "it is your home"
	case policy.Within(w.home, w.cwd):
		fix = "it has your home in it"
	}
	say("note", "policy "+text.Quote(plan.Name)+" does not show "+text.Quote(w.cwd)+" ("+fix+"): starting in "+start)
}

// notInside is the first argument, or the value behind a "=" in one, that is the
// name of a file relative to the caller's directory, and that is not inside.
func notInside(plan *sandbox.Plan, caller string, args []string) string {
	for _, arg := range args {
		for {
			if there(arg) && !(plan.Shown() != nil && plan.Shown().At(path.Join(caller, arg)).Kind.FromHost()) {
				return arg
			}
			_, value, ok := strings.Cut(arg, "=")
			if !ok {
				break
			}
			arg = value
		}
	}
	return ""
}

// showRepository shows git's own of the repository that the project belongs to, where
// it lies outside of it and the policy guards such: read-only, and without credentials.
func showRepository(p *policy.Policy, project, home string) (notes []string) {
	if project == "" || p.Namespaces.None() || !slices.Contains(p.Files.Guard, "**/.git") {
		return nil
	}
	r := sandbox.FindRepository(project, home)
	for _, dir := range r.Show {
		if p.Files.Shows(dir) {
			return nil
		}
		p.Files.Read = append(p.Files.Read, "?"+dir)
	}
	addInline(p, r.Settings)
	for _, name := range r.Hide {
		p.Files.Hide = append(p.Files.Hide, "?"+name)
	}
	if r.Top == "" {
		return nil
	}
	// Git would not look over the border of the mount that the project is.
	p.Process.Env = append(p.Process.Env, "GIT_DISCOVERY_ACROSS_FILESYSTEM=true")
	if isTerminal(2) {
		notes = append(notes, "of the repository "+text.Quote(r.Top)+" only .git and this directory are shown, so git takes "+
			"the rest for deleted (--read "+text.Quote(r.Top)+" shows it)")
	}
	return notes
}

// addInline adds files to a policy that was expanded, whose map may be another's.
func addInline(p *policy.Policy, files map[string]string) {
	if len(files) == 0 {
		return
	}
	p.Files.Inline = maps.Clone(p.Files.Inline)
	if p.Files.Inline == nil {
		p.Files.Inline = make(map[string]string)
	}
	maps.Copy(p.Files.Inline, files)
}

// there says whether something of that relative name is there. "." and ".." are
// always.
func there(name string) bool {
	if name == "" || name[0] == '-' || path.IsAbs(name) || path.Clean(name) == "." || path.Clean(name) == ".." {
		return false
	}
	return unix.Faccessat(unix.AT_FDCWD, name, unix.F_OK, unix.AT_SYMLINK_NOFOLLOW) == nil
}

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}
