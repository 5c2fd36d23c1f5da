package main

import (
	"path/filepath"
	"slices"
	"strings"

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
