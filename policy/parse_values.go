package policy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"sbx/policy/seccomp"
)

// assign stores a key's value after checking its type and what it says.
func (r *reader) assign(f *field, at int, v *unstable.Node) error {
	switch {
	case f.list != nil:
		return r.assignList(f, at, v)
	case f.num != nil, f.id32 != nil:
		return r.assignNumber(f, at, v)
	case f.truth != nil:
		b, err := r.truth(f.key, at, v)
		*f.truth(r.pol) = b
		r.note(f, "", at)
		return err
	}
	s, where, err := r.entry(f, at, v)
	if err != nil {
		return err
	}
	if f.action != nil {
		a, fault := parseAction(s)
		if fault != nil {
			return r.fail(where, fault)
		}
		*f.action(r.pol) = a
		return nil
	}
	s, fault := f.check(s)
	if fault != nil {
		return r.fail(where, fault)
	}
	*f.str(r.pol) = s
	r.note(f, "", at)
	return nil
}

// entry is a string, or a whole number where the field may have one.
func (r *reader) entry(f *field, at int, v *unstable.Node) (string, int, error) {
	if f.whole && v.Kind == unstable.Integer {
		return string(v.Data), int(v.Raw.Offset), nil
	}
	return r.text(f.key, at, v)
}

func (r *reader) truth(key string, at int, v *unstable.Node) (*bool, error) {
	if v.Kind != unstable.Bool {
		return nil, r.fail(at, wrongType(key, v, "true or false"))
	}
	b := string(v.Data) == "true"
	return &b, nil
}

// note keeps where an entry was written.
func (r *reader) note(f *field, entry string, at int) {
	line, col := r.place(at)
	r.pol.note(f, entry, Origin{Policy: r.file, Line: line, Col: col})
}

func (r *reader) assignList(f *field, at int, v *unstable.Node) error {
	if v.Kind != unstable.Array {
		want := `a list of strings, as ["a", "b"]`
		if f.whole {
			want = "a list of whole numbers, as [80, 443]"
		}
		return r.fail(at, wrongType(f.key, v, want))
	}
	// An empty list is a list: it says that there is nothing to add.
	list := []string{}
	seen := map[string]bool{}
	for it := v.Children(); it.Next() && !r.errs.full(); {
		s, where, err := r.entry(f, at, it.Node())
		if err != nil {
			r.keep(err)
			continue
		}
		entry, fault := f.entry(s)
		if fault != nil {
			r.keep(r.fail(where, fault))
			continue
		}
		bare, out := strings.CutPrefix(entry, "!")
		id := f.identity(bare)
		if seen[id] {
			said := faultf("%q is in %s already", entry, f.key)
			if out {
				said = faultf("%q is taken out of %s twice, or taken out and put in", bare, f.key)
			}
			r.keep(r.fail(where, said))
			continue
		}
		seen[id] = true
		if most := f.most(); len(list) == most {
			return r.fail(where, faultf("more than %d entries in %s", most, f.key))
		}
		list = append(list, entry)
		r.note(f, entry, where)
	}
	if *f.list(r.pol) = list; f.closed {
		r.note(f, "", at)
	}
	return nil
}

// entry checks one entry of a list and gives its canonical form.
func (f *field) entry(s string) (string, *fault) {
	bare, out := strings.CutPrefix(s, "!")
	if !out {
		return f.check(s)
	}
	if !f.removable {
		return "", faultf("%q: nothing can be taken out of %s", s, f.key)
	}
	if strings.HasPrefix(bare, "!") {
		return "", faultf("%q has two !", s)
	}
	if f.id != nil && strings.HasPrefix(bare, "?") {
		return "", faultf("%q: what is taken out has no ?", s).or("write %q; it takes out %q as well", "!"+bare[1:], bare)
	}
	bare, fault := f.check(bare)
	if fault != nil {
		return "", fault
	}
	return "!" + bare, nil
}

func (r *reader) assignNumber(f *field, at int, v *unstable.Node) error {
	if v.Kind != unstable.Integer {
		return r.fail(at, wrongType(f.key, v, "a whole number"))
	}
	where, digits := int(v.Raw.Offset), string(v.Data)
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != digits || n < 0 || n > MaxID {
		return r.fail(where, faultf("%s: %q is not a plain decimal number in range", f.key, digits))
	}
	if f.key == "version" && n != 1 {
		return r.fail(where, faultf("version %d is not known; this sbx knows 1", n))
	}
	if f.id32 != nil {
		id := int(n)
		*f.id32(r.pol) = &id
		r.note(f, "", at)
		return nil
	}
	*f.num(r.pol) = int(n)
	return nil
}

// text is a string value without surprises, and where it stands.
func (r *reader) text(key string, at int, v *unstable.Node) (string, int, error) {
	if v.Kind != unstable.String {
		return "", 0, r.fail(at, wrongType(key, v, "a string"))
	}
	where := int(v.Raw.Offset)
	s := string(v.Data)
	if f := checkText(s); f != nil {
		return "", 0, r.fail(where, f)
	}
	if s == "" && key != "summary" {
		return "", 0, r.fail(where, faultf("an empty string in %s", key))
	}
	return s, where, nil
}

