package policy

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Parse reads one policy file. file is what errors call it. Nothing is
// ignored: an unknown key, a wrong type, a name that is not in the vocabulary
// and a second value for a key are each an *Error with the place and, where
// one is near, the name that was meant. Of several the result is an *Errors; what
// follows a place that is no TOML is not read.
//
// Tables may come in any order, and any may be missing. So a file that was cut
// short between two lines is a policy that lacks what the lost lines said, the
// restrictions as well. No key that is there has another value than in the whole
// file, but for the last: a number that was cut short is a smaller one, and a
// text in triple quotes may be empty.
//
// The result is what the one file says: Extends is not followed, "!x" entries
// stand in their lists, what is not said is empty. Resolve does the rest.
func Parse(file string, data []byte) (*Policy, error) {
	if len(data) > MaxSize {
		return nil, &Error{File: file, Msg: "more than 1 MiB, the most a policy may have"}
	}
	r := &reader{file: file, data: data, pol: &Policy{Name: file}, fields: fields()}
	// Comments too: they are printed, and must not seem to say what they don't.
	for at, c := range string(data) {
		if isDeceptive(c) && c != '\n' && c != '\t' && c != '\r' && !r.errs.full() {
			r.keep(r.fail(at, faultf("the control character %U", c)))
		}
	}
	if err := r.errs.err(); err != nil {
		return nil, err
	}
	r.toml.Reset(data)
	r.run()
	if err := r.errs.err(); err != nil {
		return nil, err
	}
	return r.pol, nil
}

// How a table came to be, for TOML allows each to be opened once.
const (
	implied = iota + 1 // by the header of a table in it: may yet be opened
	byHeader
	byDots
	inline
)

// reader turns TOML expressions into a policy.
type reader struct {
	file   string
	data   []byte
	toml   unstable.Parser
	pol    *Policy
	fields []field

	last struct{ at, line, col int } // see place
	errs errorList

	table []string       // the header in force
	lost  bool           // it is no table that there is: its keys are not read
	open  map[string]int // tables, and how they came to be
	said  map[string]int // keys that have a value, and the line

	rules    int             // how rules came to be: byHeader or inline
	ruleAt   int             // where the rule being read begins
	ruleSaid map[string]bool // its keys; nil: no rule is being read
	ruleBad  bool            // something in it is wrong: what it lacks may be just that
}

// keep takes note of an error, and reading goes on behind it.
func (r *reader) keep(err error) {
	if err != nil {
		r.errs.add(err)
		r.ruleBad = r.ruleBad || r.ruleSaid != nil
	}
}

func (r *reader) run() {
	r.open, r.said = map[string]int{}, map[string]int{}
	for !r.errs.full() && r.toml.NextExpression() {
		e := r.toml.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			r.keep(r.finishRule())
			read := r.header
			if e.Kind == unstable.ArrayTable {
				read = r.arrayHeader
			}
			err := read(e)
			r.keep(err)
			r.lost = err != nil
		case unstable.KeyValue:
			if !r.lost {
				r.keep(r.keyValue(r.table, e))
			}
		default:
			r.keep(r.fail(0, faultf("unexpected %v", e.Kind)))
		}
	}
	var pe *unstable.ParserError
	switch err := r.toml.Error(); {
	case r.errs.full():
	case errors.As(err, &pe):
		r.keep(r.fail(len(r.data)-restLen(r.data, pe.Highlight), faultf("not TOML: %s", pe.Message)))
	case err != nil:
		r.keep(r.fail(len(r.data), faultf("not TOML: %v", err)))
	default:
		r.finish()
	}
}

// restLen is how many bytes of data stand from the start of part, which
// shares data's array, to data's end.
func restLen(data, part []byte) int {
	return min(max(cap(part)-(cap(data)-len(data)), 0), len(data))
}

// finish checks what only the whole file shows.
func (r *reader) finish() {
	if _, ok := r.said["version"]; !ok {
		r.keep(r.fail(0, faultf("no version").or("begin the file with: version = 1")))
	}
	r.keep(r.finishRule())
	if key, line := besideProfile(r.said); line > 0 && r.said["seccomp.oci"] > 0 {
		r.keep(&Error{
			File: r.file,
			Line: line,
			Col:  1,
			Msg:  key + " beside seccomp.oci, which says that too",
			Fix:  "beside it, deny and rules can take calls away",
		})
	}
}

func (r *reader) header(e *unstable.Node) error {
	parts, at, err := r.keys(nil, e.Key())
	if err != nil {
		return err
	}
	name := joined(parts)
	if name == "seccomp.rule" {
		return r.fail(at, faultf("[seccomp.rule] is one of several").or("write [[seccomp.rule]]"))
	}
	if !r.isTable(parts) {
		if r.field(name) != nil || r.isTable(parts[:len(parts)-1]) && len(parts) > 2 {
			return r.fail(at, faultf("%q is no table", name).or("write %s = ... above the first table, or below its own", name))
		}
		return r.fail(at, faultf("unknown table %q", name).like(name, append(tables(), r.subtables()...)))
	}
	for i := range parts {
		outer := joined(parts[:i+1])
		how := r.open[outer]
		if how == inline || r.said[outer] != 0 || i == len(parts)-1 && how > implied {
			r.keep(r.fail(at, faultf("table %q is there already", outer)))
			break
		}
		if how == 0 {
			r.open[outer] = implied
		}
	}
	r.open[name], r.table = byHeader, parts
	return nil
}

