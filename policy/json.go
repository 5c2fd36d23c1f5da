package policy

import (
	"strings"

	"sbx/policy/seccomp"
)

// Data is the policy as plain values under the names that its file has, for
// encoding as JSON. What the policy does not say is left out.
func (p *Policy) Data() map[string]any {
	top := map[string]any{}
	for _, f := range fields() {
		var v any
		switch {
		case f.list != nil && (len(*f.list(p)) > 0 || f.closed && *f.list(p) != nil):
			v = *f.list(p)
		case f.isMap() && f.len(p) > 0:
			v = f.data(p)
		case f.id32 != nil && *f.id32(p) != nil:
			v = **f.id32(p)
		case f.str != nil && *f.str(p) != "":
			v = *f.str(p)
		case f.num != nil && *f.num(p) != 0:
			v = *f.num(p)
		case f.truth != nil && *f.truth(p) != nil:
			v = **f.truth(p)
		case f.action != nil && f.action(p).Kind != seccomp.Unset:
			v = f.action(p).String()
		default:
			continue
		}
		table, key := f.place()
		at := top
		if table != "" {
			at = subtable(top, table)
		}
		at[key] = v
	}
	if len(p.Seccomp.Rules) > 0 {
		var rules []map[string]any
		for _, r := range p.Seccomp.Rules {
			rule := map[string]any{"syscalls": r.Syscalls}
			if len(r.When) > 0 {
				rule["when"] = r.When
			}
			if r.Action.Kind != seccomp.Unset {
				rule["action"] = r.Action.String()
			}
			rules = append(rules, rule)
		}
		subtable(top, "seccomp")["rule"] = rules
	}
	return top
}

// data is a table by path; what is taken out is false, as in the file.
func (f *field) data(p *Policy) map[string]any {
	all := map[string]any{}
	for _, path := range f.paths(p) {
		if bare, out := strings.CutPrefix(path, "!"); out {
			all[bare] = false
			continue
		}
		if f.texts != nil {
			all[path] = (*f.texts(p))[path]
			continue
		}
		said, options := map[string]any{}, (*f.options(p))[path]
		for _, x := range pathOptions() {
			if x.truth != nil && *x.truth(&options) != nil {
				said[x.key] = **x.truth(&options)
			} else if x.str != nil && *x.str(&options) != "" {
				said[x.key] = *x.str(&options)
			}
		}
		all[path] = said
	}
	return all
}

func subtable(top map[string]any, name string) map[string]any {
	t, ok := top[name].(map[string]any)
	if !ok {
		t = map[string]any{}
		top[name] = t
	}
	return t
}
