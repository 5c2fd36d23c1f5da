package main

import (
	"fmt"
	"io"
	"strings"

	"sbx/internal/text"
)

const manualHead = `.\" Made by: sbx help man
.TH SBX 1
.SH NAME
sbx \- %s
.SH SYNOPSIS
.B sbx
[flags] \-\- PROGRAM [ARGUMENT ...]
`

const manualGrammar = `.PP
The value of a flag is the next word, which then does not begin with a dash,
or follows the name and an equals sign, as in \-\-read=PATH,
or follows the letter, as in \-rPATH.
Flags without a value may share a dash.
Names are not abbreviated.
A flag that may not be repeated is given once.
Nothing behind \-\- is read.
.SH COMMANDS
`

const manualTail = `.SH EXIT STATUS
That of the program; 128+n when signal n killed it, 127 not found,
126 not executable, 125 could not sandbox (nothing ran).
.SH FILES
.TP
~/.config/sbx/policies
the caller\(aqs policies
.TP
/etc/sbx/policies
the machine\(aqs policies
.SH SEE ALSO
.BR sbx\-policy (5),
.BR sbx\-seccomp (1)
`

// manuals are the manual pages: what follows "sbx help man", the file in docs, and
// what writes it.
var manuals = [...]struct {
	word, file string
	write      func(*strings.Builder) error
}{
	{"", "sbx.1", launchManual},
	{"policy", "sbx-policy.5", policyManual},
	{"seccomp", "sbx-seccomp.1", seccompManual},
}

// printManual writes a manual page, in man(7)'s format.
func printManual(w io.Writer, page string) error {
	for _, m := range manuals {
		if m.word != page {
			continue
		}
		var b strings.Builder
		if err := m.write(&b); err != nil {
			return err
		}
		_, err := io.WriteString(w, b.String())
		return err
	}
	return &usageError{"print the manual page of " + text.Quote(page) + ": there is none",
		"sbx help man, sbx help man policy, sbx help man seccomp"}
}

// launchManual writes sbx(1).
func launchManual(b *strings.Builder) error {
	list, err := describeCommands()
	if err != nil {
		return err
	}
	summary := strings.ToLower(launchSummary[:1]) + strings.TrimSuffix(launchSummary[1:], ".")
	fmt.Fprintf(b, manualHead, roff(summary))
	for _, first := range firstWords(list) {
		fmt.Fprintf(b, ".br\n.B sbx %s\n\\&...\n", roff(first))
	}
	b.WriteString(".SH DESCRIPTION\n")
	for i, paragraph := range launchAbout {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		b.WriteString(roff(paragraph) + "\n")
	}
	b.WriteString(".SH FLAGS\n")
	for i := range launchFlags {
		roffFlag(b, &launchFlags[i], launchFlags[i].sentence())
	}
	b.WriteString(".SH LEARNING\n.B sbx learn\n[flags] \\-\\- PROGRAM [ARGUMENT ...]\n.PP\n" + roff(learnAbout) +
		"\nFlags, besides those above:\n")
	for i := range learnFlags {
		f := &learnFlags[i]
		roffFlag(b, &flagEntry{name: f.name, short: f.short, value: f.value}, f.help)
	}
	b.WriteString(manualGrammar)
	roffCommands(b, list)
	b.WriteString(manualTail)
	return nil
}

// roffCommands writes each command with its flags.
func roffCommands(b *strings.Builder, list []command) {
	for _, c := range list {
		fmt.Fprintf(b, ".SS sbx %s\n%s\n", roff(strings.TrimPrefix(c.usage, "sbx ")), roff(c.help))
		for i := range c.flags {
			if c.flags[i].name != "help" {
				roffFlag(b, &c.flags[i], c.flags[i].help)
			}
		}
	}
}

// roffFlag writes a flag and its help.
func roffFlag(b *strings.Builder, f *flagEntry, help string) {
	b.WriteString(".TP\n")
	if f.short != 0 {
		b.WriteString("\\fB\\-" + string(rune(f.short)) + "\\fR, ")
	}
	b.WriteString("\\fB" + roff(f.long()) + "\\fR")
	switch {
	case f.bare != "":
		b.WriteString("[=\\fI" + roff(f.value) + "\\fR]")
	case f.value != "":
		b.WriteString(" \\fI" + roff(f.value) + "\\fR")
	}
	b.WriteString("\n" + roff(help) + "\n")
}

// roff is s as text and nothing else.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "~", `\(ti`, "^", `\(ha`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}
