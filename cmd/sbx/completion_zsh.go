package main

import (
	"fmt"
	"strings"
)

// zshHead is what the script for zsh does whatever the flags are; see bashHead
// for why it does not run the sbx of the line.
const zshHead = `#compdef sbx
# Completion for zsh of sbx, made by: sbx completion zsh

_sbx_policies() {
	local line
	local -a names
	for line in ${(f)"$(command sbx policy list 2>/dev/null)"}; do
		names+=("${line%% *}:${${line#*  }## #}")
	done
	_alternative 'policies:policy:{ _describe policy names }' 'files:policy file:_files'
}
`

// zshTarget completes what is behind --, if that has been passed.
const zshTarget = `		if (( split < CURRENT )); then
			shift split words
			(( CURRENT -= split ))
			_normal
			return
		fi
`

// zshFirst follows the list of the commands.
const zshFirst = `	)
	_describe command commands
}

_sbx_first() {
	_alternative 'commands:command:_sbx_commands' 'end:end of the flags:(--)'
}

_sbx() {
	local at=launch
	integer split=${words[(i)--]}
`

// zshCompletion is the script for zsh.
func zshCompletion(list []command) string {
	var b strings.Builder
	b.WriteString(zshHead)
	fmt.Fprintf(&b, "\n_sbx_call() {\n\tlocal -a names=(%s)\n\t[[ $1 != groups ]] || names+=(%s)\n"+
		"\t_describe 'system call' names\n}\n", strings.Join(callNames(), " "), strings.Join(groupNames(), " "))
	b.WriteString("\n_sbx_commands() {\n\tlocal -a commands=(\n")
	for _, first := range firstWords(list) {
		fmt.Fprintf(&b, "\t\t%s\n", shellQuote(first+":"+firstHelp(list, first)))
	}
	for _, p := range prefixes() {
		fmt.Fprintf(&b, "\t\t%s\n", shellQuote(p.word+":"+p.help))
	}
	b.WriteString(zshFirst)
	b.WriteString("\t(( CURRENT == 2 )) || case $words[2] in\n")
	for _, first := range firstWords(list) {
		if secondWords(list, first) == nil {
			behind := ""
			if first == bwrapWord {
				behind = zshTarget
			}
			fmt.Fprintf(&b, "\t%s)\n%s\t\tat=%[1]s\n\t\tshift words\n\t\t(( CURRENT-- ))\n\t\t;;\n", first, behind)
			continue
		}
		fmt.Fprintf(&b, "\t%s)\n\t\tat=%[1]s\n\t\tif (( CURRENT > 3 )); then\n\t\t\tat+=-$words[3]\n"+
			"\t\t\tshift 2 words\n\t\t\t(( CURRENT -= 2 ))\n\t\tfi\n\t\t;;\n", first)
	}
	// The target is a command line of its own.
	b.WriteString("\t*)\n" + zshTarget)
	for _, p := range prefixes() {
		fmt.Fprintf(&b, "\t\tif [[ $words[2] == %s ]]; then\n\t\t\tat=launch-%[1]s\n\t\t\tshift words\n"+
			"\t\t\t(( CURRENT-- ))\n\t\tfi\n", p.word)
	}
	b.WriteString("\t\t;;\n\tesac\n\tcase $at in\n")
	b.WriteString("\tlaunch)\n\t\tlocal -a first=('*: :(--)')\n\t\t(( CURRENT == 2 )) && first=('1: :_sbx_first')\n")
	b.WriteString("\t\t_arguments -s : \\\n")
	for i := range launchFlags {
		zshFlag(&b, &launchFlags[i], launchFlags[i].repeats())
	}
	b.WriteString("\t\t\t'(-)--[the target follows]' $first\n\t\t;;\n")
	for _, p := range prefixes() {
		fmt.Fprintf(&b, "\tlaunch-%s)\n\t\t_arguments -s : \\\n", p.word)
		flags := p.flags()
		for i := range flags {
			zshFlag(&b, &flags[i], flags[i].field != nil && flags[i].repeats() || flags[i].name == "merge")
		}
		b.WriteString("\t\t\t'(-)--[the target follows]' '*: :(--)'\n\t\t;;\n")
	}
	for _, first := range firstWords(list) {
		if secondWords(list, first) == nil {
			continue
		}
		fmt.Fprintf(&b, "\t%s)\n\t\tlocal -a commands=(\n", first)
		for _, c := range list {
			if c.words[0] == first {
				fmt.Fprintf(&b, "\t\t\t%s\n", shellQuote(c.words[1]+":"+c.help))
			}
		}
		b.WriteString("\t\t)\n\t\t_describe command commands\n\t\t;;\n")
	}
	for _, c := range list {
		fmt.Fprintf(&b, "\t%s)\n\t\t_arguments -s : \\\n", strings.Join(c.words, "-"))
		for i := range c.flags {
			zshFlag(&b, &c.flags[i], true)
		}
		fmt.Fprintf(&b, "\t\t\t%s\n\t\t;;\n", shellQuote("*:"+zshText(c.arg.name)+":"+zshOffer(&c.arg)))
	}
	b.WriteString("\tesac\n}\n\n" +
		"# Read as a function of fpath it completes; read by source it registers itself.\n" +
		"if [[ $funcstack[1] == _sbx ]]; then\n\t_sbx \"$@\"\nelse\n\tcompdef _sbx sbx\nfi\n")
	return b.String()
}

// firstHelp is the help of a first word, or what its commands are.
func firstHelp(list []command, first string) string {
	if seconds := secondWords(list, first); seconds != nil {
		return strings.Join(seconds, ", ")
	}
	for _, c := range list {
		if c.words[0] == first {
			return c.help
		}
	}
	return ""
}

// zshFlag writes the flag as a line for _arguments.
func zshFlag(b *strings.Builder, f *flagEntry, repeats bool) {
	all := f.spellings()
	for _, s := range all {
		spec, value := s, ""
		if f.value != "" {
			value = ":" + zshText(f.value) + ":" + zshOffer(f)
			switch {
			case f.bare != "":
				spec, value = spec+"=-", ":"+value
			case s == f.long():
				spec += "="
			default:
				spec += "+"
			}
		}
		before := "(" + strings.Join(all, " ") + ")"
		if repeats {
			before = "*"
		}
		fmt.Fprintf(b, "\t\t\t%s \\\n", shellQuote(before+spec+"["+zshText(f.help)+"]"+value))
	}
}

// zshOffer is the action of _arguments that offers what the flag takes.
func zshOffer(f *flagEntry) string {
	switch f.offer {
	case offerPolicy:
		return "_sbx_policies"
	case offerPath:
		return "_files"
	case offerDir:
		return "_files -/"
	case offerVariable:
		return "_parameters -g \"*export*\""
	case offerCall:
		return "_sbx_call"
	case offerCalls:
		return "{_sbx_call groups}"
	case offerChoice:
		return "(" + strings.Join(f.choices, " ") + ")"
	}
	return ""
}

// zshText is s where brackets and colons mean something.
func zshText(s string) string {
	return strings.NewReplacer(`\`, `\\`, ":", `\:`, "[", `\[`, "]", `\]`).Replace(s)
}
