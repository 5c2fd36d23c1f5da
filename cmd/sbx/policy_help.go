package main

import (
	"io"
	"os"
	"slices"
	"strings"

	"sbx/internal/text"
	"sbx/policy"
)

// policyHelpCmd is "sbx policy help".
type policyHelpCmd struct {
	Keys     []string `arg:"" optional:"" name:"key" complete:"key" help:"A key, as files.read, or a table, as files."`
	Markdown bool     `help:"Print all of it as Markdown: docs/policy.md."`
}

// Run prints it on standard output.
func (c *policyHelpCmd) Run() error { return c.run(os.Stdout) }

func (c *policyHelpCmd) run(w io.Writer) error {
	list, err := policy.Reference()
	if err != nil {
		return err
	}
	var b strings.Builder
	switch {
	case c.Markdown && len(c.Keys) > 0:
		return &usageError{"--markdown: it prints all keys", "sbx policy help --markdown"}
	case c.Markdown:
		referenceMarkdown(&b, list)
	case len(c.Keys) == 0:
		for i := range list {
			helpTable(&b, &list[i])
		}
		wrap(&b, `"sbx policy help files.read" says all about a key, "sbx policy new NAME" writes a policy to start from.`, 0)
	}
	for i, name := range c.Keys {
		if i > 0 {
			b.WriteString("\n")
		}
		if err := helpOne(&b, list, name); err != nil {
			return err
		}
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// helpTable writes a table's name and its keys, a line or two each.
func helpTable(b *strings.Builder, t *policy.TableDoc) {
	head := ""
	if t.Table != "" {
		head = "[" + t.Table + "] "
	}
	wrap(b, head+t.Doc, 0)
	const column = 26
	for _, k := range t.Keys {
		b.WriteString("  " + k.Key + strings.Repeat(" ", max(1, column-2-len(k.Key))))
		wrap(b, k.Doc, column)
	}
	b.WriteString("\n")
}

// helpOne writes all about the key, or the table, of that name.
func helpOne(b *strings.Builder, list []policy.TableDoc, name string) error {
	var all, same []string
	for i := range list {
		t := &list[i]
		if t.Table == name && name != "" {
			helpTable(b, t)
			return nil
		}
		if t.Table != "" {
			all = append(all, t.Table)
		}
		for j := range t.Keys {
			key := t.Keys[j].Key
			if key == name {
				helpKey(b, &t.Keys[j])
				return nil
			}
			all = append(all, key)
			if strings.HasSuffix(key, "."+name) {
				same = append(same, key)
			}
		}
	}
	hint := policy.Suggest(name, all)
	if len(same) > 0 {
		hint = "did you mean " + strings.Join(same, " or ") + "?"
	}
	if hint == "" {
		hint = "sbx policy help lists the keys"
	}
	return &usageError{"explain " + text.Quote(name) + ": a policy has no such key", hint}
}

// helpKey writes all about a key.
func helpKey(b *strings.Builder, k *policy.KeyDoc) {
	b.WriteString(k.Key + "\n")
	wrapIndented(b, sentence(k.Doc))
	if k.More != "" {
		wrapIndented(b, k.More)
	}
	wrapIndented(b, "Type: "+k.Type)
	wrapIndented(b, "Default: "+k.Default)
	b.WriteString("\nExample:\n")
	indent(b, k.Example)
	b.WriteString("\nWrong, and what sbx says to it:\n")
	indent(b, k.Wrong)
	b.WriteString("\n")
	indent(b, answer(k))
}

// answer is what sbx says to the wrong example.
func answer(k *policy.KeyDoc) string {
	out := "sbx: error: " + k.Error
	if k.Hint != "" {
		out += "\nsbx: hint: " + k.Hint
	}
	return out
}

// sentence makes one of a key's short text.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

func wrapIndented(b *strings.Builder, s string) {
	b.WriteString("    ")
	wrap(b, s, 4)
}

func indent(b *strings.Builder, s string) {
	for line := range strings.SplitSeq(strings.TrimSuffix(s, "\n"), "\n") {
		b.WriteString("    " + line + "\n")
	}
}

// referenceKeys are the names that helpOne knows, for the shells.
func referenceKeys() ([]string, error) {
	list, err := policy.Reference()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, t := range list {
		if t.Table != "" {
			out = append(out, t.Table)
		}
		for _, k := range t.Keys {
			out = append(out, k.Key)
		}
	}
	slices.Sort(out)
	return out, nil
}
