package policy

import "sbx/policy/seccomp"

// Data is the policy as plain values under the names that its file has, for
// encoding as JSON. What the policy does not say is left out.
func (p *Policy) Data() map[string]any {
	top := map[string]any{}
	for _, f := range fields() {
		var v any
		switch {
		case f.list != nil && len(*f.list(p)) > 0:
			v = *f.list(p)
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
	subtable(top, "expect") // as in the file, it is there even if empty
	return top
}

func subtable(top map[string]any, name string) map[string]any {
	t, ok := top[name].(map[string]any)
	if !ok {
		t = map[string]any{}
		top[name] = t
	}
	return t
}
