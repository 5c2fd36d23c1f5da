package explain

import "testing"

func TestNeeds(t *testing.T) {
	root, user := [4]uint32{}, [4]uint32{7, 7, 7, 7}
	for _, c := range []struct {
		name string
		args [6]uint64
		ids  [4]uint32
		want string
	}{
		{"setuid", [6]uint64{33}, root, "setuid"}, {"setuid", [6]uint64{}, root, ""}, {"setuid", [6]uint64{7}, user,
			""},
		{"setresuid", [6]uint64{7, 7, 0xffffffff}, user, ""}, {"setresuid", [6]uint64{7, 7, 8}, user, "setuid"},
		{"setresgid", [6]uint64{0, 0, 8}, root, "setgid"}, {"setgroups", [6]uint64{}, user, "setgid"},
		{"fchownat", [6]uint64{0, 0, 33, 0xffffffff}, root, "chown"}, {"chown", [6]uint64{0, 0, 0}, root, ""},
		{"chroot", [6]uint64{}, root, "sys_chroot"}, {"read", [6]uint64{9}, root, ""},
	} {
		if got := Needs(c.name, c.args, c.ids, c.ids); got != c.want {
			t.Errorf("%s(%v) of %v: %q, want %q", c.name, c.args, c.ids, got, c.want)
		}
	}
}
