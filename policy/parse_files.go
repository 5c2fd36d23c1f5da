package policy

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// isTable says whether the language has a table of that name.
func (r *reader) isTable(parts []string) bool {
	switch len(parts) {
	case 1:
		return slices.Contains(tables(), parts[0])
	case 2, 3:
		f := r.field(joined(parts[:2]))
		return f != nil && (f.options != nil || f.texts != nil && len(parts) == 2)
	}
	return false
}

// subtables are the tables whose keys are paths.
func (r *reader) subtables() (names []string) {
	for i := range r.fields {
		if f := &r.fields[i]; f.isMap() {
			names = append(names, f.key)
		}
	}
	return names
}

func (r *reader) wrongTable(parts []string) *fault {
	name := joined(parts)
	if len(parts) == 3 {
		return faultf("%q is a table", name).or("as %s = { size = \"64M\" }; false takes out what is inherited", name)
	}
	return faultf("%q is a table", name).or("write [%s]", name)
}

// takesOut says whether parts = v is the options of a path and takes out the
// inherited ones.
func (r *reader) takesOut(parts []string, v *unstable.Node) bool {
	return len(parts) == 3 && v.Kind == unstable.Bool && string(v.Data) == "false"
}

// assignText stores the value of one path of a map from paths to texts.
func (r *reader) assignText(f *field, path string, at int, v *unstable.Node) error {
	key := f.key + "." + quote(path)
	if r.takesOut([]string{"", "", path}, v) {
		return r.enter(f, "!"+path, at, func() { put(f.texts(r.pol), "!"+path, "") })
	}
	if v.Kind != unstable.String {
		return r.fail(at, wrongType(key, v, "a string, or false to take out what is inherited"))
	}
	text, fault := f.check(string(v.Data))
	if fault != nil {
		return r.fail(int(v.Raw.Offset), fault)
	}
	return r.enter(f, path, at, func() { put(f.texts(r.pol), path, text) })
}

// optionTarget is what stores one option of a path.
func (r *reader) optionTarget(f *field, parts []string) (func(int, *unstable.Node) error, *fault) {
	path := parts[2]
	if len(parts) == 3 { // takesOut
		return func(at int, _ *unstable.Node) error {
			return r.enter(f, "!"+path, at, func() { put(f.options(r.pol), "!"+path, PathOptions{}) })
		}, nil
	}
	var names []string
	for _, o := range pathOptions() {
		names = append(names, o.key)
		if len(parts) != 4 || o.key != parts[3] {
			continue
		}
		return func(at int, v *unstable.Node) error {
			key := f.key + "." + quote(path) + "." + o.key
			options := (*f.options(r.pol))[path]
			if o.truth != nil {
				b, err := r.truth(key, at, v)
				if err != nil {
					return err
				}
				*o.truth(&options) = b
			} else {
				s, where, err := r.text(key, at, v)
				if err != nil {
					return err
				}
				s, fault := o.check(s)
				if fault != nil {
					return r.fail(where, fault)
				}
				*o.str(&options) = s
			}
			line, col := r.place(at)
			r.pol.note(&field{key: f.key + "." + o.key}, path, Origin{Policy: r.file, Line: line, Col: col})
			return r.enter(f, path, at, func() { put(f.options(r.pol), path, options) })
		}, nil
	}
	return nil, faultf("unknown key %q", joined(parts)).like(parts[len(parts)-1], names)
}

// enter adds an entry to a map, if there is room.
func (r *reader) enter(f *field, entry string, at int, add func()) error {
	before := f.len(r.pol)
	if add(); f.len(r.pol) > MaxEntries {
		return r.fail(at, faultf("more than %d entries in %s", MaxEntries, f.key))
	}
	if f.len(r.pol) > before { // of options the first one's place is the path's
		r.note(f, entry, at)
	}
	return nil
}

// put sets an entry of a map that may yet be nil.
func put[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = v
}

// checkKey takes the paths that the keys of files.file, symlink and path are:
// as in the lists, but without marks.
func checkKey(s string) (string, *fault) {
	if f := checkText(s); f != nil {
		return "", f
	}
	if strings.HasPrefix(s, "?") {
		return "", faultf("%q: only an entry of a list has a ?", s)
	}
	if strings.HasPrefix(s, "!") {
		return "", faultf("%q: only an entry of a list has a !", s).or("write %s = false to take it out", quote(s[1:]))
	}
	return checkPath(s)
}

// checkContent takes the text of a file: lines, without what could make them
// look like others.
func checkContent(s string) (string, *fault) {
	if !utf8.ValidString(s) {
		return "", faultf("a file's text is not UTF-8")
	}
	for _, c := range s {
		if isDeceptive(c) && c != '\n' && c != '\t' {
			return "", faultf("the file's text has the control character %U", c)
		}
	}
	return s, nil
}

// checkLink takes the target of a symbolic link: any text that is no
// surprise, with variables. The kernel's bound is PATH_MAX with its zero byte.
func checkLink(s string) (string, *fault) {
	if f := checkText(s); f != nil {
		return "", f
	}
	if s == "" || len(s) >= MaxString {
		return "", faultf("a link's target has 1 to %d bytes, not %d", MaxString-1, len(s))
	}
	if f := checkVariables(s, false); f != nil {
		return "", f
	}
	return s, nil
}

// checkFrom takes a path, or "fd:N".
func checkFrom(s string) (string, *fault) {
	if strings.HasPrefix(s, "fd:") {
		if _, ok := FromFD(s); !ok {
			return "", faultf("%q is no descriptor to show", s).or(`as "fd:7", from 3 to 1048575`)
		}
		return s, nil
	}
	return checkPlace(s)
}

// checkPlace takes the path of something that must be there.
func checkPlace(s string) (string, *fault) {
	if strings.HasPrefix(s, "?") {
		return "", faultf("%q: only an entry of a list has a ?", s)
	}
	return checkPath(s)
}
