package policy

import "strings"

// SetLimit says one limit anew, by its name in [limits], as a policy that extends p
// would: for limits that come from a command line. "none" takes it back.
func (p *Policy) SetLimit(name, value string) error {
	var names []string
	for _, f := range fields() {
		key, ok := strings.CutPrefix(f.key, "limits.")
		if !ok {
			continue
		}
		if key != name {
			names = append(names, key)
			continue
		}
		said, bad := f.check(value)
		if bad == nil {
			bad = checkText(value)
		}
		if bad != nil {
			return &Error{Msg: name + ": " + bad.msg, Fix: bad.hint}
		}
		if said == "none" {
			said = ""
		}
		*f.str(p) = said
		return nil
	}
	near := nearest(name, names)
	if near == "" {
		near = strings.TrimPrefix(meant("limits."+name), "limits.")
	}
	e := &Error{Msg: "there is no limit " + quote(name), Fix: "one of " + strings.Join(names, ", ")}
	if near != "" {
		e.Fix = "did you mean " + near + "?"
	}
	return e
}
