package sandbox

import (
	"strings"
	"testing"
)

// TestLabels holds what becomes of the labels that a policy names.
func TestLabels(t *testing.T) {
	for _, c := range []struct {
		name, apparmor, selinux string
		own                     string // the caller's AppArmor label
		hasSELinux              bool
		want, refused           string
	}{
		{"none", "", "", "", false, "", ""},
		{"AppArmor", "web", "", "unconfined", false, "execute under AppArmor profile web\n", ""},
		{"AppArmor from a profile that confines nothing", "web", "", "code (unconfined)", false, "execute under AppArmor profile web\n", ""},
		{"AppArmor from a profile", "web", "", "lxc (enforce)", false, "execute under AppArmor profile web, and the caller's own\n", ""},
		{"AppArmor that is not there", "web", "", "", true, "", "AppArmor is not on"},
		{"SELinux", "", "a_u:b_r:c_t:s0", "", true, "execute under SELinux context a_u:b_r:c_t:s0\n", ""},
		{"SELinux that is not there", "", "a_u:b_r:c_t:s0", "unconfined", false, "", "SELinux is not on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, uid := range []int{0, 1000} {
				p := shipped(t, "default")
				p.Process.AppArmor, p.Process.SELinux = c.apparmor, c.selinux
				h := debian(p, uid)
				h.AppArmor, h.SELinux = c.own, c.hasSELinux
				plan, err := Build(p, allowAll, Target{Path: "x", Args: []string{"x"}, Dir: "/tmp"}, h)
				if c.refused != "" {
					if err == nil || !strings.Contains(err.Error(), c.refused) {
						t.Errorf("refused with %v", err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				text := plan.String()
				at, wall, proc := strings.Index(text, "execute under"), strings.Index(text, "make a Landlock domain"), strings.Index(text, "open /proc")
				if !strings.Contains(text, c.want) || (at >= 0) != (c.want != "") {
					t.Errorf("uid %d: no %q in the plan:\n%s", uid, c.want, text)
				}
				if at >= 0 && (at > wall || proc < 0 || proc > at) {
					t.Errorf("uid %d: the label has its place at %d, /proc is opened at %d, Landlock is at %d", uid, at, proc, wall)
				}
				if strings.Count(text, "open /proc") > 1 {
					t.Errorf("uid %d: /proc is opened twice", uid)
				}
			}
		})
	}
}
