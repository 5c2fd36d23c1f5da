package main

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// words writes the launch in words again, each flag by its name.
func (l *launch) words() []string {
	var out []string
	for i := range launchFlags {
		f := &launchFlags[i]
		switch from := f.field(l).(type) {
		case *bool:
			if *from {
				out = append(out, f.long())
			}
		case *string:
			if *from != *f.field(newLaunch()).(*string) {
				out = append(out, f.long()+"="+*from)
			}
		case **int:
			if *from != nil {
				out = append(out, f.long(), strconv.Itoa(**from))
			}
		case *[]string:
			for _, s := range *from {
				out = append(out, f.long()+"="+s)
			}
		case *[]int:
			for _, n := range *from {
				out = append(out, f.long(), strconv.Itoa(n))
			}
		}
	}
	return out
}

// values are all words that the launch took as they are.
func (l *launch) values() []string {
	var out []string
	for i := range launchFlags {
		switch from := launchFlags[i].field(l).(type) {
		case *string:
			if *from != *launchFlags[i].field(newLaunch()).(*string) {
				out = append(out, *from)
			}
		case *[]string:
			out = append(out, *from...)
		}
	}
	return out
}

// FuzzFlags reads any words, which a NUL separates as no argument holds one,
// and holds what the grammar promises of those that it takes.
func FuzzFlags(f *testing.F) {
	for _, line := range []string{"", "--policy web --read /a -w b --env A=b", "-nr x -C/ -p-y",
		"--net=host --keep-fd 3,4 --report 5", "-net host", "--read --write", "--read=--write -e=x", "--pol x",
		"-h --version", "--json=1 --json --json", "true --help", "- --- --=", "-\xff --read \xff --hide"} {
		f.Add(strings.ReplaceAll(line, " ", "\x00"), "true\x00--\x00--policy\x00")
	}
	f.Fuzz(func(t *testing.T, own, behind string) {
		before, target := strings.Split(own, "\x00"), strings.Split(behind, "\x00")
		if own == "" {
			before = nil
		}
		if split := slices.Index(before, "--"); split >= 0 {
			before = before[:split]
		}
		args := append(append(slices.Clone(before), "--"), target...)
		given := slices.Clone(args)
		l, got, err := readLaunch(args)
		if !slices.Equal(args, given) {
			t.Fatalf("the words have changed: %q", args)
		}
		// The result depends on the words before "--" alone.
		again, _, err2 := readLaunch(append(slices.Clone(before), "--", "x"))
		if !reflect.DeepEqual(l, again) || !reflect.DeepEqual(err, err2) {
			t.Fatalf("other targets, other flags: %+v %v, %+v %v", l, err, again, err2)
		}
		if err != nil {
			if wrong := (*usageError)(nil); !errors.As(err, &wrong) || wrong.hint == "" {
				t.Fatalf("an error without a hint: %v", err)
			}
			return
		}
		if !slices.Equal(got, target) {
			t.Fatalf("the target is %q, not %q", got, target)
		}
		checkGrammar(t, before, l)
		// Written again and read again it is the same.
		printed := l.words()
		if same, err := parseFlags(printed); err != nil || !reflect.DeepEqual(l, same) {
			t.Fatalf("%q: %+v; printed %q: %+v, %v", before, l, printed, same, err)
		}
	})
}

// checkGrammar holds what needs no parser to be seen in words that were taken.
func checkGrammar(t *testing.T, before []string, l *launch) {
	t.Helper()
	for i, word := range before {
		if long, ok := strings.CutPrefix(word, "--"); ok {
			if name, _, _ := strings.Cut(long, "="); longFlag(name) < 0 {
				t.Fatalf("%q: %s is no flag's whole name", before, name)
			}
		}
		if !strings.HasPrefix(word, "-") && (i == 0 || !strings.HasPrefix(before[i-1], "-")) {
			t.Fatalf("%q: %q stands behind no flag", before, word)
		}
	}
	for _, value := range l.values() {
		whole := slices.Contains(before, value) && !strings.HasPrefix(value, "-")
		attached := slices.ContainsFunc(before, func(word string) bool {
			return strings.HasPrefix(word, "-") && len(word) > len(value)+1 && strings.HasSuffix(word, value)
		})
		if !whole && !attached {
			t.Fatalf("%q: the value %q is none of the words", before, value)
		}
	}
	for i := range launchFlags {
		if f := &launchFlags[i]; !f.repeats() {
			n := 0
			for _, word := range before {
				if word == f.long() || strings.HasPrefix(word, f.long()+"=") {
					n++
				}
			}
			if n > 1 {
				t.Fatalf("%q: %s is there %d times", before, f.long(), n)
			}
		}
	}
}
