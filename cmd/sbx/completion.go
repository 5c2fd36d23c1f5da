package main

import (
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"sbx/policy/bwrap"
	"sbx/policy/seccomp"
)

// completionCmd is "sbx completion".
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: ${enum}."`
}

// Help says where shells look for it.
func (c *completionCmd) Help() string {
	return `Each shell reads the script of that name when it first completes sbx:

    sbx completion bash >~/.local/share/bash-completion/completions/sbx
    sbx completion zsh >"${fpath[1]}/_sbx"
    sbx completion fish >~/.config/fish/completions/sbx.fish`
}

// Run prints the script on standard output.
func (c *completionCmd) Run() error { return c.run(os.Stdout) }

func (c *completionCmd) run(w io.Writer) error {
	list, err := describeCommands()
	if err != nil {
		return err
	}
	describeBwrap(list)
	script := bashCompletion
	switch c.Shell {
	case "zsh":
		script = zshCompletion
	case "fish":
		script = fishCompletion
	}
	_, err = io.WriteString(w, script(list))
	return err
}

// command is one command as the completions and the manual page describe it.
type command struct {
	words []string // as "policy" and "show"
	usage string   // behind "sbx"
	help  string
	flags []flagEntry // their fields are nil
	arg   flagEntry   // what the arguments are; without a name if there are none
}

// describeCommands takes all commands from kong's model of them.
func describeCommands() ([]command, error) {
	parser, err := newParser()
	if err != nil {
		return nil, err
	}
	keys, err := referenceKeys()
	if err != nil {
		return nil, err
	}
	var list []command
	for _, leaf := range parser.Model.Leaves(true) {
		c := command{words: strings.Fields(leaf.FullPath())[1:], usage: leaf.Summary(), help: leaf.Help}
		for _, group := range leaf.AllFlags(true) {
			for _, f := range group {
				d := describeValue(f.Value, keys)
				d.short = byte(f.Short)
				if !f.IsBool() {
					d.value = f.FormatPlaceHolder()
				}
				c.flags = append(c.flags, d)
			}
		}
		if len(leaf.Positional) > 0 {
			c.arg = describeValue(leaf.Positional[0], keys)
		}
		list = append(list, c)
	}
	return list, nil
}

// describeBwrap adds bubblewrap's options, which kong does not read. Most values are
// paths, some options take several, and so each word that is no option is completed as one.
func describeBwrap(list []command) {
	for i := range list {
		if list[i].words[0] != bwrapWord {
			continue
		}
		for _, name := range bwrap.OptionNames() {
			list[i].flags = append(list[i].flags, flagEntry{name: strings.TrimPrefix(name, "--"), help: "As of bwrap(1)."})
		}
		list[i].arg.offer = offerPath
	}
}

// describeValue reads kong's description, and our own tag in it: complete. keys are
// those of a policy.
func describeValue(v *kong.Value, keys []string) flagEntry {
	f := flagEntry{name: v.Name, help: v.Help}
	switch {
	case v.Enum != "":
		f.offer, f.choices = offerChoice, v.EnumSlice()
	case v.Tag.Get("complete") == "policy":
		f.offer = offerPolicy
	case v.Tag.Get("complete") == "path":
		f.offer = offerPath
	case v.Tag.Get("complete") == "call":
		f.offer = offerCall
	case v.Tag.Get("complete") == "calls":
		f.offer = offerCalls
	case v.Tag.Get("complete") == "arch":
		f.offer = offerChoice
		for _, a := range seccomp.Arches() {
			f.choices = append(f.choices, a.String())
		}
	case v.Tag.Get("complete") == "key":
		f.offer, f.choices = offerChoice, keys
	}
	return f
}

// callNames are all system calls, and groupNames all groups.
func callNames() []string {
	var names []string
	for s := range seccomp.Syscalls() {
		names = append(names, s.Name())
	}
	slices.Sort(names)
	return names
}

func groupNames() []string {
	var names []string
	for _, g := range seccomp.Groups() {
		names = append(names, g.Name())
	}
	slices.Sort(names)
	return names
}

// explainWord begins a launch, and no command: it is the flag of that name.
const (
	explainWord = "explain"
	explainHelp = "Run a program and say what it was denied, and why."
)

// prefix is a word that begins a launch, with the flags that this takes then.
type prefix struct {
	word, help string
	own        []flagEntry // besides those of a launch
	not        []string    // flags of a launch that it does not take
}

// prefixes are all of them.
func prefixes() []prefix {
	learn := prefix{word: learnWord, help: learnHelp}
	for _, f := range learnFlags {
		learn.own = append(learn.own, flagEntry{name: f.name, short: f.short, value: f.value, help: f.help, offer: f.offer})
	}
	for _, f := range newLaunch().notLearnt() {
		learn.not = append(learn.not, f.name)
	}
	return []prefix{
		{word: explainWord, help: explainHelp, own: []flagEntry{{name: "last", help: "Print the last report."}}}, learn,
	}
}

// flags are all that it takes.
func (p *prefix) flags() []flagEntry {
	list := slices.DeleteFunc(slices.Clone(launchFlags[:]), func(f flagEntry) bool {
		return slices.Contains(p.not, f.name)
	})
	return append(list, p.own...)
}

// firstWords are the words that choose a command, each once.
func firstWords(list []command) []string {
	var out []string
	for _, c := range list {
		if len(out) == 0 || out[len(out)-1] != c.words[0] {
			out = append(out, c.words[0])
		}
	}
	return out
}

// secondWords are the words that follow the first one.
func secondWords(list []command, first string) []string {
	var out []string
	for _, c := range list {
		if c.words[0] == first && len(c.words) > 1 {
			out = append(out, c.words[1])
		}
	}
	return out
}

// spellings are all ways to write the flag.
func (f *flagEntry) spellings() []string {
	if f.short == 0 {
		return []string{f.long()}
	}
	return []string{f.long(), "-" + string(rune(f.short))}
}

// shellQuote is s as one word of any shell of the three.
func shellQuote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range s {
		if r == '\'' || r == '\\' {
			// Outside of quotes these three shells agree about a backslash.
			b.WriteString(`'\` + string(r) + `'`)
			continue
		}
		b.WriteRune(r)
	}
	b.WriteByte('\'')
	return b.String()
}
