package bwrap

import (
	"fmt"
	"io"
	"strings"
)

// PrintHelp prints the options of what was called by that name.
func PrintHelp(w io.Writer, name string) error {
	var b strings.Builder
	b.WriteString("usage: " + name + " [OPTIONS...] [--] COMMAND [ARGS...]\n\n")
	b.WriteString("sbx reads bubblewrap's options; see bwrap(1) and sbx(1). Those that there are:\n\n")
	for _, o := range options() {
		b.WriteString("    " + o.name + strings.Repeat(" ARG", o.values) + "\n")
	}
	_, err := fmt.Fprint(w, b.String())
	return err
}

// OptionNames are the names of all options, as --bind.
func OptionNames() []string {
	var names []string
	for _, o := range options() {
		names = append(names, o.name)
	}
	return names
}
