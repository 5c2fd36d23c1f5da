package main

import (
	"fmt"
	"strings"
)

// bashHead is what the script for bash does whatever the flags are. It runs
// sbx as PATH finds it and not as the line says: a line that is not sent yet
// must not run a program of the current directory.
const bashHead = `# Completion for bash of sbx, made by: sbx completion bash

_sbx_policies() {
	local name rest
	while read -r name rest; do
		[[ $name == "$cur"* ]] && COMPREPLY+=("$name")
	done < <(command sbx policy list 2>/dev/null)
}

# _sbx_offer KIND [WORD ...]
_sbx_offer() {
	local kind=$1 word
	shift
	case $kind in
	policy)
		_sbx_policies
		[[ ${#COMPREPLY[@]} -gt 0 ]] || compopt -o default
		;;
	path) compopt -o default ;;
	dir) compopt -o dirnames ;;
	variable)
		while read -r word; do COMPREPLY+=("$word"); done < <(compgen -e -- "$cur")
		;;
	call) for word in $_sbx_calls; do [[ $word == "$cur"* ]] && COMPREPLY+=("$word"); done ;;
	calls) for word in $_sbx_calls $_sbx_groups; do [[ $word == "$cur"* ]] && COMPREPLY+=("$word"); done ;;
	words)
		for word; do
			[[ $word == "$cur"* ]] && COMPREPLY+=("$word")
		done
		;;
	esac
}

# _sbx_target INDEX: the target is a command line of its own.
_sbx_target() {
	local offset
	for offset in _comp_command_offset _command_offset; do
		if declare -F "$offset" >/dev/null; then
			"$offset" "$1"
			return
		fi
	done
	compopt -o default
	if ((COMP_CWORD == $1)) && [[ $cur != */* ]]; then
		while read -r offset; do COMPREPLY+=("$offset"); done < <(compgen -c -- "$cur")
	fi
}

# _sbx_behind completes what is behind --, if that has been passed.
_sbx_behind() {
	local i
	for ((i = 1; i < COMP_CWORD; i++)); do
		if [[ ${COMP_WORDS[i]} == -- ]]; then
			_sbx_target $((i + 1))
			return
		fi
	done
	return 1
}

_sbx() {
	local cur=${COMP_WORDS[COMP_CWORD]} last=$((COMP_CWORD - 1)) at=launch attached=
	COMPREPLY=()
	# A word that begins with a quote has it still; readline adds it to what is offered.
	cur=${cur#[\'\"]}
	# bash takes --name=VALUE for three words.
	if [[ $cur == = ]]; then
		cur=
		attached==
	elif [[ ${COMP_WORDS[last]} == = ]]; then
		((last--))
		attached==
	fi
`

// bashTarget ends the case of the first word: it was no command.
const bashTarget = `	*)
		! _sbx_behind || return 0
		[[ ${COMP_WORDS[1]} == -* ]] || at=launch-${COMP_WORDS[1]}
		;;
	esac
`

// bashCompletion is the script for bash.
func bashCompletion(list []command) string {
	var b strings.Builder
	b.WriteString(bashHead)
	b.WriteString("\tlocal _sbx_calls='" + strings.Join(callNames(), " ") + "'\n")
	b.WriteString("\tlocal _sbx_groups='" + strings.Join(groupNames(), " ") + "'\n")
	b.WriteString("\t((COMP_CWORD == 1)) || case ${COMP_WORDS[1]} in\n")
	for _, first := range firstWords(list) {
		if first == bwrapWord {
			fmt.Fprintf(&b, "\t%s)\n\t\t! _sbx_behind || return 0\n\t\tat=%[1]s\n\t\t;;\n", first)
			continue
		}
		if secondWords(list, first) == nil {
			fmt.Fprintf(&b, "\t%s) at=%[1]s ;;\n", first)
			continue
		}
		fmt.Fprintf(&b, "\t%s)\n\t\tat=%[1]s\n\t\t((COMP_CWORD == 2)) || at+=-${COMP_WORDS[2]}\n\t\t;;\n", first)
	}
	b.WriteString(bashTarget)
	// A value: a word that begins with a dash is never one, so the word before
	// decides.
	b.WriteString("\tcase $at:${COMP_WORDS[last]} in\n")
	bashValues(&b, "launch", launchFlags[:])
	for _, p := range prefixes() {
		bashValues(&b, "launch-"+p.word, p.flags())
	}
	for _, c := range list {
		bashValues(&b, strings.Join(c.words, "-"), c.flags)
	}
	b.WriteString("\tesac\n\tcase $at in\n")
	first := "$( ((COMP_CWORD > 1)) || echo " + strings.Join(append(firstWords(list), explainWord, learnWord), " ") + ")"
	bashWords(&b, "launch", launchFlags[:], "_sbx_offer words -- "+first)
	for _, p := range prefixes() {
		bashWords(&b, "launch-"+p.word, p.flags(), "_sbx_offer words --")
	}
	for _, first := range firstWords(list) {
		if seconds := secondWords(list, first); seconds != nil {
			fmt.Fprintf(&b, "\t%s) _sbx_offer words %s ;;\n", first, strings.Join(seconds, " "))
		}
	}
	for _, c := range list {
		bashWords(&b, strings.Join(c.words, "-"), c.flags, bashOffer(&c.arg))
	}
	b.WriteString("\tesac\n}\n\ncomplete -F _sbx sbx\n")
	return b.String()
}

// bashOffer is the call that offers what the flag or argument takes.
func bashOffer(f *flagEntry) string {
	switch f.offer {
	case offerPolicy:
		return "_sbx_offer policy"
	case offerPath:
		return "_sbx_offer path"
	case offerDir:
		return "_sbx_offer dir"
	case offerVariable:
		return "_sbx_offer variable"
	case offerCall:
		return "_sbx_offer call"
	case offerCalls:
		return "_sbx_offer calls"
	case offerChoice:
		return "_sbx_offer words " + strings.Join(f.choices, " ")
	}
	return ":"
}

// bashValues writes a case for each flag that takes a value.
func bashValues(b *strings.Builder, at string, flags []flagEntry) {
	switches := ""
	for i := range flags {
		if flags[i].value == "" && flags[i].short != 0 {
			switches += string(rune(flags[i].short))
		}
	}
	for i := range flags {
		f := &flags[i]
		if f.value == "" {
			continue
		}
		var patterns []string
		for _, s := range f.spellings() {
			patterns = append(patterns, at+":"+s)
		}
		if f.short != 0 && switches != "" { // as in -np
			patterns = append(patterns, at+":-["+switches+"]"+string(rune(f.short)))
		}
		if f.bare != "" { // its value is what is attached
			fmt.Fprintf(b, "\t%s) if [[ $attached ]]; then %s; return; fi ;;\n", strings.Join(patterns, " | "), bashOffer(f))
			continue
		}
		fmt.Fprintf(b, "\t%s) %s; return ;;\n", strings.Join(patterns, " | "), bashOffer(f))
	}
}

// bashWords writes a case for a word that is no flag's value.
func bashWords(b *strings.Builder, at string, flags []flagEntry, other string) {
	var all []string
	for i := range flags {
		all = append(all, flags[i].spellings()...)
	}
	fmt.Fprintf(b, `	%s)
		if [[ $cur == -* ]]; then
			_sbx_offer words -- %s
		else
			%s
		fi
		;;
`, at, strings.Join(all, " "), other)
}
