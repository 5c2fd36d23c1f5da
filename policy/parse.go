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
// one is near, the name that was meant.
//
// A policy ends with its [expect] table. That makes a file that was cut short
// an error instead of a policy that lacks what the lost part took away.
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
		if isDeceptive(c) && c != '\n' && c != '\t' && c != '\r' {
			return nil, r.fail(at, faultf("the control character %U", c))
		}
	}
	r.toml.Reset(data)
	if err := r.run(); err != nil {
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

	table []string       // the header in force
	open  map[string]int // tables, and how they came to be
	said  map[string]int // keys that have a value, and the line

	rules    int             // how rules came to be: byHeader or inline
	ruleAt   int             // where the rule being read begins
	ruleSaid map[string]bool // its keys; nil: no rule is being read
}

func (r *reader) run() error {
	r.open, r.said = map[string]int{}, map[string]int{}
	for r.toml.NextExpression() {
		e := r.toml.Expression()
		var err error
		switch e.Kind {
		case unstable.Table:
			err = r.header(e)
		case unstable.ArrayTable:
			err = r.arrayHeader(e)
		case unstable.KeyValue:
			err = r.keyValue(r.table, e)
		default:
			err = r.fail(0, faultf("unexpected %v", e.Kind))
		}
		if err != nil {
			return err
		}
	}
	if err := r.toml.Error(); err != nil {
		var pe *unstable.ParserError
		if errors.As(err, &pe) {
			return r.fail(len(r.data)-restLen(r.data, pe.Highlight), faultf("not TOML: %s", pe.Message))
		}
		return r.fail(len(r.data), faultf("not TOML: %v", err))
	}
	return r.finish()
}

// restLen is how many bytes of data stand from the start of part, which
// shares data's array, to data's end.
func restLen(data, part []byte) int {
	return min(max(cap(part)-(cap(data)-len(data)), 0), len(data))
}

// finish checks what only the whole file shows.
func (r *reader) finish() error {
	if _, ok := r.said["version"]; !ok {
		return r.fail(0, faultf("no version").or("begin the file with: version = 1"))
	}
	if err := r.finishRule(); err != nil {
		return err
	}
	if key, line := besideProfile(r.said); line > 0 && r.said["seccomp.oci"] > 0 {
		return &Error{File: r.file, Line: line, Col: 1, Msg: key + " beside seccomp.oci, which says that too", Fix: "beside it, deny and rules can take calls away"}
	}
	last := slices.Equal(r.table, []string{"expect"})
	if r.open["expect"] != 0 && !last {
		return r.fail(len(r.data), faultf("[expect] is not the last table").or("put it last, under a header of its own"))
	}
	if !last {
		return r.fail(len(r.data), faultf("the file does not end with its [expect] table, so it may have been cut short").
			or("put [expect] last; it may be empty"))
	}
	return nil
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
			return r.fail(at, faultf("table %q is there already", outer))
		}
		if how == 0 {
			r.open[outer] = implied
		}
	}
	if err := r.finishRule(); err != nil {
		return err
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
	if err := r.finishRule(); err != nil {
		return err
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
	for it := v.Children(); it.Next(); {
		if err := r.keyValue(table, it.Node()); err != nil {
			return err
		}
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

// unknownKey names the key's nearest neighbour in its table, or else the
// table that has such a key.
func (r *reader) unknownKey(key string) *fault {
	var here, last []string
	base := key[strings.LastIndexByte(key, '.')+1:]
	prefix := key[:len(key)-len(base)]
	for _, f := range r.fields {
		name := f.key[strings.LastIndexByte(f.key, '.')+1:]
		if f.key == prefix+name {
			here = append(here, name)
		}
		if name == base {
			last = append(last, f.key)
		}
	}
	if prefix == "" {
		here = append(here, tables()...)
	}
	if prefix == "seccomp." {
		here = append(here, "rule")
	}
	f := faultf("unknown key %q", key)
	if n := nearest(base, here); n != "" {
		return f.or("did you mean %q?", prefix+n)
	}
	if len(last) > 0 {
		return f.or("did you mean %q?", last[0])
	}
	return f.like(base, here)
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
