package policy

import "strconv"

// expandOptions gives the options of each path, by its name before expansion,
// with what they say expanded; lacking names the variable without a value of
// those that have one.
func (p *Policy) expandOptions(v *Vars) (options map[string]PathOptions, lacking map[string]string, err error) {
	if len(p.Files.Paths) == 0 {
		return nil, nil, nil
	}
	options = make(map[string]PathOptions, len(p.Files.Paths))
	for path, o := range p.Files.Paths {
		for _, s := range []*string{&o.From, &o.Upper, &o.Work} {
			expanded, missing, err := v.expandPath(*s)
			if err != nil {
				return nil, nil, &Error{File: p.Name, Msg: "files.path." + quote(path) + ": " + err.Error()}
			}
			if missing != "" {
				put(&lacking, path, missing)
			}
			*s = expanded
		}
		options[path] = o
	}
	return options, lacking, nil
}

// addOptions says o of a path that entry has turned out to be.
func (p *Policy) addOptions(entry, path string, o PathOptions) error {
	if have, ok := p.Files.Paths[path]; ok && !have.equal(o) {
		return p.placed("files.path", withoutMark(entry),
			faultf("files.path.%s: %s has other options already", quote(withoutMark(entry)), path))
	}
	put(&p.Files.Paths, path, o)
	return nil
}

// equal says whether both say the same.
func (o PathOptions) equal(x PathOptions) bool {
	a, b := NotFalse(o.Exec), NotFalse(x.Exec)
	o.Exec, x.Exec = nil, nil
	return a == b && o == x
}

// expandTexts replaces the variables in the paths of the sandbox's own files
// and links, and in what the links lead to.
func (p *Policy) expandTexts(v *Vars) error {
	for _, m := range [...]struct {
		key  string
		at   *map[string]string
		link bool
	}{{"file", &p.Files.Inline, false}, {"symlink", &p.Files.Symlinks, true}} {
		if len(*m.at) == 0 {
			continue
		}
		f := field{texts: func(*Policy) *map[string]string { return m.at }}
		expanded := make(map[string]string, len(*m.at))
		for _, path := range f.paths(p) {
			text := (*m.at)[path]
			to, missing, err := v.expandPath(path)
			if err == nil && missing == "" && m.link {
				text, missing, err = v.expand(text)
			}
			if err != nil {
				return p.placed("files."+m.key, path, faultf("files.%s.%s: %v", m.key, quote(path), err))
			}
			if missing != "" {
				continue
			}
			if have, ok := expanded[to]; ok && have != text {
				return p.placed("files."+m.key, path, faultf("files.%s.%s: %s is another one already", m.key, quote(path),
					strconv.Quote(to)))
			}
			expanded[to] = text
		}
		*m.at = expanded
	}
	return nil
}
