package plan

import (
	"slices"
	"strings"
	"testing"

	"sbx/internal/step"
	"sbx/policy"
	"sbx/sandbox/internal/fallbackfilter"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
	"sbx/sandbox/internal/process"
)

// TestOwnSockets: a program has Unix sockets of its own, and the plan says what that
// opens; where a search was cut short it has none, and the plan says why. A run says
// nothing of either.
func TestOwnSockets(t *testing.T) {
	for _, c := range []struct {
		name   string
		edit   func(*policy.Policy, *host.Facts)
		filter bool
		remark string
	}{
		{"own", func(*policy.Policy, *host.Facts) {}, false, "made in shown directories after the start"},
		{"nothing shown", func(p *policy.Policy, _ *host.Facts) { p.Files.Read = []string{"/usr"} }, false, ""},
		{"too many files", func(_ *policy.Policy, h *host.Facts) { h.SearchTruncatedAt = "/home/u/p" }, true,
			"programs have no Unix sockets of their own: there are too many files below /home/u/p"},
		{"none", func(p *policy.Policy, _ *host.Facts) { p.Files.OwnSockets = nil }, true, ""},
		{"Landlock tells", func(_ *policy.Policy, h *host.Facts) { h.LSM.Landlock = 9 }, false, ""},
	} {
		p := plantest.Shipped(t, "default")
		h := plantest.Debian(p, 1000)
		h.LSM.Landlock = 7
		c.edit(p, h)
		plan, err := Build(p, plantest.AllowAll, host.Target{Path: "x", Args: []string{"x"}, Dir: "/tmp"}, h)
		if err != nil {
			t.Fatal(c.name, err)
		}
		loaded := slices.ContainsFunc(plan.Target, func(s step.Step) bool {
			f, ok := s.(process.Seccomp)
			return ok && f.Name == fallbackfilter.UnixSockets.String()
		})
		remarks := strings.Join(plan.Remarks, "\n")
		if loaded != c.filter || (c.remark == "") != (remarks == "") || !strings.Contains(remarks, c.remark) ||
			strings.Contains(strings.Join(plan.Notes, "\n"), "socket") || (plan.NotMasked != "") != (h.SearchTruncatedAt != "") {
			t.Errorf("%s: filter %v, remarks %q, notes %q", c.name, loaded, remarks, plan.Notes)
		}
	}
}
