package layout

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sbx/policies"
	"sbx/policy"
)

var (
	tomlBlock  = regexp.MustCompile("(?s)```toml\n(.*?)\n```")
	policyRow  = regexp.MustCompile("(?m)^\\| (`.*`) \\|.*\\|.*\\|.*\\|$")
	linkedFile = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
)

// documents are the texts for users and contributors, by path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, name := range append(files, "../../README.md", "../../CONTRIBUTING.md", "../../SECURITY.md") {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(data)
	}
	return texts
}

// TestDocumentedPolicies holds that what documents show of policies is in the
// language. A part of one is completed first.
func TestDocumentedPolicies(t *testing.T) {
	count := 0
	for name, text := range documents(t) {
		for _, m := range tomlBlock.FindAllStringSubmatch(text, -1) {
			count++
			shown := m[1]
			if !strings.Contains(shown, "version = ") {
				shown = "version = 1\n" + shown
			}
			if !strings.Contains(shown, "[expect]") {
				shown += "\n[expect]"
			}
			if _, err := policy.Parse(name, []byte(shown+"\n")); err != nil {
				t.Errorf("%v, in\n%s", err, m[1])
			}
		}
	}
	if count < 5 {
		t.Errorf("only %d policies found in the documents", count)
	}
}

// TestDocumentedRoles holds that README's table has each shipped policy, but
// for those that are only there to be extended.
func TestDocumentedRoles(t *testing.T) {
	var listed []string
	for _, m := range policyRow.FindAllStringSubmatch(documents(t)["../../README.md"], -1) {
		listed = append(listed, strings.Trim(m[1], "`"))
	}
	var want []string
	for _, name := range policies.Names() {
		if name != "base" && name != "kernel" {
			want = append(want, name)
		}
	}
	slices.Sort(listed)
	slices.Sort(want)
	if !slices.Equal(listed, want) {
		t.Errorf("README has %v, shipped are %v", listed, want)
	}
}

// TestDocumentedMarks holds that users are told what marks a repository.
func TestDocumentedMarks(t *testing.T) {
	text := documents(t)["../../docs/trust.md"]
	for mark := range policy.RepositoryMarks() {
		if !strings.Contains(text, "`"+mark+"`") {
			t.Errorf("docs/trust.md does not have %s", mark)
		}
	}
}

// TestDocumentLinks holds that each link to a file of the repository has one.
func TestDocumentLinks(t *testing.T) {
	for name, text := range documents(t) {
		for _, m := range linkedFile.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
