package explain

import (
	"testing"

	"golang.org/x/sys/unix"
)

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
		{"mount", [6]uint64{}, root, "sys_admin"}, {"sethostname", [6]uint64{}, user, "sys_admin"},
		{"mknod", [6]uint64{1, unix.S_IFCHR | 0o600, 1}, root, "mknod"}, {"mknodat", [6]uint64{1, 1, unix.S_IFIFO}, root, ""},
		{"socket", [6]uint64{unix.AF_INET, unix.SOCK_RAW | unix.SOCK_CLOEXEC, 1}, user, "net_raw"},
		{"socket", [6]uint64{unix.AF_PACKET, unix.SOCK_DGRAM}, user, "net_raw"},
		{"socket", [6]uint64{unix.AF_INET, unix.SOCK_DGRAM, 1}, user, ""},
		{"socket", [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW}, user, ""},
		{"chroot", [6]uint64{}, root, "sys_chroot"}, {"read", [6]uint64{9}, root, ""},
	} {
		if got := Needs(c.name, c.args, c.ids, c.ids); got != c.want {
			t.Errorf("%s(%v) of %v: %q, want %q", c.name, c.args, c.ids, got, c.want)
		}
	}
}
