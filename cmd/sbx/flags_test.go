package main

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"sbx/sandbox"
)

// TestFlagTable holds what the parser, the help and the completions rely on.
func TestFlagTable(t *testing.T) {
	var l launch
	fields := reflect.ValueOf(&l).Elem()
	seen := map[any]string{}
	once := func(what any, name string) {
		if other, ok := seen[what]; ok {
			t.Errorf("--%s: %v is --%s's too", name, what, other)
		}
		seen[what] = name
	}
	for i := range launchFlags {
		f := &launchFlags[i]
		once("name "+f.name, f.name)
		once(f.field(&l), f.name)
		if f.short != 0 {
			once("letter "+string(rune(f.short)), f.name)
		}
		if strings.Trim(f.name, "abcdefghijklmnopqrstuvwxyz-") != "" || strings.HasPrefix(f.name, "-") || len(f.name) < 2 {
			t.Errorf("--%s: not a flag's name", f.name)
		}
		if !strings.HasSuffix(f.help, ".") {
			t.Errorf("--%s: the help is no sentence: %q", f.name, f.help)
		}
		if (f.choices != nil) != (f.offer == offerChoice) {
			t.Errorf("--%s: choices and offer disagree", f.name)
		}
		switch f.field(&l).(type) {
		case *bool:
			if f.value != "" || f.offer != offerNothing {
				t.Errorf("--%s has a value and no place for it", f.name)
			}
		case *string, **int, *[]string, *[]int:
			if f.value == "" {
				t.Errorf("--%s has a place for a value and no name for it", f.name)
			}
		default:
			t.Errorf("--%s: the parser does not know the type %T", f.name, f.field(&l))
		}
	}
	for i := range fields.NumField() {
		if !fields.Type().Field(i).IsExported() {
			continue // what run makes of the flags
		}
		if _, ok := seen[fields.Field(i).Addr().Interface()]; !ok {
			t.Errorf("no flag sets %s", fields.Type().Field(i).Name)
		}
	}
}

// words are the arguments that a test writes in one line.
func words(s string) []string { return strings.Split(s, " ") }

// TestReadLaunch holds all forms of a flag.
func TestReadLaunch(t *testing.T) {
	for line, want := range map[string]launch{
		"--":                                    {},
		"--review --":                           {Review: "ask"},
		"--review=keep --":                      {Review: "keep"},
		"--policy web --":                       {Policy: "web"},
		"--policy=web --":                       {Policy: "web"},
		"-p web --":                             {Policy: "web"},
		"-pweb --":                              {Policy: "web"},
		"--policy=-web --":                      {Policy: "-web"},
		"-p-web --":                             {Policy: "-web"},
		"--policy=a=b --":                       {Policy: "a=b"},
		"--policy =a --":                        {Policy: "=a"},
		"--policy==a --":                        {Policy: "=a"},
		"--read a --write b -r c,d -wd --":      {Read: []string{"a", "c,d"}, Write: []string{"b", "d"}},
		"--hide *.x --hide y --":                {Hide: []string{"*.x", "y"}},
		"--env A=b=c -e B -eC= --":              {Env: []string{"A=b=c", "B", "C="}},
		"--net none --dir . --":                 {Net: "none", Dir: "."},
		"-C/ --net=host --":                     {Net: "host", Dir: "/"},
		"--keep-fd 3 --keep-fd=4,2147483647 --": {KeepFD: []int{3, 4, 1<<31 - 1}},
		"--report 3 --":                         {Report: "3"},
		"--report=3 --dry-run --json --":        {Report: "3", DryRun: true, JSON: true},
		"-n --":                                 {DryRun: true},
		"-nr a --":                              {DryRun: true, Read: []string{"a"}},
		"-nra --":                               {DryRun: true, Read: []string{"a"}},
		"-rn --":                                {Read: []string{"n"}},
		"--read a\xff\xc3( -w\x80 --":           {Read: []string{"a\xff\xc3("}, Write: []string{"\x80"}},
		"-r a\x1bb\n --":                        {Read: []string{"a\x1bb\n"}},
		"-hn --":                                {Help: true, DryRun: true},
		"--version --":                          {Version: true},
	} {
		if want.Policy == "" {
			want.Policy = "default"
		}
		target := []string{"-n", "--", "--policy", "--pol", "\xff", ""}
		got, behind, err := readLaunch(append(words(line), target...))
		if err != nil || !reflect.DeepEqual(*got, want) || !reflect.DeepEqual(behind, target) {
			t.Errorf("%q: %+v, target %q, %v; want %+v", line, got, behind, err, want)
		}
	}
	for _, line := range []string{"--help", "-h", "--version", "--version --"} {
		if l, target, err := readLaunch(words(line)); err != nil || !l.Help && !l.Version || len(target) != 0 {
			t.Errorf("%q: %+v, target %q, %v", line, l, target, err)
		}
	}
}

