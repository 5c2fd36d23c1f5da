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

// LimitWithin says whether value is at most bound, both being values of the limit with
// that name.
func LimitWithin(name, value, bound string) (bool, error) {
	number := func(s string) (uint64, error) {
		switch name {
		case "processes", "open_files":
			n, err := ParseCount(s)
			return uint64(n), err
		case "cpu":
			n, err := ParsePercent(s)
			return uint64(n), err
		case "time", "cpu_time":
			d, err := ParseTime(s)
			return uint64(d), err
		case "core":
			return ParseCore(s)
		}
		return ParseSize(s)
	}
	a, err := number(value)
	if err != nil {
		return false, err
	}
	b, err := number(bound)
	return a <= b, err
}
