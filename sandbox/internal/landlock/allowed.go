package landlock

import (
	"path"

	"sbx/internal/step"
)

// Allowed is what a domain with these steps allows, as far as they are about files.
type Allowed struct {
	handled Access
	paths   map[string]Access
}

// AllowedBy reads the steps of a plan. private is the path of the directory that
// PrivateRule is about. ok is false where they make no domain that restricts files.
func AllowedBy(steps []step.Step, private string) (a Allowed, ok bool) {
	a.paths = map[string]Access{}
	add := func(name string, allow Access) { a.paths[name] |= allow }
	for _, s := range steps {
		switch s := s.(type) {
		case Ruleset:
			a.handled, ok = s.attr().fs, true
		case Rule:
			add(s.Path, s.Allow)
		case FoundRule:
			add(s.Path, s.Allow)
		case FDRule:
			add(s.Path, s.Allow)
		case JoinedPathRule:
			add(s.Path, s.Allow)
		case PrivateRule:
			if private == "" {
				return a, false
			}
			add(path.Join(private, s.Name), s.Allow)
		}
	}
	return a, ok && a.handled != 0
}

// At are the rights at a path that has no links: a rule counts for all below it, and none
// takes rights away. What the domain does not restrict is among them.
func (a Allowed) At(name string) Access {
	have := ^a.handled
	for {
		have |= a.paths[name]
		if name == "/" || name == "." {
			return have
		}
		name = path.Dir(name)
	}
}