func (r *reader) arrayHeader(e *unstable.Node) error {
	parts, at, err := r.keys(nil, e.Key())
	if err != nil {
		return err
	}
	name := joined(parts)
	switch {
	case name != "seccomp.rule":
		return r.fail(at, faultf("unknown list of tables %q", name).or("the only one is [[seccomp.rule]]"))
	case r.rules == inline || r.open["seccomp"] == inline || r.open["seccomp"] == byDots:
		return r.fail(at, faultf("seccomp.rule is there already"))
	}
	r.rules = byHeader
	r.beginRule(at)
	r.table = parts
	return nil
}

// keyValue reads one key = value inside table, which is empty at the top.
func (r *reader) keyValue(table []string, e *unstable.Node) error {
	parts, at, err := r.keys(table, e.Key())
	if err != nil {
		return err
	}
	key := joined(parts)
	v := e.Value()
	for i := len(table) + 1; i < len(parts); i++ { // files.read = [...]
		if !r.isTable(parts[:i]) {
			break
		}
		outer := joined(parts[:i])
		if how := r.open[outer]; how != 0 && how != byDots || r.said[outer] != 0 {
			return r.fail(at, faultf("table %q is there already", outer))
		}
		r.open[outer] = byDots
	}
	if r.isTable(parts) && !r.takesOut(parts, v) {
		if v.Kind != unstable.InlineTable {
			return r.fail(at, r.wrongTable(parts))
		}
		if r.open[key] != 0 || r.said[key] != 0 {
			return r.fail(at, faultf("table %q is there already", key))
		}
		r.open[key] = inline
		return r.inlineTable(parts, v)
	}
	if key == "seccomp.rule" {
		return r.inlineRules(at, v)
	}
	if rule, ok := strings.CutPrefix(key, "seccomp.rule."); ok && len(table) == 2 {
		return r.ruleKey(rule, at, v)
	}
	if line := r.said[key]; line != 0 {
		return r.fail(at, faultf("%q has a value already, in line %d", key, line))
	}
	if r.open[key] != 0 {
		return r.fail(at, faultf("table %q is there already", key))
	}
	assign, fault := r.target(parts)
	if fault != nil {
		return r.fail(at, fault)
	}
	r.said[key], _ = r.place(at)
	return assign(at, v)
}

// target is what stores the value of a key.
func (r *reader) target(parts []string) (assign func(at int, v *unstable.Node) error, _ *fault) {
	key := joined(parts)
	if len(parts) > 2 {
		if f := r.field(joined(parts[:2])); f != nil && f.texts != nil && len(parts) == 3 {
			return func(at int, v *unstable.Node) error { return r.assignText(f, parts[2], at, v) }, nil
		} else if f != nil && f.options != nil {
			return r.optionTarget(f, parts)
		}
	}
	f := r.field(key)
	if f == nil {
		return nil, r.unknownKey(key)
	}
	return func(at int, v *unstable.Node) error { return r.assign(f, at, v) }, nil
}

func (r *reader) inlineTable(table []string, v *unstable.Node) error {
	for it := v.Children(); it.Next() && !r.errs.full(); {
		r.keep(r.keyValue(table, it.Node()))
	}
	return nil
}

// keys are the parts of a dotted key behind table's, paths in their canonical
// form, and where in the file it begins.
func (r *reader) keys(table []string, it unstable.Iterator) (parts []string, at int, _ error) {
	parts, at = slices.Clip(table), -1
	for it.Next() {
		k := it.Node()
		if at < 0 {
			at = int(k.Raw.Offset)
		}
		part := string(k.Data)
		if len(parts) == 2 {
			if f := r.field(joined(parts)); f != nil && f.isMap() {
				var fault *fault
				if part, fault = checkKey(part); fault != nil {
					return nil, 0, r.fail(int(k.Raw.Offset), fault)
				}
			}
		}
		parts = append(parts, part)
	}
	return parts, max(at, 0), nil
}

// joined is a key's parts with dots, such that no two keys are written alike:
// "files.read" as one part is not files.read.
func joined(parts []string) string {
	var b strings.Builder
	for i, part := range parts {
		if i > 0 {
			b.WriteByte('.')
		}
		if strings.Trim(part, "abcdefghijklmnopqrstuvwxyz_") == "" {
			b.WriteString(part)
		} else {
			b.WriteString(strconv.Quote(part))
		}
	}
	return b.String()
}

func (r *reader) field(key string) *field {
	for i := range r.fields {
		if r.fields[i].key == key {
			return &r.fields[i]
		}
	}
	return nil
}

// fail is an *Error at a byte of the file.
func (r *reader) fail(at int, f *fault) error {
	line, col := r.place(at)
	return &Error{File: r.file, Line: line, Col: col, Msg: f.msg, Fix: f.hint}
}

// place is the line and column of a byte of the file. It goes on counting
// from the place asked for last, since they come mostly in order.
func (r *reader) place(at int) (line, col int) {
	at = min(at, len(r.data))
	if at < r.last.at || r.last.line == 0 {
		r.last.at, r.last.line, r.last.col = 0, 1, 1
	}
	for _, c := range string(r.data[r.last.at:at]) {
		if c == '\n' {
			r.last.line, r.last.col = r.last.line+1, 1
		} else {
			r.last.col++
		}
	}
	r.last.at = at
	return r.last.line, r.last.col
}
