package explain

import (
	_ "embed" // the texts below
	"path"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// The texts are read when a report is made, not before.
var (
	//go:embed harmless.txt
	harmlessText string
	//go:embed against.txt
	againstText string
)

// entries are the lines of such a text: what stands before the first ": " and behind it.
func entries(s string) func(yield func(what, reason string) bool) {
	return func(yield func(what, reason string) bool) {
		for line := range strings.Lines(s) {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' {
				continue
			}
			if what, reason, ok := strings.Cut(line, ": "); ok && !yield(what, reason) {
				return
			}
		}
	}
}

// Harmless is why the denial is nothing to care about, or "": a program that only tries
// what there is and does without.
func Harmless(d Denial) string {
	for what, reason := range entries(harmlessText) {
		words := strings.Fields(what)
		if len(words) < 2 || words[0] != d.Name() || "errno:"+words[1] != d.Answer.String() {
			continue
		}
		if len(words) == 2 || strings.HasPrefix(d.firstArgument(), words[2]) {
			return reason
		}
	}
	return ""
}

// firstArgument is the first argument that is printed.
func (d Denial) firstArgument() string {
	_, args, _ := strings.Cut(d.Call(), "(")
	return args
}

// Against is why a call should not be allowed without thought, or "".
func Against(name string) string {
	for group, reason := range entries(againstText) {
		if group == nestGroup || group == typingGroup {
			continue // what they are about is some arguments of their calls
		}
		// A test holds that each group is there.
		if calls, err := seccomp.Expand(group); err == nil && slices.Contains(calls, name) {
			return reason
		}
	}
	return ""
}

// inList is the reason of the first line of the kind that has the path or a directory over
// it, or "".
func (j *Judge) inList(list, kind, name string) string {
	for what, reason := range entries(list) {
		pattern, ok := strings.CutPrefix(what, kind+" ")
		if !ok {
			continue
		}
		if rest, home := strings.CutPrefix(pattern, "~/"); home {
			pattern = path.Join(j.Home, rest)
		}
		for at := name; at != "/" && at != "."; at = path.Dir(at) {
			if match, err := path.Match(pattern, at); err == nil && match {
				return reason
			}
		}
	}
	return ""
}

// The groups that lift built-in rules.
const (
	nestGroup   = "@nest"
	typingGroup = "@terminal-input"
)

// againstGroup is the reason of one group.
func againstGroup(name string) string {
	for group, reason := range entries(againstText) {
		if group == name {
			return reason
		}
	}
	return ""
}

// SecretPaths are the patterns of paths that should not be shown without thought, with ~
// for the home.
func SecretPaths() (list []string) {
	for what := range entries(againstText) {
		if pattern, ok := strings.CutPrefix(what, "path "); ok {
			list = append(list, pattern)
		}
	}
	return list
}

// HarmlessPath says that a file that is missing there does not matter: programs try it and
// do without. read says that the program was seen to read it.
func HarmlessPath(home, name string, read bool) bool {
	j := &Judge{Home: home}
	return j.inList(harmlessText, "file", name) != "" || !read && j.inList(harmlessText, "contents", name) != ""
}
