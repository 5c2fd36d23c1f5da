package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// rules writes rules that are the same but for the order of what they list, and
// takes some of what is inherited out.
func (a author) rules(w *strings.Builder, inherited []string) {
	for _, name := range a.some(inherited...) {
		fmt.Fprintf(w, "[[seccomp.rule]]\nsyscalls = [%q]\n", "!"+name)
	}
	for range a.IntN(5) {
		calls, when := []string{"socket", "bind", "listen"}, []string{"arg0 == 1", "arg0 == 2"}
		a.Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
		a.Shuffle(len(when), func(i, j int) { when[i], when[j] = when[j], when[i] })
		fmt.Fprintf(w, "[[seccomp.rule]]\nsyscalls = %s\n", quoteList(calls[:1+a.IntN(3)]))
		fmt.Fprintf(w, "when = %s\naction = %q\n", quoteList(when[:1+a.IntN(2)]), a.one("errno:EPERM", "errno:EACCES",
			"trap"))
	}
}

// TestResolveAgain: what sbx policy resolve prints resolves to the same text, and
// to the same digest, whatever the policy extends and takes out of that.
func TestResolveAgain(t *testing.T) {
	used := 0
	for seed := range uint64(150) {
		a := author{rand.New(rand.NewPCG(seed, 2))}
		texts := map[string]string{}
		for _, name := range []string{"grandparent", "parent"} {
			var w strings.Builder
			extends := []string{}
			if name == "parent" {
				extends = append(extends, "grandparent")
			}
			text, tail, _ := strings.Cut(a.policy(extends...), "[expect]\n")
			w.WriteString(text)
			a.rules(&w, nil)
			texts[name] = w.String() + "[expect]\n" + tail
		}
		find := func(name string, _ *Policy) (*Policy, error) { return Parse(name, []byte(texts[name])) }
		parent, err := Parse("parent", []byte(texts["parent"]))
		if err != nil {
			continue // two rules are the same by their texts
		}
		p, err := Resolve(parent, find)
		if err != nil {
			continue // read and private at once
		}
		fixpoint(t, p)
		var named []string
		for _, r := range p.Seccomp.Rules {
			named = append(named, r.Syscalls...)
		}
		var w strings.Builder
		w.WriteString(head + "extends = ['parent']\n")
		a.rules(&w, named)
		child, err := Parse("child", []byte(w.String()+tail))
		if err != nil {
			continue
		}
		if p, err = Resolve(child, find); err != nil {
			continue // the same call is taken out twice
		}
		used++
		fixpoint(t, p)
	}
	if used < 15 {
		t.Errorf("only %d policies were used", used)
	}
}

// TestSameRules: of rules that say the same the last one counts, as it did where
// they were written.
func TestSameRules(t *testing.T) {
	p := resolvedText(t, `
[[seccomp.rule]]
syscalls = ["socket", "bind"]
action = "errno:EACCES"
[[seccomp.rule]]
syscalls = ["socket"]
action = "errno:EPERM"
[[seccomp.rule]]
syscalls = ["bind", "socket"]
action = "errno:EACCES"`)
	var got []string
	for _, r := range p.Seccomp.Rules {
		got = append(got, fmt.Sprint(r.Syscalls, r.Action))
	}
	if want := "[[socket] errno:EPERM [bind socket] errno:EACCES]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}
