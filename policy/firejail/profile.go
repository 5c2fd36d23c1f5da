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
	// "~/" for the home, or "${XDG_RUNTIME_DIR}/". Nil: nothing does.
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
	}, tops: map[string]bool{"/home": true}}
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
	// spared are paths and patterns that no later line hides, and unlisted paths that no
	// later whitelist shows.
	spared, unlisted []string
	// hide, only, private and noexec are what the lines say of paths.
	hide, only, private, noexec []string
	modes                       []mode
	wholeHome                   bool // is private: of it a whitelist shows nothing
	// tops are directories of which only some of what they have is there.
	tops    map[string]bool
	calls   []string // that a filter denies
	keep    []string // that it alone allows
	filter  bool
	noNew   bool // executable memory
	globbed int
	count   int // lines and members of lists that were read
}

// mode says that a path, and what is below it, is writable or is not.
type mode struct {
	path  string
	write bool
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
		if l == "" || l[0] == '#' || m.ignores(l) {
			continue
		}
		if strings.ContainsFunc(l, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return &Error{file, i + 1, "a control character"}
		}
		for _, mark := range []string{" #", "\t#"} {
			l, _, _ = strings.Cut(l, mark)
		}
		l, holds := condition(strings.TrimSpace(l))
		if !holds || m.ignores(l) {
			continue
		}
		word, rest, _ := strings.Cut(l, " ")
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

// ignores says whether an ignore line names this one.
func (m *importer) ignores(l string) bool {
	return slices.ContainsFunc(m.ignored, func(s string) bool { return strings.HasPrefix(l, s) })
}

// condition takes the condition off a line, and says whether it holds: as with firejail's
// own defaults, for a program that is no AppImage. A line with another condition stays as
// it is, and is listed.
func condition(l string) (line string, holds bool) {
	name, rest, ok := strings.Cut(l, ":")
	if !ok || name[:min(1, len(name))] != "?" {
		return l, true
	}
	switch name[1:] {
	case "HAS_APPIMAGE", "BROWSER_ALLOW_DRM", "ALLOW_TRAY":
		return "", false
	case "BROWSER_DISABLE_U2F":
		return strings.TrimSpace(rest), true
	}
	return l, true
}

// expand gives the policy's paths and patterns for one of a profile: with the home as
// "~", a variable for the directory of the session, and one for each directory of PATH.
// What a policy cannot name is listed.
func (m *importer) expand(s string) (out []string) {
	given := s
	for macro, dir := range map[string]string{"${DOCUMENTS}": "Documents", "${DOWNLOADS}": "Downloads",
		"${MUSIC}": "Music", "${PICTURES}": "Pictures", "${VIDEOS}": "Videos", "${DESKTOP}": "Desktop"} {
		s = strings.ReplaceAll(s, macro, "~/"+dir)
	}
	s = strings.ReplaceAll(strings.ReplaceAll(s, "${HOME}", "~"), "${RUNUSER}", session)
	list := []string{s}
	if rest, ok := strings.CutPrefix(s, "${PATH}/"); ok {
		list = nil
		for _, dir := range programDirs() {
			list = append(list, dir+"/"+rest)
		}
	}
	for _, p := range list {
		rest := strings.TrimPrefix(p, session)
		if p = strings.TrimSuffix(p, "/"); p == "" {
			p = "/"
		}
		switch {
		case slices.Contains(strings.Split(p, "/"), ".."):
			m.lost = append(m.lost, text.Quote(p)+", since it has a .. in it")
		case !strings.Contains(rest, "${") && (p[0] == '/' || p == "~" || under(p, session) || strings.HasPrefix(p, "~/")):
			out = append(out, p)
		default:
			m.lost = append(m.lost, text.Quote(given)+", which is no path that a policy can name")
		}
	}
	return out
}

// paths are the policy's paths for one of a profile. Patterns are what matches them.
func (m *importer) paths(s string) []string { return m.glob(m.expand(s)) }

func (m *importer) glob(list []string) (out []string) {
	for _, p := range list {
		switch {
		case !isPattern(p):
			out = append(out, p)
		case m.o.Glob != nil:
			out = append(out, m.o.Glob(p)...)
			fallthrough
		default:
			m.globbed++
		}
	}
	return out
}

func isPattern(p string) bool { return strings.ContainsAny(p, "*?[") }

// spares says whether a noblacklist line above names this path.
func (m *importer) spares(p string) bool {
	return slices.ContainsFunc(m.spared, func(s string) bool {
		ok, err := path.Match(s, p)
		return s == p || ok && err == nil
	})
}

// session is the directory of the session, as a policy names it.
const session = "${XDG_RUNTIME_DIR}"

// programDirs are the directories that have programs.
func programDirs() []string {
	return []string{"/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin", "/usr/games", "/usr/local/games"}
}
