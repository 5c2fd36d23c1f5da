package plan

import (
	"errors"
	"strings"
	"testing"

	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
)

// TestLabels checks what the labels that a policy names become.
func TestLabels(t *testing.T) {
	words := &refusals{}
	for _, c := range []struct {
		name, apparmor, selinux string
		own, context            string // the caller's labels, of AppArmor and SELinux
		want                    string
		refused                 error
	}{
		{"none", "", "", "", "", "", nil},
		{"AppArmor", "web", "", "unconfined", "", "execute under AppArmor profile web\n", nil},
		{"AppArmor from a profile that confines nothing", "web", "", "code (unconfined)", "",
			"execute under AppArmor profile web\n", nil},
		{"AppArmor from a profile", "web", "", "lxc (enforce)", "",
			"execute under AppArmor profile web, and the caller's own\n", nil},
		{"AppArmor that is not there", "web", "", "", "a_u:b_r:d_t:s0", "", host.KernelLacks},
		{"SELinux", "", "a_u:b_r:c_t:s0", "", "a_u:b_r:d_t:s0", "execute under SELinux context a_u:b_r:c_t:s0\n", nil},
		{"SELinux that is not there", "", "a_u:b_r:c_t:s0", "unconfined", "", "", host.KernelLacks},
		{"SELinux without a policy", "", "a_u:b_r:c_t:s0", "", "kernel", "", host.KernelLacks},
		{"permissive SELinux", "", "a_u:b_r:c_t:s0", "", "permissive a_u:b_r:d_t:s0", "", host.KernelLacks},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, uid := range []int{0, 1000} {
				p := plantest.Shipped(t, "default")
				p.Process.AppArmor, p.Process.SELinux = c.apparmor, c.selinux
				h := plantest.Debian(p, uid)
				h.LSM.AppArmor = c.own
				h.LSM.SELinux, h.LSM.Permissive = strings.CutPrefix(c.context, "permissive ")
				plan, err := Build(p, plantest.AllowAll, host.Target{Path: "x", Args: []string{"x"}, Dir: "/tmp"}, h)
				if uid == 0 {
					words.add(c.name, err)
				}
				if c.refused != nil {
					if !errors.Is(err, c.refused) {
						t.Errorf("refused with %v", err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				text := plan.String()
				at, domain, proc := strings.Index(text, "execute under"), strings.Index(text, "make a Landlock domain"),
					strings.Index(text, "open /proc")
				if !strings.Contains(text, c.want) || (at >= 0) != (c.want != "") {
					t.Errorf("uid %d: no %q in the plan:\n%s", uid, c.want, text)
				}
				if at >= 0 && (at > domain || proc < 0 || proc > at) {
					t.Errorf("uid %d: the label is at %d, /proc is opened at %d, Landlock is at %d", uid, at, proc, domain)
				}
				if strings.Count(text, "open /proc") > 1 {
					t.Errorf("uid %d: /proc is opened twice", uid)
				}
			}
		})
	}
	golden(t, "refusals-lsm.txt", words.String())
}
