package main

import (
	"io"
	"strings"
)

const launchSummary = "Run a program in a sandbox."

const launchUsage = "sbx [flags] -- PROGRAM [ARGUMENT ...]"

// launchAbout is the help's text, a paragraph a string.
var launchAbout = [...]string{
	"What the policy does not name is not there. The program keeps its exit status; 128+n when signal n killed it, " +
		"127 not found, 126 not executable, 125 could not sandbox (nothing ran).",
	`"sbx explain [flags] -- PROGRAM" says at the end what the program was denied, and why. ` +
		`"sbx learn [flags] -- PROGRAM" writes a policy of what it was seen to do. ` +
		`"sbx policy list" shows the policies, "sbx policy --help" and "sbx seccomp --help" what else can be asked. ` +
		`"sbx help man" prints the manual page, "sbx completion --help" says how a shell completes all this.`,
}

// helpWidth is the width of the help, that of a terminal as nobody has changed it.
const helpWidth = 80

// printHelp writes the help of a launch.
func printHelp(w io.Writer) error {
	var b strings.Builder
	b.WriteString("Usage: " + launchUsage + "\n\n" + launchSummary + "\n")
	for _, paragraph := range launchAbout {
		b.WriteString("\n")
		wrap(&b, paragraph, 0)
	}
	b.WriteString("\nFlags:\n")
	column := 0
	for i := range launchFlags {
		column = max(column, len("  -x, ")+len(launchFlags[i].usage())+2)
	}
	for i := range launchFlags {
		f := &launchFlags[i]
		left := "      " + f.usage()
		if f.short != 0 {
			left = "  -" + string(rune(f.short)) + ", " + f.usage()
		}
		b.WriteString(left + strings.Repeat(" ", column-len(left)))
		wrap(&b, f.sentence(), column)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// sentence is the flag's help, with what its type says of it.
func (f *flagEntry) sentence() string {
	if f.repeats() {
		return f.help + " May be repeated."
	}
	return f.help
}

// wrap writes the text in lines of at most helpWidth columns. The first line
// begins in the column, and the others are indented as far.
func wrap(b *strings.Builder, text string, column int) {
	at := column
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case at+1+len(word) > helpWidth:
			b.WriteString("\n" + strings.Repeat(" ", column))
			at = column
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	b.WriteByte('\n')
}