// wrongType says what stands where something else should. The value is read
// from its node: an array or table has no text of its own there.
func wrongType(key string, v *unstable.Node, want string) *fault {
	var got string
	switch v.Kind {
	case unstable.Array:
		got = "a list"
	case unstable.InlineTable:
		got = "a table"
	case unstable.String:
		got = "the string " + strconv.Quote(string(v.Data))
	default:
		got = strings.ToLower(v.Kind.String()) + " " + string(v.Data)
	}
	return faultf("%s is %s, not %s", key, want, got)
}

// beginRule starts an empty rule.
func (r *reader) beginRule(at int) {
	r.pol.Seccomp.Rules = append(r.pol.Seccomp.Rules, seccomp.Rule{})
	r.ruleAt, r.ruleSaid, r.ruleBad = at, map[string]bool{}, false
}

// finishRule checks the rule read last, now that all of it is there.
func (r *reader) finishRule() error {
	if r.ruleSaid == nil {
		return nil
	}
	said := r.ruleSaid
	if r.ruleSaid = nil; r.ruleBad {
		return nil
	}
	rule := &r.pol.Seccomp.Rules[len(r.pol.Seccomp.Rules)-1]
	if len(rule.Syscalls) == 0 {
		return r.fail(r.ruleAt, faultf("a rule without syscalls"))
	}
	line, col := r.place(r.ruleAt)
	origin := Origin{Policy: r.file, Line: line, Col: col}
	if strings.HasPrefix(rule.Syscalls[0], "!") {
		for _, s := range rule.Syscalls {
			if !strings.HasPrefix(s, "!") || said["when"] || said["action"] {
				return r.fail(r.ruleAt, faultf("a rule that takes out %q does nothing else", rule.Syscalls[0]).
					or("write another [[seccomp.rule]] for the rest"))
			}
		}
	} else if !said["action"] {
		return r.fail(r.ruleAt, faultf("a rule without an action").like("", actionNames()))
	} else if err := rule.Check(); err != nil {
		return r.fail(r.ruleAt, nameFault(err))
	}
	r.pol.noteRule(*rule, origin)
	return nil
}

// ruleKey reads one key of a rule.
func (r *reader) ruleKey(key string, at int, v *unstable.Node) error {
	rule := &r.pol.Seccomp.Rules[len(r.pol.Seccomp.Rules)-1]
	if r.ruleSaid[key] {
		return r.fail(at, faultf("%q has a value already", "seccomp.rule."+key))
	}
	r.ruleSaid[key] = true
	switch key {
	case "syscalls":
		return r.ruleList(key, at, v, func(s string) (string, *fault) {
			if bare, out := strings.CutPrefix(s, "!"); out {
				bare, f := checkSyscall(bare)
				return "!" + bare, f
			}
			return checkSyscall(s)
		}, &rule.Syscalls)
	case "when":
		return r.ruleList(key, at, v, checkCondition, &rule.When)
	case "action":
		s, where, err := r.text("seccomp.rule.action", at, v)
		if err != nil {
			return err
		}
		a, f := parseAction(s)
		if f != nil {
			return r.fail(where, f)
		}
		rule.Action = a
		return nil
	}
	return r.fail(at, faultf("unknown key %q", "seccomp.rule."+key).like(key, ruleKeys()))
}

// ruleList reads a rule's list. An empty one is refused: an empty "when" reads
// like never and would mean always.
func (r *reader) ruleList(
	key string, at int, v *unstable.Node, check func(string) (string, *fault), to *[]string,
) error {
	key = "seccomp.rule." + key
	if v.Kind != unstable.Array {
		return r.fail(at, wrongType(key, v, `a list of strings, as ["a", "b"]`))
	}
	empty := true
	for it := v.Children(); it.Next() && !r.errs.full(); empty = false {
		s, where, err := r.text(key, at, it.Node())
		if err != nil {
			r.keep(err)
			continue
		}
		s, f := check(s)
		if f != nil {
			r.keep(r.fail(where, f))
			continue
		}
		if slices.Contains(*to, s) {
			r.keep(r.fail(where, faultf("%q is in %s already", s, key)))
			continue
		}
		if len(*to) == MaxEntries {
			return r.fail(where, faultf("more than %d entries in %s", MaxEntries, key))
		}
		*to = append(*to, s)
	}
	if empty {
		return r.fail(at, faultf("%s is empty", key))
	}
	return nil
}

// inlineRules reads rule = [{ ... }, { ... }].
func (r *reader) inlineRules(at int, v *unstable.Node) error {
	if v.Kind != unstable.Array {
		return r.fail(at, wrongType("seccomp.rule", v, "a list of tables").or("write [[seccomp.rule]]"))
	}
	if r.rules != 0 {
		return r.fail(at, faultf("seccomp.rule is there already"))
	}
	r.rules = inline
	for it := v.Children(); it.Next() && !r.errs.full(); {
		n := it.Node()
		if n.Kind != unstable.InlineTable {
			r.keep(r.fail(at, wrongType("an entry of seccomp.rule", n, "a table")))
			continue
		}
		r.beginRule(int(n.Raw.Offset))
		r.keep(r.inlineTable([]string{"seccomp", "rule"}, n))
		r.keep(r.finishRule())
	}
	return nil
}
