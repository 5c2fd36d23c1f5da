package policy

import (
	"slices"
	"strings"
)

// placed is an error at an entry, or at the policy as a whole.
func (p *Policy) placed(key, entry string, f *fault) error {
	o, ok := p.Origin(key, entry)
	if !ok {
		o.Policy = p.Name
	}
	return &Error{File: o.Policy, Line: o.Line, Col: o.Col, Msg: f.msg, Fix: f.hint}
}

// resolveConflicts drops what is read where it is written too, or a file or link of
// the sandbox's own, and refuses what else is to be two things at once.
func resolveConflicts(p *Policy) error {
	f := &p.Files
	var errs errorList
	shown := make(map[string]string, len(f.Write)+len(f.Read)+len(f.Tmpfs))
	for _, e := range f.Write {
		shown[withoutMark(e)] = "files.write"
	}
	own := func(path string) bool {
		_, file := f.Inline[path]
		_, link := f.Symlinks[path]
		return file || link
	}
	read := f.Read[:0:0]
	for _, e := range f.Read {
		if path := withoutMark(e); shown[path] == "" && !own(path) {
			shown[path] = "files.read"
			read = append(read, e)
		}
	}
	f.Read = read
	for _, l := range [...]struct {
		key  string
		list []string
	}{{"tmpfs", f.Tmpfs}, {"overlay", f.Overlay}, {"directories", f.Directories}} {
		for _, e := range l.list {
			path := withoutMark(e)
			if by := shown[path]; by != "" {
				errs.add(p.placed("files."+l.key, e, faultf("both %s and files.%s name %s", by, l.key, path).
					or(`take one out, as %s = ["!%s"]`, l.key, path)))
				continue
			}
			shown[path] = "files." + l.key
		}
	}
	for _, m := range [...]field{
		{key: "file", texts: func(p *Policy) *map[string]string { return &p.Files.Inline }},
		{key: "symlink", texts: func(p *Policy) *map[string]string { return &p.Files.Symlinks }},
	} {
		if m.len(p) == 0 {
			continue
		}
		for _, path := range m.paths(p) {
			if by := shown[path]; by != "" {
				errs.add(p.placed("files."+m.key, path, faultf("both %s and files.%s name %s", by, m.key, path).
					or(`take one out, as %s."%s" = false`, m.key, path)))
				continue
			}
			shown[path] = "files." + m.key
		}
	}
	return errs.err()
}

// kindOf is the list of [files] that names the path, without marks, or "".
func (f *Files) kindOf(path string) string {
	for _, l := range [...]struct {
		kind string
		list []string
	}{{"write", f.Write}, {"read", f.Read}, {"tmpfs", f.Tmpfs}, {"overlay", f.Overlay}, {"directories", f.Directories}} {
		if slices.ContainsFunc(l.list, func(e string) bool { return withoutMark(e) == path }) {
			return l.kind
		}
	}
	return ""
}

// checkOptions refuses options of paths that no list names, and those that
// mean nothing for the kind of list.
func checkOptions(p *Policy) error {
	if len(p.Files.Paths) == 0 {
		return nil
	}
	var errs errorList
	all := field{options: func(p *Policy) *map[string]PathOptions { return &p.Files.Paths }}
	for _, path := range all.paths(p) {
		kind, options := p.Files.kindOf(path), p.Files.Paths[path]
		if kind == "" {
			errs.add(p.placed("files.path", path, faultf("files.path.%s: no list of [files] names that path", quote(path)).
				or("put it into read, write, tmpfs, overlay or directories, or say path.%s = false", quote(path))))
			continue
		}
		for _, o := range pathOptions() {
			said := o.str != nil && *o.str(&options) != "" || o.truth != nil && *o.truth(&options) != nil
			if said && !slices.Contains(strings.Fields(o.kinds), kind) {
				errs.add(p.placed("files.path."+o.key, path,
					faultf("files.path.%s.%s: %s is for paths of %s, and this one is of %s",
						quote(path), o.key, o.key, strings.Join(strings.Fields(o.kinds), ", "), kind)))
			}
		}
		if have, lack := "upper", "work"; (options.Upper == "") != (options.Work == "") {
			if options.Upper == "" {
				have, lack = lack, have
			}
			errs.add(p.placed("files.path."+have, path, faultf("files.path.%s: %s without %s", quote(path), have, lack).
				or("an overlay keeps its changes in upper, and needs work beside it")))
		}
	}
	return errs.err()
}
