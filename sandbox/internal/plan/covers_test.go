package plan

import (
	"errors"
	"testing"

	"sbx/policy"
	"sbx/policy/seccomp"
	compiler "sbx/policy/seccomp/compile"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
)

// TestPeeling: who may take mounts off keeps none of the policy's, so such a plan is
// not made: CAP_SYS_ADMIN with the calls for it, where no Landlock forbids them.
func TestPeeling(t *testing.T) {
	filter := func(deny ...string) []seccomp.Program {
		p := &seccomp.Policy{Default: seccomp.Action{Kind: seccomp.Allow}, Unknown: seccomp.Action{Kind: seccomp.Allow},
			Deny: deny}
		programs, err := compiler.Compile(p, seccomp.Native(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return programs
	}
	all, none := filter(), filter("@mount", "open_tree", "open_tree_attr")
	off := func(p *policy.Policy, _ *host.Facts) { p.Process.Landlock = "off" }
	words := &refusals{}
	for _, c := range []struct {
		name    string
		uid     int
		keep    string
		filter  []seccomp.Program
		edit    func(*policy.Policy, *host.Facts)
		refused bool
	}{
		{"root, Landlock", 0, "sys_admin", all, nil, false},
		{"root, Landlock off", 0, "sys_admin", all, off, true},
		{"root, no Landlock", 0, "sys_admin", all, func(_ *policy.Policy, h *host.Facts) { h.LSM.Landlock = 0 }, true},
		{"root, no calls for it", 0, "sys_admin", none, off, false},
		{"root, another capability", 0, "net_admin", all, off, false},
		{"root of a namespace of a user's", 1000, "sys_admin", all, func(p *policy.Policy, h *host.Facts) {
			off(p, h)
			p.Namespaces.User, p.Namespaces.UID = "new", plantest.Ptr(0)
		}, true},
		{"nest", 1000, "sys_admin", all, func(p *policy.Policy, _ *host.Facts) {
			p.Process.Nest, p.Process.Ambient, p.Namespaces.User = plantest.Ptr(true), plantest.Ptr(true), "new"
		}, true},
	} {
		p := plantest.Shipped(t, "default")
		p.Process.Capabilities = []string{c.keep}
		h := plantest.Debian(p, c.uid)
		if c.edit != nil {
			c.edit(p, h)
		}
		_, err := Build(p, c.filter, host.Target{Path: "x", Args: []string{"x"}, Dir: "/tmp"}, h)
		if c.refused != errors.Is(err, host.Conflict) || !c.refused && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		words.add(c.name, err)
	}
	golden(t, "refusals-covers.txt", words.String())
}
