package policy

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// NoProject says why nobody means dir as a project by standing in it: programs
// obey what lies there, or run it. It is "" where somebody may. Who names the
// directory (sbx -C) means it; see Settings for what is no project even then.
//
// It goes by names alone. Below the home, that is each that begins with a dot;
// elsewhere, those that tools keep their own files under.
func NoProject(dir, home string) string {
	dir = path.Clean(dir)
	below, inHome := strings.CutPrefix(dir, strings.TrimSuffix(home, "/")+"/")
	if inHome = inHome && home != ""; !inHome {
		below = dir
	}
	for name := range strings.SplitSeq(below, "/") {
		if inHome && strings.HasPrefix(name, ".") || slices.Contains(toolDirs[:], name) {
			return "it is in a directory " + strconv.Quote(name) + ", which programs keep for themselves"
		}
	}
	if first, _, _ := strings.Cut(below, "/"); inHome && first == "bin" {
		return "it is in ~/bin, where programs are run from"
	}
	return ""
}

// toolDirs are directories whose contents programs run or obey: those that
// package policies guards in a project, and what their like have in a home.
var toolDirs = [...]string{
	".git", ".hg", ".jj", ".svn", ".bzr", ".pijul", ".husky", ".github", ".gitlab", ".gitea", ".forgejo", ".circleci",
	".buildkite", ".woodpecker", ".ci", ".vscode", ".idea", ".fleet", ".zed", ".helix", ".nvim", ".vim", ".emacs.d",
	".devcontainer", ".cargo", ".yarn", ".mvn", ".gradle", ".claude", ".cursor", ".codex", ".gemini", ".direnv", ".sbx",
	".config", ".local", ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".password-store",
}
