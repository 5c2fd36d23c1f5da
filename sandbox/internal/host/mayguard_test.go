package host

import (
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// TestMayGuard: no name that a pattern means is left out for its ends.
func TestMayGuard(t *testing.T) {
	names := []string{"a", ".git", ".gi", "git", "Jenkinsfile", "Jenkinsfile.old", "x.code-workspace", "mise.local.toml",
		"axb", "anythingXatall", "b", ".", "mise.toml", "xz", "xy", "ab", "~", "a~", "J", "K"}
	for _, text := range []string{".git", "Jenkinsfile*", "*.code-workspace", "mise*.toml", "a?b", "[x-z]", "*X*", "*",
		"b", ".*", "*~", "x[yz]", "a", "?", `\a`, "*?"} {
		for _, at := range []string{"**/", ""} {
			g := newGuarding(&policy.Files{Guard: []string{at + text}}, "/p")
			for _, name := range names {
				if top := at == ""; g.guards(name, unix.DT_REG, top) && !g.mayGuard([]byte(name), top) {
					t.Errorf("%s means %s and is not compared with it", text, name)
				}
			}
		}
	}
	g := newGuarding(&policy.Files{Guard: []string{"**/.git", ".*", "Jenkinsfile*", "*.yml"}}, "/p")
	for _, c := range []struct {
		name string
		top  bool
		want bool
	}{
		{"Jenkinsfile", false, false}, {"Jenkinsfile", true, true}, {".gitmodules", false, true}, {"x.yml", true, true},
		{"x.go", true, false}, {"Just", true, false},
	} {
		if got := g.mayGuard([]byte(c.name), c.top); got != c.want {
			t.Errorf("%s is compared: %v, at the top: %v", c.name, got, c.top)
		}
	}
}
