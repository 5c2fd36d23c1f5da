// Package firejail reads profiles of firejail(1) as policies: what both can say. What a
// policy does not do is listed.
package firejail

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sbx/internal/text"
	"sbx/policy"
)

// MaxSize is the most bytes a profile may have, and maxDepth how deep profiles include
// others.
const (
	MaxSize  = 1 << 20
	maxDepth = 16
	maxLines = 20_000
)

// Options are what a profile is imported with.
type Options struct {
	// Include reads a profile of that name that another one includes. found says that
	// there is one: those of users mostly are not. Nil: there are none.
	Include func(name string) (data []byte, found bool, err error)
	// Glob gives what matches a pattern of paths. They and the pattern may begin with
	// "~/" for the home. Nil: nothing does.
	Glob func(pattern string) []string
}

// Error says where in a profile something is wrong.
type Error struct {
	File string
	Line int // from 1
	Msg  string
}

// Error is file:line: and the message.
func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }

// Import gives the policy that confines a program as the profile does. losses name what
// of the profile the policy leaves out, and notes what it does more.
func Import(file string, data []byte, o Options) (p *policy.Policy, losses, notes []string, err error) {
	m := &importer{o: o, p: &policy.Policy{
		Name: file, Version: 1, Extends: []string{"kernel"}, Summary: "Imported from firejail's " + summary(file),
		Namespaces: policy.Namespaces{Net: "host", IPC: "host", UTS: "host", Cgroup: "host"},
	}, shown: map[string]bool{}, tops: map[string]bool{}}
	if err := m.read(file, data, 0); err != nil {
		return nil, nil, nil, err
	}
	m.finish()
	return m.p, m.lost, m.notes, nil
}

func summary(file string) string {
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, path.Base(file))
	return s[:min(len(s), 80)]
}

// importer is the state of an import.
type importer struct {
	o     Options
	p     *policy.Policy
	lost  []string
	notes []string
	// ignored are beginnings of lines to pass over.
	ignored []string
	// shown are paths that no later line hides.
	shown map[string]bool
	// hide, only, readOnly, writable, private are what the lines say of paths.
	hide, only, readOnly, writable, private, noexec []string
	// tops are directories of which only some of what they have is there.
	tops    map[string]bool
	calls   []string // that a filter denies
	keep    []string // that it alone allows
	filter  bool
	noNew   bool // executable memory
	globbed int
	count   int // lines and members of lists that were read
}

// read reads a profile.
func (m *importer) read(file string, data []byte, depth int) error {
	if depth > maxDepth {
		return &Error{file, 1, fmt.Sprintf("profiles include one another more than %d deep", maxDepth)}
	}
	if len(data) > MaxSize {
		return &Error{file, 1, fmt.Sprintf("more than %d bytes", MaxSize)}
	}
	for i, l := range strings.Split(string(data), "\n") {
		if m.count += 1 + strings.Count(l, ","); m.count > maxLines {
			return &Error{file, i + 1, fmt.Sprintf("more than %d lines, with those of what is included", maxLines)}
		}
		l = strings.TrimSpace(l)
		if l == "" || l[0] == '#' || slices.ContainsFunc(m.ignored, func(s string) bool { return strings.HasPrefix(l, s) }) {
			continue
		}
		if strings.ContainsFunc(l, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return &Error{file, i + 1, "a control character"}
		}
		for _, mark := range []string{" #", "\t#"} {
			l, _, _ = strings.Cut(l, mark)
		}
		word, rest, _ := strings.Cut(strings.TrimSpace(l), " ")
		rest = strings.TrimSpace(rest)
		if word == "include" {
			if err := m.include(file, i+1, rest, depth); err != nil {
				return err
			}
			continue
		}
		known, err := m.line(word, rest)
		if err != nil {
			return &Error{file, i + 1, word + ": " + err.Error()}
		}
		if !known {
			m.lost = append(m.lost, fmt.Sprintf("%s:%d: %s", file, i+1, text.OneLine(l)))
		}
	}
	return nil
}

func (m *importer) include(file string, line int, name string, depth int) error {
	name = strings.TrimPrefix(name, "${CFG}/")
	if m.o.Include == nil {
		return nil
	}
	data, found, err := m.o.Include(name)
	if err != nil {
		return &Error{file, line, "include " + text.Quote(name) + ": " + err.Error()}
	}
	if !found {
		if !strings.HasSuffix(name, ".local") {
			m.lost = append(m.lost, fmt.Sprintf("%s:%d: include %s, which is not there", file, line, text.Quote(name)))
		}
		return nil
	}
	return m.read(name, data, depth+1)
}

// paths are the policy's paths for one of a profile: with the home as "~", a variable
// for the directory of the session, and one for each directory of PATH.
func (m *importer) paths(s string) (list []string) {
	for macro, dir := range map[string]string{"${DOCUMENTS}": "Documents", "${DOWNLOADS}": "Downloads",
		"${MUSIC}": "Music", "${PICTURES}": "Pictures", "${VIDEOS}": "Videos", "${DESKTOP}": "Desktop"} {
		s = strings.ReplaceAll(s, macro, "~/"+dir)
	}
	s = strings.ReplaceAll(strings.ReplaceAll(s, "${HOME}", "~"), "${RUNUSER}", "${XDG_RUNTIME_DIR}")
	list = []string{s}
	if rest, ok := strings.CutPrefix(s, "${PATH}/"); ok {
		list = nil
		for _, dir := range []string{"/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin"} {
			list = append(list, dir+"/"+rest)
		}
	}
	var out []string
	for _, p := range list {
		p = strings.TrimSuffix(p, "/")
		switch {
		case p == "", strings.HasPrefix(p, "/proc"):
			continue
		case slices.Contains(strings.Split(p, "/"), ".."):
			m.lost = append(m.lost, text.Quote(p)+", since it has a .. in it")
		case strings.ContainsAny(p, "*?["):
			if m.o.Glob != nil && !strings.Contains(p, "${") {
				out = append(out, m.o.Glob(p)...)
			}
			m.globbed++
		case p[0] == '/' || p == "~" || strings.HasPrefix(p, "~/") || strings.HasPrefix(p, "${XDG_RUNTIME_DIR}"):
			out = append(out, p)
		}
	}
	return out
}
