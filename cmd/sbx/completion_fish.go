package main

import (
	"fmt"
	"slices"
	"strings"
)

// fishHead is what the script for fish does whatever the flags are; see
// bashHead for why it does not run the sbx of the line.
const fishHead = `# Completion for fish of sbx, made by: sbx completion fish

function __sbx_policies
	command sbx policy list 2>/dev/null | string replace -r '^(\S+)\s+(.*?)(\s\s.*)?$' '$1\t$2'
	__fish_complete_path (commandline -ct)
end

# The command: the words that choose it, or "launch", or "target" behind --.
function __sbx_at
	set -l words (commandline -opc)
	set -e words[1]
	switch "$words[1]"
`

const fishTail = `	end
	if contains -- -- $words
		echo target
	else
		echo launch $words[1]
	end
end

function __sbx_is
	test (__sbx_at) = "$argv"
end

function __sbx_launch
	string match -q 'launch*' (__sbx_at)
end

# The target is a command line of its own.
function __sbx_target
	set -l words (commandline -opc)
	set -e words[1..(contains -i -- -- $words)]
	complete -C (string join ' ' -- (string escape -- $words) (commandline -ct))
end

complete -c sbx -f
complete -c sbx -n '__sbx_is target' -a '(__sbx_target)'
`

// fishCompletion is the script for fish.
func fishCompletion(list []command) string {
	var b strings.Builder
	b.WriteString(fishHead)
	for _, first := range firstWords(list) {
		if first == bwrapWord { // the target is what is behind --, as of a launch
			fmt.Fprintf(&b, "\t\tcase %s\n\t\t\tcontains -- -- $words; and echo target; or echo %[1]s\n\t\t\treturn\n", first)
			continue
		}
		words := "1"
		if secondWords(list, first) != nil {
			words = "1..2"
		}
		fmt.Fprintf(&b, "\t\tcase %s\n\t\t\techo $words[%s]\n\t\t\treturn\n", first, words)
	}
	b.WriteString(fishTail)
	fmt.Fprintf(&b, "function __sbx_call\n\tprintf '%%s\\n' %s\nend\n\nfunction __sbx_calls\n\t__sbx_call\n"+
		"\tprintf '%%s\\n' %s\nend\n\n", strings.Join(callNames(), " "), strings.Join(groupNames(), " "))
	for i := range launchFlags {
		when := "__sbx_launch"
		for _, p := range prefixes() {
			if slices.Contains(p.not, launchFlags[i].name) {
				when += "; and not __sbx_is launch " + p.word
			}
		}
		fishFlag(&b, shellQuote(when), &launchFlags[i])
	}
	b.WriteString("complete -c sbx -n __sbx_launch -a -- -d 'the target follows'\n")
	for _, first := range firstWords(list) {
		fmt.Fprintf(&b, "complete -c sbx -n '__sbx_is launch' -a %s -d %s\n", first, shellQuote(firstHelp(list, first)))
	}
	for _, p := range prefixes() {
		fmt.Fprintf(&b, "complete -c sbx -n '__sbx_is launch' -a %s -d %s\n", p.word, shellQuote(p.help))
		for i := range p.own {
			fishFlag(&b, shellQuote("__sbx_is launch "+p.word), &p.own[i])
		}
	}
	for _, c := range list {
		if len(c.words) > 1 {
			fmt.Fprintf(&b, "complete -c sbx -n '__sbx_is %s' -a %s -d %s\n", c.words[0], c.words[1], shellQuote(c.help))
		}
		when := shellQuote("__sbx_is " + strings.Join(c.words, " "))
		for i := range c.flags {
			fishFlag(&b, when, &c.flags[i])
		}
		if c.arg.name != "" {
			fmt.Fprintf(&b, "complete -c sbx -n %s%s\n", when, fishOffer(&c.arg))
		}
	}
	return b.String()
}

// fishFlag writes the flag.
func fishFlag(b *strings.Builder, when string, f *flagEntry) {
	fmt.Fprintf(b, "complete -c sbx -n %s -l %s", when, f.name)
	if f.short != 0 {
		fmt.Fprintf(b, " -s %c", f.short)
	}
	switch {
	case f.bare != "": // fish offers the values behind a =
		b.WriteString(fishOffer(f))
	case f.value != "":
		b.WriteString(" -r" + fishOffer(f))
	}
	fmt.Fprintf(b, " -d %s\n", shellQuote(f.help))
}

// fishOffer are the options of complete that offer what the flag takes.
func fishOffer(f *flagEntry) string {
	switch f.offer {
	case offerPolicy:
		return " -f -a '(__sbx_policies)'"
	case offerPath:
		return " -F"
	case offerDir:
		return " -f -a '(__fish_complete_directories)'"
	case offerVariable:
		return " -f -a '(set -xn)'"
	case offerCall:
		return " -f -a '(__sbx_call)'"
	case offerCalls:
		return " -f -a '(__sbx_calls)'"
	case offerChoice:
		return " -f -a " + shellQuote(strings.Join(f.choices, " "))
	}
	return " -f"
}
