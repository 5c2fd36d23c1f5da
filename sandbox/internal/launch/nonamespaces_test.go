package launch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sbx/internal/step"
	"sbx/policy"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/plan"
)

// barePlan is a plan without namespaces that has each step which only such plans have.
// privates is where its private directories are made.
func barePlan(t *testing.T, args ...string) (p *plan.Plan, privates string) {
	t.Helper()
	launches(t)
	if abi, err := landlock.ABI(); err != nil || abi < landlock.ABIScopes {
		if os.Getenv("SBX_MUST_WORK") != "" && abi > 0 {
			t.Skipf("Landlock ABI %d: refused, which integration tests", abi)
		}
		t.Skip("this kernel's Landlock is too old")
	}
	privates = t.TempDir()
	t.Setenv("TMPDIR", privates)
	t.Setenv("XDG_RUNTIME_DIR", "")
	other := t.TempDir()
	for _, name := range []string{".env", "beside"} {
		if err := os.WriteFile(filepath.Join(other, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return planWith(t, "default", func(p *policy.Policy) {
		p.Namespaces.All, p.Files.Tmpfs = "host", []string{"/tmp"}
		p.Files.Read = []string{"/usr", "?/bin", "?/lib", "?/lib64", "?/etc/ld.so.cache"}
		p.Files.Write = append(p.Files.Write, other)
		p.Files.Hide = []string{filepath.Join(other, ".env")}
	}, args...), privates
}

// TestFaultsBare makes every single call fail of what only a launch without namespaces has;
// TestFaults has the others. Each time the step is named, nothing of the target runs, and neither a process is left
// nor the private
// directory.
func TestFaultsBare(t *testing.T) {
	plan, privates := barePlan(t, "/bin/touch", "ran")
	kinds, alike := map[string]bool{}, 0
	sweep(t, plan, func(s step.Step) bool {
		kinds[s.Kind()] = true
		switch s.Kind() {
		case "landlock-proc-rules": // many alike
			alike++
			return alike%8 == 1
		case "landlock-found-rule", "landlock-check-hidden", "landlock-private-rule", "landlock-restrict-self",
			"verify-landlock",
			"set-child-subreaper", "die-with-init", "outlive-launcher", "chdir-root":
			return true
		}
		return false
	})
	for _, kind := range []string{"landlock-found-rule", "landlock-check-hidden", "landlock-private-rule",
		"landlock-proc-rules", "set-child-subreaper"} {
		if !kinds[kind] {
			t.Errorf("the plan has no step %s", kind)
		}
	}
	if left, err := os.ReadDir(privates); err != nil || len(left) > 0 {
		t.Errorf("%d private directories are left, %v", len(left), err)
	}
}

// TestBareOutdated: what was hidden and has been moved by the time of the start, and what
// was beside it and is another file, is an error that leads to another plan, and nothing runs.
func TestBareOutdated(t *testing.T) {
	for _, name := range []string{".env", "beside"} {
		plan, _ := barePlan(t, "/bin/touch", "ran")
		dir := filepath.Dir(strings.TrimPrefix(plan.Policy.Files.Hide[0], "?"))
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, "moved")); err != nil {
			t.Fatal(err)
		}
		if name == "beside" {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := run(plan, nil)
		if err == nil || !plan.Outdated(err) || !plan.Searched() {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(workDir(plan), "ran")); err == nil {
			t.Errorf("%s: the target ran", name)
		}
	}
}
