package policy

import (
	"errors"
	"fmt"
	"strings"
)

// KeyDoc describes one key of the language for people.
type KeyDoc struct {
	// Key is the dotted name. An option of a path stands as files.path.size, a
	// rule's key as seccomp.rule.when.
	Key string
	// Type, Default and Doc say what the key holds, what it means to leave it
	// out, and what it is for. More, if not empty, is a sentence or two besides.
	Type, Default, Doc, More string
	// Example is a part of a policy file that uses the key.
	Example string
	// Wrong is such a part with a mistake, and Error and Hint are what Parse or
	// Resolve says to it, with the file called my.toml. Hint may be empty.
	Wrong, Error, Hint string
}

// TableDoc describes one table and its keys.
type TableDoc struct {
	// Table is the name, "" for the keys above the first table.
	Table string
	Doc   string
	Keys  []KeyDoc
}

// sample is what the list of keys does not say of a key.
type sample struct {
	good, bad string
	// deflt is the default in words, where the list has no value for it.
	deflt string
	more  string
}

// Reference describes the whole language, in the order in which policies are
// printed. It is made from the list of keys that Parse and Schema go by, and the
// errors in it are what Parse and Resolve say.
func Reference() ([]TableDoc, error) {
	out := []TableDoc{{Doc: "The keys above the first table."}}
	about := tableDocs()
	for _, t := range tables() {
		out = append(out, TableDoc{Table: t, Doc: about[t]})
	}
	at := map[string]*TableDoc{}
	for i := range out {
		at[out[i].Table] = &out[i]
	}
	more := samples()
	add := func(key, kind, deflt, doc string) error {
		table := ""
		if t, _, ok := strings.Cut(key, "."); ok {
			table = t
		}
		s, ok := more[key]
		if !ok {
			return fmt.Errorf("no example of %s: samples lists them", key)
		}
		if text, rest, ok := strings.Cut(doc, " (default "); ok {
			doc, deflt = text, strings.TrimSuffix(rest, ")")
		}
		if s.deflt != "" {
			deflt = s.deflt
		}
		d := KeyDoc{Key: key, Type: kind, Default: deflt, Doc: doc, More: s.more, Example: s.good, Wrong: s.bad}
		if err := tryExample(s.good); err != nil {
			return fmt.Errorf("example of %s: %w", key, err)
		}
		var e *Error
		switch err := tryExample(s.bad); {
		case err == nil:
			return fmt.Errorf("the wrong example of %s is right", key)
		case !errors.As(err, &e):
			return fmt.Errorf("the wrong example of %s: %w, which has no place", key, err)
		}
		d.Error, d.Hint = e.Error(), e.Hint()
		at[table].Keys = append(at[table].Keys, d)
		return nil
	}
	for _, f := range fields() {
		if err := add(f.key, f.typeText(), f.defaultText(), f.doc); err != nil {
			return nil, err
		}
		if f.options == nil {
			continue
		}
		for _, o := range pathOptions() {
			kind := "string"
			if o.truth != nil {
				kind = "true or false"
			}
			doc := o.doc + "; of a path in " + strings.Join(strings.Fields(o.kinds), ", ")
			if text, rest, ok := strings.Cut(o.doc, " (default "); ok {
				doc = text + "; of a path in " + strings.Join(strings.Fields(o.kinds), ", ") + " (default " + rest
			}
			if err := add(f.key+"."+o.key, kind, "not said", doc); err != nil {
				return nil, err
			}
		}
	}
	for _, k := range ruleKeys() {
		kind := "list of strings"
		if k == "action" {
			kind = "string: " + actionsText
		}
		if err := add("seccomp.rule."+k, kind, "", ruleDoc(k)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

const actionsText = "allow, errno:NAME, kill-process, kill-thread, trap, log or notify"

// tryExample reads a part of a policy file as one, and sums it up.
func tryExample(part string) error {
	if !strings.Contains(part, "version = ") {
		part = "version = 1\n" + part
	}
	p, err := Parse("my.toml", []byte(part+"\n"))
	if err != nil {
		return err
	}
	// What it extends is no matter of this file alone.
	found := func(string, *Policy) (*Policy, error) { return &Policy{Name: "extended", Version: 1}, nil }
	if p.OCI != "" {
		return nil
	}
	_, err = Resolve(p, found)
	return err
}

// typeText says what the key holds.
func (f *field) typeText() string {
	switch {
	case f.num != nil || f.id32 != nil:
		return "whole number"
	case f.truth != nil:
		return "true or false"
	case f.action != nil:
		return "string: " + actionsText
	case f.texts != nil:
		return "table of strings by path"
	case f.options != nil:
		return "table of tables by path"
	case f.list != nil && f.whole:
		return "list of whole numbers"
	case f.list != nil:
		return "list of strings"
	case f.whole:
		return "whole number or string"
	case f.values != nil:
		values := append([]string{}, f.values()...)
		if table, _ := f.place(); table == "namespaces" {
			values = append(values, "/path/to/join")
		}
		last := len(values) - 1
		return "string: " + strings.Join(values[:last], ", ") + " or " + values[last]
	}
	return "string"
}

// defaultText says what it means to leave the key out.
func (f *field) defaultText() string {
	switch {
	case f.deflt != "":
		return f.deflt
	case strings.HasPrefix(f.key, "limits."):
		return "no limit"
	case f.closed:
		return "nothing is restricted"
	case f.list != nil:
		return "empty"
	case f.truth != nil:
		return "false"
	case f.isMap():
		return "none"
	}
	return "not said"
}

// tableDocs says what each table is about.
func tableDocs() map[string]string {
	return map[string]string{
		"namespaces": "Which of the caller's namespaces the program shares, see namespaces(7).",
		"files": "The program's root file system: an empty one, and in it what is named here. " +
			"The deeper of two entries decides.",
		"network": "bind and connect are TCP ports of the host's network, by Landlock (Linux 6.7). Whoever says one of " +
			"them leaves no other way to it: no UDP, MPTCP or other families. hosts is what may be reached from a network " +
			"namespace of the program's own, by name or address, and listen what the host hands to it.",
		"process": "What the program's process is given.",
		"limits": "How much the program may use. Sizes have K, M, G or T behind, times h, m and s. " +
			"A limit that cannot be held is an error, unless a ? stands in front.",
		"seccomp": "The system calls that the program may make. What is denied is denied whatever is allowed.",
		"report":  "What is told of a run.",
		"expect": "What the policy means. \"sbx policy check\" tries what the policy alone decides, \"sbx policy test\" " +
			"all of it, in a sandbox. ",
	}
}

// ruleDoc says what a key of [[seccomp.rule]] is for.
func ruleDoc(key string) string {
	switch key {
	case "syscalls":
		return "system calls and @groups the rule is about"
	case "when":
		return "conditions on arguments, any of which is enough; none: always"
	}
	return "answer to these calls"
}
