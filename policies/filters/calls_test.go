package filters_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sbx/policies"
)

// TestCallsDocumented compares docs/calls.md with the filters of all roles: which calls
// are refused whatever their arguments are, in which roles, and with which answer.
func TestCallsDocumented(t *testing.T) {
	var roles []string
	for _, name := range policies.Names() {
		if name != "kernel" && name != "base" { // parts of others
			roles = append(roles, name)
		}
	}
	refused := map[string]map[string]bool{} // "call answer" -> roles
	for _, name := range roles {
		for _, a := range arches {
			answers, err := shipped(t, name).Answers(a)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range answers.Calls {
				if action := c.Clauses[0].Action; len(c.Clauses) == 1 && !action.Passes() {
					key := c.Syscall.Name() + " " + strings.TrimPrefix(action.String(), "errno:")
					if refused[key] == nil {
						refused[key] = map[string]bool{}
					}
					refused[key][name] = true
				}
			}
		}
	}
	documented := documentedCalls(t, roles)
	for _, key := range slices.Sorted(maps.Keys(refused)) {
		if got, want := documented[key], slices.Sorted(maps.Keys(refused[key])); !slices.Equal(got, want) {
			t.Errorf("%s: docs/calls.md has it for %v, it is refused in %v", key, got, want)
		}
	}
	for key := range documented {
		if refused[key] == nil {
			t.Errorf("%s: docs/calls.md has it, and no role refuses it so", key)
		}
	}
}

// documentedCalls are the roles of each "call answer" in docs/calls.md.
func documentedCalls(t *testing.T, roles []string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/calls.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	var in []string
	name := regexp.MustCompile("`([a-z0-9_]+)`")
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		cells := strings.Split(line, "|")
		switch {
		case line == "## In every role":
			in = roles
		case strings.HasPrefix(line, "## In every role but "):
			out := strings.ReplaceAll(strings.TrimPrefix(line, "## In every role but "), " and ", ", ")
			in = slices.DeleteFunc(slices.Clone(roles), func(r string) bool { return slices.Contains(strings.Split(out, ", "), r) })
		case strings.HasPrefix(line, "## Only in "):
			in = []string{strings.TrimPrefix(line, "## Only in ")}
		case strings.HasPrefix(line, "## In "):
			in = strings.Split(strings.TrimPrefix(line, "## In "), " and ")
		case strings.HasPrefix(line, "## "):
			in = nil
		case len(cells) > 3:
			for _, m := range name.FindAllStringSubmatch(cells[1], -1) {
				found[m[1]+" "+strings.TrimSpace(cells[2])] = in
			}
		}
	}
	return found
}