// TestLaunchRefused holds the error and the hint for what is no launch.
func TestLaunchRefused(t *testing.T) {
	const lists = "sbx --help lists the flags"
	const most = " is no number from 0 to 2147483647"
	const dash = " begins with a dash, like a flag"
	const usage = "sbx [flags] -- PROGRAM [ARGUMENT ...]"
	for _, c := range []struct{ line, what, hint string }{
		{"--read", "--read: the value is missing", "--read PATH"},
		{"-r", "--read: the value is missing", "--read PATH"},
		{"-nr -- a", "--read: the value is missing", "--read PATH"},
		{"--policy -- a", "--policy: the value is missing", "--policy NAME"},
		{"--read -odd -- a", "--read: the value is missing: -odd" + dash, "if it is the value: --read=-odd"},
		{"-r -odd -- a", "--read: the value is missing: -odd" + dash, "if it is the value: --read=-odd"},
		{"--read --write b -- a", "--read: the value is missing: --write" + dash, "if it is the value: --read=--write"},
		{"--read - -- a", "--read: the value is missing: -" + dash, "if it is the value: --read=-"},
		{"--read= -- a", "--read: the value is empty", "--read PATH"},
		{"--read  -- a", "--read: the value is empty", "--read PATH"},
		{"-C  -- a", "--dir: the value is empty", "--dir PATH"},
		{"-p=web -- a", "-p=web: a value behind = needs the flag's name", "--policy NAME"},
		{"-n=true -- a", "--dry-run takes no value", "--dry-run"},
		{"--dry-run=false -- a", "--dry-run takes no value", "--dry-run"},
		{"--json= -- a", "--json takes no value", "--json"},
		{"--policy a -p b -- a", "--policy is given twice", "give it once"},
		{"-nn -- a", "--dry-run is given twice", "give it once"},
		{"--report 3 --report 3 -- a", "--report is given twice", "give it once"},
		{"--net sideways -- a", "--net: sideways is not one of host, none", "--net host|none"},
		{"--net= -- a", "--net: the value is empty", "--net host|none"},
		{"--keep-fd x -- a", "--keep-fd: x" + most, "--keep-fd N"},
		{"--keep-fd=-1 -- a", "--keep-fd: -1" + most, "--keep-fd N"},
		{"--keep-fd 3, -- a", `--keep-fd: ""` + most, "--keep-fd N"},
		{"--keep-fd 2147483648 -- a", "--keep-fd: 2147483648" + most, "--keep-fd N"},
		{"--report 010 -- a", "--report: 010" + most, "--report N|json:FILE"},
		{"--report +1 -- a", "--report: +1" + most, "--report N|json:FILE"},
		{"--report 0x1 -- a", "--report: 0x1" + most, "--report N|json:FILE"},
		{"--report 3,4 -- a", "--report: 3,4" + most, "--report N|json:FILE"},
		{"--polcy web -- a", "unknown flag --polcy", "did you mean --policy?"},
		{"--Read x -- a", "unknown flag --Read", "did you mean --read?"},
		{"--pol=web -- a", "unknown flag --pol", "did you mean --policy?"},
		{"--dry -- a", "unknown flag --dry", "did you mean --dry-run?"},
		{"--re x -- a", "unknown flag --re", lists},
		{"--no-such-flag -- a", "unknown flag --no-such-flag", lists},
		{"--p x -- a", "unknown flag --p", lists},
		{"--- -- a", "unknown flag ---", lists},
		{"--=x -- a", "unknown flag --", lists},
		{"-x -- a", "unknown flag -x", lists},
		{"-nx -- a", "unknown flag -x in -nx", lists},
		{"-n-r -- a", "unknown flag -- in -n-r", lists},
		{"-né -- a", "unknown flag -é in -né", lists},
		{"-\xff -- a", `unknown flag "-\xff"`, lists},
		{"-policy web -- a", "-policy: a flag's name follows two dashes", "--policy"},
		{"-net=host -- a", "-net=host: a flag's name follows two dashes", "--net=host"},
		{"nginx -g x", "unexpected argument nginx", "the target follows --, as in: sbx -- nginx"},
		{"--policy web nginx", "unexpected argument nginx", "the target follows --, as in: sbx [flags] -- nginx"},
		{"-n true -- a", "unexpected argument true", "the target follows --, as in: sbx [flags] -- true"},
		{"- -- a", "unexpected argument -", usage},
		{" -- a", `unexpected argument ""`, usage},
	} {
		l, target, err := readLaunch(words(c.line))
		var wrong *usageError
		if !errors.As(err, &wrong) || *wrong != (usageError{"read the command line: " + c.what, c.hint}) ||
			l != nil || target != nil {
			t.Errorf("%q: %+v %q\n got %v (%s)\nwant %s (%s)", c.line, l, target, err, sandbox.Hint(err), c.what, c.hint)
		}
	}
	for _, args := range [][]string{nil, {"--"}, {"--policy", "web"}, {"-n", "--"}} {
		_, _, err := readLaunch(args)
		if err == nil || err.Error() != "find the target: there is nothing behind --" || sandbox.Hint(err) != usage {
			t.Errorf("%q: %v (%s)", args, err, sandbox.Hint(err))
		}
	}
}

// TestHelp holds that the help has every flag and fits on a terminal.
func TestHelp(t *testing.T) {
	var b strings.Builder
	if err := printHelp(&b); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if line = strings.TrimSuffix(line, "\n"); len(line) > helpWidth || strings.HasSuffix(line, " ") {
			t.Errorf("too wide, or blanks at the end: %q", line)
		}
	}
	flat := strings.Join(strings.Fields(b.String()), " ")
	for i := range launchFlags {
		f := &launchFlags[i]
		want := f.usage() + " " + f.sentence()
		if f.short != 0 {
			want = "-" + string(rune(f.short)) + ", " + want
		}
		if !strings.Contains(flat, want) {
			t.Errorf("the help lacks %q:\n%s", want, &b)
		}
	}
}

// BenchmarkFlags is what reading the flags costs a launch.
func BenchmarkFlags(b *testing.B) {
	for name, line := range map[string]string{"0 flags": "--", "1 flag": "--policy web --",
		"6 flags": "--policy web --read /a --write b --env A=b --dir /x --net none --"} {
		args := append(words(line), "true")
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := readLaunch(args); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
