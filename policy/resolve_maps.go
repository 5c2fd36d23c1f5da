package policy

import "strings"

// mergeMap puts p's entries of a table by path over sum's: a text replaces the
// one inherited, options are added key by key. What p says "!" of is taken
// out, and must have been inherited.
func mergeMap(f *field, sum, p *Policy) error {
	if f.len(p) == 0 {
		return nil
	}
	inherited := f.paths(sum)
	var errs errorList
	for _, path := range f.paths(p) {
		if bare, out := strings.CutPrefix(path, "!"); out {
			if !f.remove(sum, bare) {
				errs.add(p.placed(f.key, path, faultf("%s.%s = false takes out what is not inherited", f.key,
					quote(bare)).like(bare, inherited)))
			}
			continue
		}
		if f.texts != nil {
			put(f.texts(sum), path, (*f.texts(p))[path])
			sum.noteAs(f, path, p)
			continue
		}
		above, below := (*f.options(p))[path], (*f.options(sum))[path]
		for _, o := range pathOptions() {
			if o.str != nil && *o.str(&above) != "" {
				*o.str(&below) = *o.str(&above)
			} else if o.truth != nil && *o.truth(&above) != nil {
				*o.truth(&below) = *o.truth(&above)
			} else {
				continue
			}
			sum.noteAs(&field{key: f.key + "." + o.key}, path, p)
		}
		put(f.options(sum), path, below)
		sum.noteAs(f, path, p)
	}
	return errs.err()
}

// remove takes the path out of the table and says whether it was there. An
// empty table is no table.
func (f *field) remove(p *Policy, path string) bool {
	before := f.len(p)
	if f.texts != nil {
		delete(*f.texts(p), path)
		if f.len(p) == 0 {
			*f.texts(p) = nil
		}
	} else {
		delete(*f.options(p), path)
		if f.len(p) == 0 {
			*f.options(p) = nil
		}
	}
	return f.len(p) < before
}
