package layout

import (
	"slices"
	"testing"
)

// TestCommandImports: the command line knows policies, plans and errors, but no
// step and nothing of how one is done. An error has its hint and exit status.
func TestCommandImports(t *testing.T) {
	for _, p := range packages(t) {
		if p.ImportPath != "sbx/cmd/sbx" {
			continue
		}
		for _, i := range p.Imports {
			if below(i, "sbx") && !below(i, "sbx/policies") && !below(i, "sbx/policy") &&
				!slices.Contains([]string{"sbx/sandbox", "sbx/internal/review", "sbx/internal/sys", "sbx/internal/text",
					"sbx/internal/cache", "sbx/internal/timerslack", "sbx/internal/startlimits", "sbx/internal/inspect"}, i) {
				t.Errorf("%s imports %s", p.ImportPath, i)
			}
		}
		return
	}
	t.Fatal("there is no sbx/cmd/sbx")
}
