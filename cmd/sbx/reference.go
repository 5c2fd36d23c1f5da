package main

import (
	"fmt"
	"strings"

	"sbx/policy"
)

// languageAbout says what holds for all keys, a paragraph a string. It is in the
// manual page and in docs/policy.md.
var languageAbout = [...]string{
	`A policy is one TOML file. "sbx --policy NAME" looks for NAME.toml in ~/.config/sbx/policies, then in ` +
		`/etc/sbx/policies, then among the policies that are part of sbx. A name with a slash is a file. The file, and ` +
		`for a name all directories on the way, must belong to root or the caller, and nobody else may write to them.`,
	`Nothing in it is ignored: an unknown key, a wrong type and a name that does not exist are errors, each with line ` +
		`and column, and then nothing runs. "sbx policy check" tells them, and what is allowed but seldom meant.`,
	`Paths are absolute, or begin with ~/ (the home), ./ (the project that the caller stands in), or a variable: ` +
		`${HOME}, ${CWD}, ${XDG_CONFIG_HOME}, ${XDG_CACHE_HOME}, ${XDG_DATA_HOME}, ${XDG_STATE_HOME}, ` +
		`${XDG_RUNTIME_DIR}, ${SSH_AUTH_SOCK}. ${USER}, ${UID}, ${DISPLAY} (the number of an X display of this machine) ` +
		`and ${WAYLAND_DISPLAY} may stand further behind. There is no "..".`,
	`A ? in front of a path says that it may be missing, of a writable one also that it may not be the caller's to ` +
		`write; of a capability, that the caller may not have it; of a limit, that the machine may not be able to hold it.`,
	`What extends names is inherited: lists add up, single values override, and "!x" takes an inherited x out of a ` +
		`list; of system calls also out of the groups and rules that have it. "none" lifts an inherited limit.`,
}

// referenceMarkdown writes docs/policy.md.
func referenceMarkdown(b *strings.Builder, list []policy.TableDoc) {
	b.WriteString("<!-- Made by: sbx policy help --markdown -->\n# The keys of a policy\n\n")
	for _, paragraph := range languageAbout {
		wrap(b, paragraph, 0)
		b.WriteString("\n")
	}
	b.WriteString("`sbx policy new NAME` writes a policy to start from. `sbx policy help KEY` prints what this page " +
		"says of a key.\n`sbx policy schema` prints a JSON Schema for editors. Each example below is a part of a policy " +
		"that is right,\nthen one that is wrong, with what sbx says to it.\n")
	for _, t := range list {
		if t.Table == "" {
			b.WriteString("\n## Above the first table\n")
		} else {
			fmt.Fprintf(b, "\n## [%s]\n", t.Table)
			wrap(b, t.Doc, 0)
		}
		for _, k := range t.Keys {
			fmt.Fprintf(b, "\n### %s\n", k.Key)
			said := sentence(k.Doc)
			if k.More != "" {
				said += " " + k.More
			}
			wrap(b, strings.NewReplacer("*", `\*`, "<", `\<`, "_", `\_`).Replace(said), 0)
			fmt.Fprintf(b, "\n*Type:* %s. *Default:* %s.\n\n```toml\n%s\n```\n", k.Type, k.Default, k.Example)
			fmt.Fprintf(b, "```\n%s\n\n%s\n```\n", k.Wrong, answer(&k))
		}
	}
}

const policyManualHead = `.\" Made by: sbx help man policy
.TH SBX-POLICY 5
.SH NAME
sbx\-policy \- what a policy of sbx may say
.SH DESCRIPTION
`

const policyManualTail = `.SH SEE ALSO
.BR sbx (1),
.BR sbx\-seccomp (1)
`

// policyManual writes the manual page of the language.
func policyManual(b *strings.Builder) error {
	list, err := policy.Reference()
	if err != nil {
		return err
	}
	b.WriteString(policyManualHead)
	for i, paragraph := range languageAbout {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		b.WriteString(roff(paragraph) + "\n")
	}
	for _, t := range list {
		if t.Table == "" {
			b.WriteString(".SH KEYS ABOVE THE FIRST TABLE\n")
		} else {
			fmt.Fprintf(b, ".SH [%s]\n%s\n", t.Table, roff(t.Doc))
		}
		for _, k := range t.Keys {
			fmt.Fprintf(b, ".SS %s\n%s\n", roff(k.Key), roff(sentence(k.Doc)))
			if k.More != "" {
				b.WriteString(roff(k.More) + "\n")
			}
			fmt.Fprintf(b, "Type: %s. Default: %s.\n", roff(k.Type), roff(k.Default))
			roffExample(b, k.Example)
			b.WriteString("Wrong:\n")
			roffExample(b, k.Wrong+"\n\n"+answer(&k))
		}
	}
	b.WriteString(policyManualTail)
	return nil
}

// roffExample writes lines as they are.
func roffExample(b *strings.Builder, s string) {
	b.WriteString(".PP\n.RS 4\n.nf\n")
	for line := range strings.SplitSeq(strings.TrimSuffix(s, "\n"), "\n") {
		b.WriteString(roff(line) + "\n")
	}
	b.WriteString(".fi\n.RE\n.PP\n")
}
