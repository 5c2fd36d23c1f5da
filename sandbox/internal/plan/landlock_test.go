package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
)

// TestPorts checks what a policy's ports become, on each kernel: the whole ruleset in the
// plan, or no plan.
func TestPorts(t *testing.T) {
	yes, words := true, &refusals{}
	for _, c := range []struct {
		name          string
		abi           int
		bind, connect []string
		edit          func(*policy.Policy)
		want          []string // lines of the plan, in a row
		refused       error
	}{
		{"both", 7, []string{"8080", "0"}, []string{"443", "8080"}, nil, []string{
			"add a Landlock rule to bind TCP port 0", "add a Landlock rule to connect to TCP port 443",
			"add a Landlock rule to bind and connect to TCP port 8080",
			"enter the Landlock domain, log nothing"}, nil},
		{"none to bind", 4, []string{}, nil, nil, []string{"enter the Landlock domain"}, nil},
		{"none to connect", 9, nil, []string{}, nil, []string{"enter the Landlock domain, log nothing"}, nil},
		{"logged", 7, nil, nil, func(p *policy.Policy) {
			p.Process.LandlockLog = &yes
		}, []string{"enter the Landlock domain, log what it denies"}, nil},
		{"not logged by an old kernel", 6, nil, nil, func(p *policy.Policy) {
			p.Process.LandlockLog = &yes
		}, []string{"enter the Landlock domain"}, nil},
		{"an old kernel", 3, nil, []string{"443"}, nil, nil, host.NoLandlock},
		{"no Landlock", 0, []string{}, nil, nil, nil, host.NoLandlock},
		{"Landlock off", 7, []string{}, nil, func(p *policy.Policy) { p.Process.Landlock = "off" }, nil, host.Conflict},
		{"nesting", 7, []string{}, nil, func(p *policy.Policy) { p.Process.Nest = &yes }, nil, host.Conflict},
		{"no number", 7, []string{"http"}, nil, nil, nil, host.Invalid},
		{"padded number", 7, []string{"080"}, nil, nil, nil, host.Invalid},
		{"no port", 7, nil, []string{"65536"}, nil, nil, host.Invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := plantest.Shipped(t, "fetch")
			p.Network = policy.Network{Bind: c.bind, Connect: c.connect}
			if c.edit != nil {
				c.edit(p)
			}
			h := plantest.Debian(p, 1000)
			h.LSM.Landlock = c.abi
			plan, err := Build(p, plantest.AllowAll, host.Target{Path: "x", Args: []string{"x"}, Dir: "/tmp"}, h)
			words.add(c.name, err)
			if c.refused != nil {
				if !errors.Is(err, c.refused) {
					t.Fatalf("refused with %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, s := range plan.Target {
				lines = append(lines, s.String())
			}
			at := slices.Index(lines, c.want[0])
			if at < 0 || at+len(c.want) > len(lines) || !slices.Equal(lines[at:at+len(c.want)], c.want) {
				t.Errorf("the plan does not have these lines in a row: %q\n%s", c.want, plan)
			}
			head := ""
			for _, l := range lines {
				if strings.HasPrefix(l, "make a Landlock domain") {
					head = l
				}
			}
			if strings.Contains(head, "no TCP port to bind") != (c.bind != nil) ||
				strings.Contains(head, "none to connect to") != (c.connect != nil) {
				t.Errorf("the plan says %q", head)
			}
			noted := strings.Contains(strings.Join(plan.Notes, "\n"), "does not log")
			if noted != (c.edit != nil && c.abi < 7) {
				t.Errorf("notes %q", plan.Notes)
			}
		})
	}
	golden(t, "refusals-ports.txt", words.String())
}
