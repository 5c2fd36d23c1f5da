package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"sbx/internal/text"
	"sbx/policy/seccomp"
)

// The grammar of a launch:
//
//	sbx [flags] -- PROGRAM [ARGUMENT ...]
//
//	--name            a flag without a value
//	--name VALUE      a flag with one; VALUE does not begin with "-"; not where one may be left out
//	--name=VALUE      the same, and VALUE may be any but the empty word
//	-x, -x VALUE      by its letter
//	-xVALUE           VALUE begins with neither "=" nor, together with x, a flag's whole name
//	-xyz              several flags by their letters; only the last may take a value
//
// The first "--" ends it. What stands behind that is the target's, and nothing
// looks at it. Names are never abbreviated. Values are taken byte for byte. A
// flag that does not repeat is given once. Everything else is an error: a
// launcher that guesses what a word means may show more than was asked for.

// readLaunch reads the words behind "sbx". target is what stands behind "--";
// it is empty only together with --help or --version.
func readLaunch(args []string) (l *launch, target []string, err error) {
	own := args
	split := slices.Index(args, "--")
	if split >= 0 {
		own, target = args[:split], args[split+1:]
	}
	if l, err = parseFlags(own); err != nil {
		return nil, nil, err
	}
	if len(target) == 0 && !l.Help && !l.Version {
		return nil, nil, &usageError{"find the target: there is nothing behind --", "sbx [flags] -- PROGRAM [ARGUMENT ...]"}
	}
	return l, target, nil
}

// parseFlags reads the words before "--".
func parseFlags(words []string) (*launch, error) {
	l := newLaunch()
	var given uint64 // bit i: launchFlags[i]
	for at := 0; at < len(words); {
		word := words[at]
		at++
		if len(word) < 2 || word[0] != '-' {
			return nil, strayWord(word, at == 1)
		}
		if word[1] != '-' {
			used, err := l.letters(word, words[at:], &given)
			if err != nil {
				return nil, err
			}
			at += used
			continue
		}
		name, value, attached := strings.Cut(word[2:], "=")
		i := longFlag(name)
		if i < 0 {
			return nil, unknownFlag(name)
		}
		switch f := &launchFlags[i]; {
		case f.value == "" && attached:
			return nil, f.noValue()
		case f.bare != "" && !attached:
			value = f.bare
		case f.value != "" && !attached:
			var err error
			if value, err = f.nextWord(words[at:]); err != nil {
				return nil, err
			}
			at++
		}
		if err := l.set(i, value, &given); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// letters reads a word of short flags, and says how many of the words behind
// it were a value.
func (l *launch) letters(word string, behind []string, given *uint64) (used int, err error) {
	// "-net host" would be -n, and -e with the value "t".
	if name, _, _ := strings.Cut(word[1:], "="); len(name) > 1 && longFlag(name) >= 0 {
		return 0, misread(text.Quote(word)+": a flag's name follows two dashes", "-"+text.Quote(word))
	}
	for rest := word[1:]; rest != ""; {
		i := shortFlag(rest[0])
		if i < 0 {
			_, size := utf8.DecodeRuneInString(rest)
			what := "unknown flag " + text.Quote("-"+rest[:size])
			if len(word) > 1+size {
				what += " in " + text.Quote(word)
			}
			return 0, misread(what, "sbx --help lists the flags")
		}
		f, value := &launchFlags[i], ""
		rest = rest[1:]
		switch {
		case f.value == "" && rest != "" && rest[0] == '=':
			return 0, f.noValue()
		case f.value == "":
		case rest == "":
			if value, err = f.nextWord(behind); err != nil {
				return 0, err
			}
			used = 1
		case rest[0] == '=':
			return 0, misread(text.Quote(word)+": a value behind = needs the flag's name", f.usage())
		default:
			value, rest = rest, ""
		}
		if err := l.set(i, value, given); err != nil {
			return 0, err
		}
	}
	return used, nil
}

// nextWord is the value that stands in the word behind the flag.
func (f *flagEntry) nextWord(behind []string) (string, error) {
	if len(behind) == 0 {
		return "", misread(f.long()+": the value is missing", f.usage())
	}
	if value := behind[0]; value == "" || value[0] != '-' {
		return value, nil
	}
	odd := text.Quote(behind[0])
	return "", misread(f.long()+": the value is missing: "+odd+" begins with a dash, like a flag",
		"if it is the value: "+f.long()+"="+odd)
}

// set gives the flag's field the value.
func (l *launch) set(i int, value string, given *uint64) error {
	f := &launchFlags[i]
	if f.value != "" && value == "" {
		return misread(f.long()+": the value is empty", f.usage())
	}
	if f.choices != nil && !slices.Contains(f.choices, value) {
		return misread(f.long()+": "+text.Quote(value)+" is not one of "+strings.Join(f.choices, ", "), f.usage())
	}
	field := f.field(l)
	switch to := field.(type) {
	case *[]string:
		*to = append(*to, value)
		return nil
	case *[]int:
		for part := range strings.SplitSeq(value, ",") {
			n, err := f.number(part)
			if err != nil {
				return err
			}
			*to = append(*to, n)
		}
		return nil
	}
	if *given&(1<<i) != 0 {
		return misread(f.long()+" is given twice", "give it once")
	}
	*given |= 1 << i
	switch to := field.(type) {
	case *bool:
		*to = true
	case *string:
		if f.check != nil {
			if err := f.check(f, value); err != nil {
				return err
			}
		}
		*to = value
	case **int:
		n, err := f.number(value)
		if err != nil {
			return err
		}
		*to = &n
	}
	return nil
}

// number reads a number as it is printed: no sign, no other base, nothing
// before it.
func (f *flagEntry) number(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || len(s) > 1 && s[0] == '0' {
		return 0, misread(fmt.Sprintf("%s: %s is no number from 0 to %d", f.long(), text.Quote(s), 1<<31-1), f.usage())
	}
	return int(n), nil
}

func (f *flagEntry) noValue() error { return misread(f.long()+" takes no value", f.usage()) }

func misread(what, hint string) error { return &usageError{"read the command line: " + what, hint} }

// strayWord is a word that is neither flag nor value: most often the target,
// without "--" before it.
func strayWord(word string, first bool) error {
	hint := "the target follows --, as in: sbx [flags] -- " + text.Quote(word)
	if first {
		hint = "the target follows --, as in: sbx -- " + text.Quote(word)
	}
	if word == "" || word == "-" {
		hint = "sbx [flags] -- PROGRAM [ARGUMENT ...]"
	}
	return misread("unexpected argument "+text.Quote(word), hint)
}

// unknownFlag names the flag that was likely meant: one that begins like that,
// if it is the only one, or else the nearest.
func unknownFlag(name string) error {
	near, found := "", 0
	for i := range launchFlags {
		if f := &launchFlags[i]; len(name) > 1 && strings.HasPrefix(f.name, name) {
			near = f.name
			found++
		}
	}
	if found != 1 {
		near = seccomp.Nearest(name, func(yield func(string) bool) {
			for i := range launchFlags {
				if !yield(launchFlags[i].name) {
					return
				}
			}
		})
	}
	hint := "sbx --help lists the flags"
	if near != "" {
		hint = "did you mean --" + near + "?"
	}
	return misread("unknown flag "+text.Quote("--"+name), hint)
}
