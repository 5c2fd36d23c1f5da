package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox"
)

// gitFatal is git's status when it cannot go on.
const gitFatal = 128

// gitWriters are the commands of git that change the repository.
var gitWriters = [...]string{
	"add", "am", "branch", "checkout", "cherry-pick", "commit", "gc", "merge", "mv", "pull", "rebase", "reset",
	"restore", "revert", "rm", "stash", "switch", "tag",
}

// sayCommit says which policy lets git write, where it has failed to do so under one
// that keeps its directory read-only. git's own message says only that it is.
func sayCommit(plan *sandbox.Plan, target []string, exit sandbox.Exit) {
	if exit.Code() != gitFatal || filepath.Base(target[0]) != "git" || plan.Tree == nil {
		return
	}
	writes := slices.ContainsFunc(target[1:], func(arg string) bool { return slices.Contains(gitWriters[:], arg) })
	if !writes || !slices.Contains(plan.Policy.Files.Guard, "**/.git") {
		return
	}
	for dir := plan.Tree.Dir; ; dir = filepath.Dir(dir) {
		name := filepath.Join(dir, ".git")
		for _, n := range plan.Tree.Lines() {
			if n.Path == name && n.Is == "read-only" {
				say("hint", text.Quote(name)+" is read-only under policy "+text.Quote(plan.Policy.Name)+
					"; one that lets git commit: --policy commit")
				return
			}
		}
		if !policy.Within(dir, plan.Tree.Dir) || !strings.Contains(strings.TrimPrefix(dir, "/"), "/") {
			return
		}
	}
}

// sayOutside says which policy shows the repository that the project belongs to, where
// git's own directory is elsewhere and git has not found it.
func (l *launch) sayOutside(plan *sandbox.Plan, target []string, exit sandbox.Exit) {
	p := plan.Policy
	if exit.Code() != gitFatal || filepath.Base(target[0]) != "git" || plan.Tree == nil ||
		slices.Contains(p.Files.Guard, "**/.git") {
		return // it guards repositories, and so it shows them
	}
	w, err := l.where()
	if err != nil {
		return // it was there at the start
	}
	project, _ := l.projectDir(&w)
	if project == "" || !p.Files.Shows(project) {
		return
	}
	var flags string
	for _, dir := range sandbox.FindRepository(project, w.home).Show {
		if p.Files.Shows(dir) {
			return
		}
		flags += " --read " + text.Quote(dir)
	}
	if flags != "" {
		say("hint", "git's own directory is not in "+text.Quote(project)+", and policy "+text.Quote(p.Name)+
			" does not show it; --policy project does, without the credentials in it. With them:"+flags)
	}
}

// alternates says which flags show the objects that the project's repository takes from
// others. Without them git cannot read its history. It is said where git runs, and at a
// terminal.
func alternates(p *policy.Policy, project string, target []string) (notes []string) {
	if project == "" || filepath.Base(target[0]) != "git" && !isTerminal(2) || !p.Files.Shows(project) {
		return nil
	}
	var flags string
	for _, dir := range sandbox.Alternates(project) {
		if !p.Files.Shows(dir) {
			flags += " --read " + text.Quote(dir)
		}
	}
	if flags == "" {
		return nil
	}
	return []string{"the repository takes objects from others, which are not shown, so git cannot read all of it:" +
		flags + " shows them"}
}

// noRepositoryError is a policy that writes to ./.git, in a directory that has none of
// its own.
type noRepositoryError struct {
	error
	hint string
}

func (e *noRepositoryError) Unwrap() error { return e.error }

// Hint says what to do in such a directory.
func (e *noRepositoryError) Hint() string { return e.hint }

// repositoryHint has a hint of its own for such an error.
func (l *launch) repositoryHint(failed error) error {
	var missing *sandbox.MissingError
	if !errors.As(failed, &missing) {
		return failed
	}
	w, err := l.where()
	if err != nil {
		return failed
	}
	project, _ := l.projectDir(&w)
	git := filepath.Join(project, ".git")
	if project == "" || !policy.Within(missing.Path, git) {
		return failed
	}
	var st unix.Stat_t
	r := sandbox.FindRepository(project, w.home)
	switch {
	case r.Top != "":
		return &noRepositoryError{failed, "start it at the top of the repository: cd " + text.Quote(r.Top) + ", or -C " +
			text.Quote(r.Top)}
	case len(r.Show) > 0:
		// The same as policy commit, where git's own directory is elsewhere.
		flags := "--policy project --write " + text.Quote(r.Show[0])
		for _, name := range []string{"config", "hooks", "info", "modules"} {
			if name = filepath.Join(r.Show[0], name); unix.Lstat(name, &st) == nil {
				flags += " --read " + text.Quote(name)
			}
		}
		// Of a work tree's part of it, what says where the rest is stays as it is.
		if own := pointedTo(git); own != r.Show[0] && policy.Within(own, r.Show[0]) {
			flags += " --write " + text.Quote(own)
			for _, name := range []string{"commondir", "gitdir", "config.worktree"} {
				if name = filepath.Join(own, name); unix.Lstat(name, &st) == nil {
					flags += " --read " + text.Quote(name)
				}
			}
		}
		if name := filepath.Join(w.home, ".gitconfig"); unix.Lstat(name, &st) == nil {
			flags += " --read " + text.Quote(name)
		}
		return &noRepositoryError{failed, "git's own directory of this work tree or submodule is elsewhere: " + flags}
	case unix.Lstat(git, &st) == unix.ENOENT:
		return &noRepositoryError{failed, "this directory is no git repository: git init makes one; --policy project " +
			"works without"}
	}
	return failed
}

// pointedTo is the directory that a .git that is a file names, or "".
func pointedTo(git string) string {
	line, err := sys.ReadRegular(git)
	dir, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "gitdir: ")
	if err != nil || !ok {
		return ""
	}
	return absolute(dir, filepath.Dir(git))
}
