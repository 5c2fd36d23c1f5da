package policies

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"sbx/policy"
)

// Entry is one policy that List found.
type Entry struct {
	Name    string
	Source  Source
	Path    string // empty for an embedded one
	Summary string
	// Shadowed: a policy of the same name is found before this one.
	Shadowed bool
	// Err is why it cannot be used.
	Err error
}

// List gives all policies that have a name, sorted by it, and among those of
// one name as they are looked up.
func List() ([]Entry, error) {
	var all []Entry
	seen := map[string]bool{}
	for i, place := range places() {
		names, err := namesIn(place)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			e := Entry{Name: name, Source: place.source, Path: place.dir + "/" + name + ".toml", Shadowed: seen[name]}
			l, err := load(name, "", i)
			if err == nil {
				var p *policy.Policy
				if p, err = l.Resolve(); err == nil {
					e.Summary = p.Summary
				}
			}
			e.Err = err
			all = append(all, e)
		}
		for _, name := range names {
			seen[name] = true
		}
	}
	for _, name := range Names() {
		e := Entry{Name: name, Source: Embedded, Shadowed: seen[name]}
		if p := resolved(name); p != nil {
			e.Summary = p.Summary
		}
		all = append(all, e)
	}
	slices.SortStableFunc(all, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func namesIn(p place) ([]string, error) {
	if p.dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(p.dir)
	if errors.Is(err, fs.ErrNotExist) || p.source == User && errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".toml"); ok && policy.ValidName(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// Lint checks the policy for what is seldom meant, and for expectations that it
// does not meet; see policy.Lint. An error
// of the policy itself is a *policy.Error or *policy.Errors.
func (l *Loaded) Lint() (found []policy.Finding, untried int, err error) {
	file, err := l.Parse()
	if err != nil {
		return nil, 0, err
	}
	whole, err := l.Resolve()
	if err != nil {
		return nil, 0, err
	}
	var parents []*policy.Policy
	for _, name := range file.Extends {
		next, err := l.extended(name)
		if err != nil {
			return nil, 0, err
		}
		p, err := next.Resolve()
		if err != nil {
			return nil, 0, err
		}
		p.Name = name
		parents = append(parents, p)
	}
	return policy.Lint(file, parents, whole)
}
