package main

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"sbx/internal/text"
)

// globbed is how many names the patterns of one profile may be compared with. A pattern
// such as /*/*/*/* would else look at the whole machine.
const globbed = 100_000

// globber finds what patterns of paths match, as filepath.Glob does, within a limit on the
// names that it looks at.
type globber struct {
	home    string
	session string // XDG_RUNTIME_DIR
	left    int
	err     error
}

// paths are the paths of a pattern. They and the pattern may begin with "~/", or with
// "${XDG_RUNTIME_DIR}/". After an error there are none.
func (g *globber) paths(pattern string) []string {
	name, dir := "~", g.home
	rest, below := strings.CutPrefix(pattern, "~/")
	if !below {
		name, dir = "${XDG_RUNTIME_DIR}", g.session
		rest, below = strings.CutPrefix(pattern, name+"/")
	}
	list, parts := []string{"/"}, strings.Split(strings.TrimPrefix(pattern, "/"), "/")
	if below {
		list, parts = []string{dir}, strings.Split(rest, "/")
	} else if !path.IsAbs(pattern) {
		return nil
	}
	for i, part := range parts {
		if part == "" {
			continue
		}
		var next []string
		for _, dir := range list {
			next = append(next, g.names(pattern, dir, part, i == len(parts)-1)...)
		}
		list = next
	}
	if g.err != nil {
		return nil
	}
	if below {
		for i, p := range list {
			list[i] = name + strings.TrimPrefix(p, dir)
		}
	}
	return list
}

// names are the paths in a directory that a part of the pattern matches.
func (g *globber) names(pattern, dir, part string, last bool) (list []string) {
	if g.left--; g.left < 0 && g.err == nil {
		g.err = fmt.Errorf("look for %s: more than %d names are to be compared", text.Quote(pattern), globbed)
	}
	if g.err != nil {
		return nil
	}
	if !strings.ContainsAny(part, `*?[\`) {
		name := path.Join(dir, part)
		if _, err := os.Lstat(name); last && err != nil {
			return nil
		}
		return []string{name}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // no directory, or one that is closed
	}
	g.left -= len(entries)
	for _, e := range entries {
		if ok, err := path.Match(part, e.Name()); ok && err == nil && (last || e.IsDir() || e.Type() == os.ModeSymlink) {
			list = append(list, path.Join(dir, e.Name()))
		}
	}
	slices.Sort(list)
	return list
}
