package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"sbx/policy/seccomp"
)

// Print writes the policy as a file that Parse reads back as the same policy:
// keys in a fixed order, one entry a line. Of a resolved policy this is the
// canonical form, and the same on every machine.
func (p *Policy) Print() []byte { return p.PrintWith(nil) }

// PrintWith is Print with a comment behind each entry for which note has one.
// The key of a rule is "seccomp.rule", its entry the first system call.
func (p *Policy) PrintWith(note func(key, entry string, rule *seccomp.Rule) string) []byte {
	if note == nil {
		note = func(string, string, *seccomp.Rule) string { return "" }
	}
	w := printer{note: note}
	table := ""
	rules := false
	for _, f := range fields() {
		var value string
		switch {
		case f.list != nil:
			value = w.list(&f, *f.list(p))
		case f.isMap() && f.len(p) > 0:
			value = w.entries(&f, p)
		case f.id32 != nil && *f.id32(p) != nil:
			value = strconv.Itoa(**f.id32(p))
		case f.str != nil && *f.str(p) != "":
			value = quote(*f.str(p))
			if f.whole {
				value = plain(*f.str(p))
			}
		case f.num != nil && *f.num(p) != 0:
			value = strconv.Itoa(*f.num(p))
		case f.truth != nil && *f.truth(p) != nil:
			value = strconv.FormatBool(**f.truth(p))
		case f.action != nil && f.action(p).Kind != seccomp.Unset:
			value = quote(f.action(p).String())
		}
		in, key := f.place()
		if in == "expect" && !rules {
			w.rules(p.Seccomp.Rules)
			rules = true
		}
		if value == "" {
			continue
		}
		if in != table {
			w.WriteString("\n[" + in + "]\n")
			table = in
		}
		if f.isMap() {
			w.WriteString(value)
			continue
		}
		w.WriteString(key + " = " + value + "\n")
	}
	return []byte(w.String())
}

// Digest names what a resolved policy says: SHA-256 of its canonical form.
func (p *Policy) Digest() string {
	sum := sha256.Sum256(p.Print())
	return "sha256:" + hex.EncodeToString(sum[:])
}

type printer struct {
	strings.Builder
	note func(key, entry string, rule *seccomp.Rule) string
}

func (w *printer) list(f *field, list []string) string {
	if len(list) == 0 {
		if f.closed && list != nil {
			return "[]"
		}
		return ""
	}
	var b strings.Builder
	b.WriteString("[\n")
	for _, e := range list {
		text := quote(e)
		if f.whole {
			text = plain(e)
		}
		b.WriteString("  " + text + "," + comment(w.note(f.key, e, nil)) + "\n")
	}
	b.WriteString("]")
	return b.String()
}

// entries writes a table by path, one path a line.
func (w *printer) entries(f *field, p *Policy) string {
	var b strings.Builder
	_, name := f.place()
	for _, path := range f.paths(p) {
		bare, out := strings.CutPrefix(path, "!")
		value := "false"
		switch {
		case out:
		case f.texts != nil:
			value = quoteLines((*f.texts(p))[path])
		default:
			value = "{ " + strings.Join(optionTexts((*f.options(p))[path]), ", ") + " }"
		}
		b.WriteString(name + "." + quote(bare) + " = " + value + comment(w.note(f.key, path, nil)) + "\n")
	}
	return b.String()
}

// optionTexts are what is said of a path, as key = value.
func optionTexts(o PathOptions) (texts []string) {
	for _, x := range pathOptions() {
		if x.truth != nil && *x.truth(&o) != nil {
			texts = append(texts, x.key+" = "+strconv.FormatBool(**x.truth(&o)))
		} else if x.str != nil && *x.str(&o) != "" {
			texts = append(texts, x.key+" = "+quote(*x.str(&o)))
		}
	}
	return texts
}

func (w *printer) rules(rules []seccomp.Rule) {
	for _, r := range rules {
		w.WriteString("\n[[seccomp.rule]]" + comment(w.note("seccomp.rule", r.Syscalls[0], &r)) + "\n")
		w.WriteString("syscalls = " + quoteList(r.Syscalls) + "\n")
		if len(r.When) > 0 {
			w.WriteString("when = " + quoteList(r.When) + "\n")
		}
		if r.Action.Kind != seccomp.Unset {
			w.WriteString("action = " + quote(r.Action.String()) + "\n")
		}
	}
}

func comment(s string) string {
	if s == "" {
		return ""
	}
	return "  # " + s
}

func quoteList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// plain writes a number that the file may have without quotes.
func plain(s string) string {
	if _, err := strconv.Atoi(s); err == nil {
		return s
	}
	return quote(s)
}

// quoteLines writes a text of lines as they are: TOML drops a line break that
// follows the opening quotes.
func quoteLines(s string) string {
	if !strings.Contains(s, "\n") {
		return strings.ReplaceAll(quote(s), "\t", `\t`)
	}
	quoted := quote(s)
	return `"""` + "\n" + quoted[1:len(quoted)-1] + `"""`
}

// quote writes a TOML basic string. Policies hold no control characters.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
