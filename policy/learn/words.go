package learn

import (
	"fmt"
	"path"
	"strings"

	"sbx/policy"
	"sbx/policy/explain"
)

// comment says who, how often, and the first file.
func comment(by By, first string) string {
	var s []string
	if exe := path.Base(by.Exe); by.Exe != "" {
		s = append(s, exe)
	}
	s = append(s, often(by.Count))
	if first != "" {
		s = append(s, "first "+first)
	}
	return commented(strings.Join(s, ", "))
}

// often is how often in words: two runs of one program seldom do all as often.
func often(n uint64) string {
	switch {
	case n == 1:
		return "once"
	case n < 10:
		return "a few times"
	case n < 1000:
		return "often"
	}
	return "more than a thousand times"
}

// commented is text that can stand in a comment of a policy.
func commented(s string) string {
	const most = 100
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r > 0x7e {
			return '?'
		}
		return r
	}, explain.Redact(s))
	if len(s) > most {
		s = s[:most] + "..."
	}
	return s
}

// written is the path as a policy has it. ok is false for one that no policy can name.
func (g *ground) written(name string) (s string, ok bool) {
	for _, c := range []byte(name) {
		if c < ' ' || c == 0x7f {
			return "", false
		}
	}
	if strings.ContainsAny(name, "$*?[\\") || name[0] == '!' {
		return "", false
	}
	switch {
	case g.dir != "" && policy.Within(name, g.dir):
		return project + strings.TrimPrefix(name, g.dir), true
	case g.home != "/" && policy.Within(name, g.home):
		return private + strings.TrimPrefix(name, g.home), true
	}
	return name, true
}

// What stands for the project and the home in policies, and how people write it.
const (
	project = "${CWD}"
	private = "${HOME}"
)

// forPeople writes the variables of paths in the text of a policy as people do. Variables in
// the middle of a value, as of the environment, stay.
func forPeople(s string) string {
	var pairs []string
	for _, v := range [...][2]string{{project, "."}, {private, "~"}} {
		for _, before := range [...]string{`"`, "?", "!", " "} {
			for _, after := range [...]string{"/", `"`} {
				pairs = append(pairs, before+v[0]+after, before+v[1]+after)
			}
		}
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

// firstIn is the first of the files, in the order in which they were seen, that is at or
// below the entry.
func firstIn(files []File, g *ground, entry string) string {
	for _, f := range files {
		if f.Path != entry && policy.Within(f.Path, entry) {
			if s, ok := g.written(f.Path); ok {
				s = strings.Replace(strings.Replace(s, project, ".", 1), private, "~", 1)
				return s
			}
			return fmt.Sprintf("%q", f.Path)
		}
	}
	return ""
}
