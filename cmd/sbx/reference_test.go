package main

import (
	"strings"
	"testing"
)

// TestReference holds docs/policy.md to what sbx prints.
func TestReference(t *testing.T) {
	var b strings.Builder
	if err := (&policyHelpCmd{Markdown: true}).run(&b); err != nil {
		t.Fatal(err)
	}
	sameFile(t, "../../docs/policy.md", b.String())
}

// TestPolicyHelp holds what is printed of a key, of a table and of neither.
func TestPolicyHelp(t *testing.T) {
	for _, c := range []struct {
		keys []string
		want []string
	}{
		{nil, []string{"[files] The program's", "files.read ", "seccomp.rule.when", "version "}},
		{[]string{"limits"}, []string{"[limits] How much", "limits.memory "}},
		{[]string{"limits.memory", "files.path.size"}, []string{
			"Type: string\n", "Default: no limit\n", "    memory = \"?512M\"\n",
			"sbx: error: my.toml:3:1: limits.memory is a string, not integer 512\n", "\nfiles.path.size\n",
		}},
	} {
		var b strings.Builder
		if err := (&policyHelpCmd{Keys: c.keys}).run(&b); err != nil {
			t.Errorf("%q: %v", c.keys, err)
		}
		for _, s := range c.want {
			if !strings.Contains(b.String(), s) {
				t.Errorf("%q: no %q in\n%s", c.keys, s, &b)
			}
		}
		for line := range strings.Lines(b.String()) {
			if len(line) > helpWidth+1 && !strings.Contains(line, "sbx: ") {
				t.Errorf("%q: a line of %d characters: %s", c.keys, len(line), line)
			}
		}
	}
	for name, hint := range map[string]string{
		"memory": "did you mean limits.memory?", "files.raed": `did you mean "files.read"?`,
		"something": "sbx policy help lists the keys",
	} {
		err := (&policyHelpCmd{Keys: []string{name}}).run(&strings.Builder{})
		if h, ok := err.(interface{ Hint() string }); !ok || h.Hint() != hint {
			t.Errorf("%s: %v, hint %v", name, err, h)
		}
	}
}
